"""Reloads under load, few enough for every day."""

from e2e.hostile.reloads import reload_under_load


def test_nothing_is_dropped_by_a_reload(figures: list[str]) -> None:
    """Each takes effect or is refused, every client is told, and every record is there."""
    reload_under_load(40, say=figures.append)
