"""What commands in boxes run in, where a file says nothing else."""

from collections.abc import Iterator

import pytest

from boxing import boxed_world
from worlds import World


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A world whose commands have boxes; this process stands in its workspace."""
    with boxed_world() as world:
        monkeypatch.chdir(world.workspace)
        yield world
