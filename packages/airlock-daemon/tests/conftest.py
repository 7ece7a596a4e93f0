"""Fixtures: configurations on disk, and a daemon that really runs."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from airlock_daemon.platform.linux.procfs import name_descriptor
from confining import build_confined
from running import Daemon
from worlds import World


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Time the tests and not the fixtures where the first test has the compiler to wait for."""
    for item in items:
        if "confined" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(60, func_only=True))


@pytest.fixture(scope="session", autouse=True)
def named() -> None:
    """What descriptors are named by stays open, whichever test asks for a name first."""
    name_descriptor(0)


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
