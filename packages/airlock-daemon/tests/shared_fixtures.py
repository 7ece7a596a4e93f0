"""Fixtures for several files, each of which names them: `world = shared_fixtures.mapped`."""

import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from airlock_daemon.platform.linux.mountinfo import MountTable
from boxing import boxed_world, lack, mapped_world
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


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A cgroup that is called as that of a container."""
    rows = MountTable.parse(Path("/proc/self/mountinfo").read_text())
    for point in [row.point for row in rows if row.kind == "cgroup2"]:
        place = Path(point, secrets.token_hex(32))
        with suppress(OSError):
            place.mkdir()
            yield place
            place.rmdir()
            return
    lack("a place where a cgroup can be made")
