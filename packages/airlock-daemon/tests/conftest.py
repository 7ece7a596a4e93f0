"""Fixtures: configurations on disk, and a daemon that really runs."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from airlock_daemon.boundary.box import prewarmed
from airlock_daemon.platform.linux.mountinfo import MountWatch
from confining import build_confined
from container_hosts import SECRET, Host, Runner, new_host, open_runner
from running import Daemon
from worlds import World


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Time the tests and not the fixtures where the first test has the compiler to wait for."""
    for item in items:
        if "confined" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(60, func_only=True))


@pytest.fixture(scope="session")
def confined() -> None:
    """The program that runs others under a box's filter and limits, built from the sources: a whole
    minute's work on a busy machine.
    """
    build_confined()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A configuration with one agent `my`; this process stands in its workspace.

    PATH is the system's alone: whose directories the tests' own one has, nobody knows.
    """
    world = World(tmp_path)
    monkeypatch.chdir(world.workspace)
    monkeypatch.setenv("PATH", os.defpath)
    return world


@pytest.fixture
def daemon(world: World) -> Iterator[Daemon]:
    """A daemon on the world as it is."""
    with Daemon(world) as running:
        yield running


@pytest.fixture
def inside(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in the workspace of such a world, as its profile wants of a client on the host."""
    monkeypatch.chdir(world.workspace)


@pytest.fixture
async def runner(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Runner]:
    """Boxes that are made ahead. Whatever others mount on this host meanwhile does not end them."""
    monkeypatch.setattr(MountWatch, "has_changed", lambda _: False)
    monkeypatch.setattr(prewarmed, "SOON_S", 0.0)
    async with open_runner() as runner:
        yield runner


@pytest.fixture
def host(world: World) -> Iterator[Host]:
    """A container with a directory, a masked file and a hidden one in its workspace."""
    world.write_profile('[workspace]\nhide = ["/workspace/hidden"]\n')
    with new_host(world) as host:
        host.make("workspace/lib")
        host.mount(host.make("lib", "lib"), "/workspace/lib")
        (host.workspace / "mask").write_text(SECRET)
        host.add("devtmpfs", "/workspace/mask", root="/null")
        (host.workspace / "hidden").write_text(SECRET)
        yield host
