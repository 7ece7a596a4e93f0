"""Fixtures for several files, each of which names them: `world = shared_fixtures.mapped`."""

from collections.abc import Iterator

import pytest

from boxing import boxed_world, mapped_world
from running import Daemon
from worlds import World


@pytest.fixture
def boxed(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A world whose commands have boxes; its workspace is the working directory."""
    with boxed_world() as world:
        monkeypatch.chdir(world.workspace)
        yield world


@pytest.fixture
def mapped() -> Iterator[World]:
    """A world whose commands have boxes, and `/workspace` mapped."""
    with mapped_world() as world:
        yield world


@pytest.fixture(scope="module")
def one_daemon(world: World) -> Iterator[Daemon]:
    """One daemon for all tests of a file, with their shared world."""
    with Daemon(world) as running:
        yield running
