"""Kills in and around boxes, few enough for every day."""

import shutil

import pytest
from e2e.hostile.kills import kill_boxes


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap")
def test_nothing_is_left_whatever_is_killed(figures: list[str]) -> None:
    """Each client is told; no process, mount or directory outlives the daemon."""
    kill_boxes(60, say=figures.append)
