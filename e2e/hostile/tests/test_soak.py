"""The soak, short enough for every day."""

from e2e.hostile.soak import soak


def test_thousands_of_requests_leave_the_daemon_as_it_was(figures: list[str]) -> None:
    """Descriptors, processes, memory and log are in order after each stage."""
    stages = soak(2000, say=figures.append)
    assert stages[-1].requests >= 2000
    assert len(stages) == 4
