"""Fixtures of several files, each of which gives them a name: `world = shared_fixtures.mapped`."""

from collections.abc import Iterator

import pytest

from boxing import boxed_world, mapped_world
from running import Daemon
from worlds import World


@pytest.fixture
def boxed(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A world whose commands have boxes; this process stands in its workspace."""
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
    """One daemon for all tests of a file, on the world that they share."""
    with Daemon(world) as running:
        yield running
