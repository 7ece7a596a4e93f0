"""Restarts under load, few enough for every day."""

from e2e.hostile.restarts import restart_under_load


def test_clients_come_back_to_a_new_daemon(figures: list[str]) -> None:
    """After a stop or a kill it serves again, every client is told, and the log goes on."""
    restart_under_load(10, say=figures.append)
