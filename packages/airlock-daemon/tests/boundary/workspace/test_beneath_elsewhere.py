"""Tests of `airlock_daemon.boundary.workspace.beneath` without O_PATH, as on macOS."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from airlock_daemon.boundary.workspace.beneath import (
    LeadsOutError,
    follow,
    open_beneath,
    real_path,
)
from airlock_daemon.errors import Denied
from airlock_daemon.platform import system
from airlock_daemon.platform.posix import calls


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(system, "step", calls.step, raising=False)


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "root" / "a" / "b").mkdir(parents=True)
    (tmp_path / "root" / "file").touch(mode=0)
    os.mkfifo(tmp_path / "root" / "fifo")
    (tmp_path / "root" / "in").symlink_to("a/b")
    (tmp_path / "root" / "absolute").symlink_to(tmp_path / "root" / "a")
    (tmp_path / "root" / "out").symlink_to("..")
    (tmp_path / "root" / "loop").symlink_to("loop")
    descriptor = os.open(tmp_path / "root", os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def walk(root: int, path: str) -> None:
    follow(root, path.split("/"), depth=0, root=root, root_path=real_path(root))


@pytest.mark.parametrize(
    "path",
    ["a/b", "in", "absolute/b/..", "file", "fifo", "missing/x", "file/x", "file/..", "a/b/../.."],
)
def test_what_stays_inside_is_followed(root: int, path: str) -> None:
    """A fifo is not opened, and a file need not be readable; no descriptor stays open."""
    before = os.listdir("/proc/self/fd")
    walk(root, path)
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize(
    "path", ["..", "out", "a/../..", "in/../../..", "missing/../..", "file/../..", "fifo/../.."]
)
def test_what_leads_out_is_not(root: int, path: str) -> None:
    """By `..`, by a symlink, or as text after what is no directory."""
    with pytest.raises(LeadsOutError):
        walk(root, path)


def test_a_loop_of_symlinks_is_an_error(root: int) -> None:
    """As the kernel has it."""
    with pytest.raises(OSError, match="Too many levels"):
        walk(root, "loop")


def test_a_directory_is_opened_and_a_file_is_not(root: int, tmp_path: Path) -> None:
    """Nor the directory that it is in."""
    opened = open_beneath(root, "in", root_path=real_path(root))
    assert real_path(opened) == str(tmp_path / "root" / "a" / "b")
    os.close(opened)
    for path in ("file", "fifo", "file/x"):
        with pytest.raises(NotADirectoryError):
            open_beneath(root, path, root_path=real_path(root))
    with pytest.raises(FileNotFoundError):
        open_beneath(root, "missing", root_path=real_path(root))


def test_nothing_is_looked_up_at_once(root: int) -> None:
    """There is no call that fails instead of waiting for a disk."""
    with pytest.raises(BlockingIOError):
        open_beneath(root, "a", root_path=real_path(root), at_once=True)


def test_a_removed_directory_is_refused(root: int, tmp_path: Path) -> None:
    """It has no name any more."""
    opened = open_beneath(root, "a/b", root_path=real_path(root))
    (tmp_path / "root" / "a" / "b").rmdir()
    with pytest.raises(Denied, match="has been removed"):
        real_path(opened)
    os.close(opened)
