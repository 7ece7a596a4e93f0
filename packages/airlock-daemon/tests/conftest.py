"""Fixtures: configurations on disk, and a daemon that really runs."""

from pathlib import Path

import pytest
from worlds import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """An empty configuration in a directory of its own, with one registered agent `my`."""
    return World(tmp_path)
