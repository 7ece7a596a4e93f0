"""Stops under load, few enough for every day."""

from e2e.hostile.stops import stop_under_load


def test_nobody_is_left_without_a_word(figures: list[str]) -> None:
    """Each stop ends with 0, every client is told, and every record is there."""
    stop_under_load(10, say=figures.append)
