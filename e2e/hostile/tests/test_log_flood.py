"""The flood of the audit log, short enough for every day."""

from e2e.hostile.log_flood import flood_log


def test_refusals_push_nobodys_records_out(figures: list[str]) -> None:
    """A small log, and requests that would fill it many times: all of another agent's is there."""
    figure = flood_log(100, settings="max_size_mb = 2\n", calls=200, say=figures.append)
    assert figure.calls > 0
