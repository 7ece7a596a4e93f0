"""Fixtures: configurations on disk, and a real daemon."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

import elsewhere
from airlock_daemon.boundary.box import prewarmed
from airlock_daemon.platform.linux.mountinfo import MountWatch
from confining import build_confined
from container_hosts import SECRET, Host, Runner, new_host, open_runner
from running import Daemon
from worlds import World


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Exclude fixtures from the timeout where the first test waits for the compiler.

    Leave out what needs Linux where daemons lack its names.
    """
    if elsewhere.is_wanted():
        left = [item for item in items if item.get_closest_marker("linux_only")]
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]
    for item in items:
        if "confined" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(60, func_only=True))


@pytest.fixture(scope="session")
def confined() -> None:
    """The program that runs others under a box's filter and limits, built from the sources.

    That takes a minute on a busy machine.
    """
    build_confined()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A configuration with one agent `my`; its workspace is the working directory.

    PATH is the system's only: directories in the tests' own PATH may belong to anyone.
    """
    world = World(tmp_path)
    monkeypatch.chdir(world.workspace)
    monkeypatch.setenv("PATH", os.defpath)
    return world


@pytest.fixture
def daemon(world: World) -> Iterator[Daemon]:
    """A daemon with the world's configuration."""
    with Daemon(world) as running:
        yield running


@pytest.fixture
def inside(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Change to the world's workspace, as its profile requires of a client on the host."""
    monkeypatch.chdir(world.workspace)


@pytest.fixture
async def runner(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Runner]:
    """A runner with prewarmed boxes, which mounts by other processes do not end."""
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
