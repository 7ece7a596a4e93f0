"""Tests of `airlock_daemon.platform.posix.calls.step`."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from airlock_daemon.platform.posix.calls import step


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def test_a_directory_is_opened_and_a_symlink_read(root: int, tmp_path: Path) -> None:
    """Also a symlink to a directory, and one that leads nowhere."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    (tmp_path / "nowhere").symlink_to("/missing")
    found = step("folder", root)
    assert isinstance(found, int)
    assert os.path.samestat(os.fstat(found), os.stat(tmp_path / "folder"))
    os.close(found)
    assert step("link", root) == "folder"
    assert step("nowhere", root) == "/missing"


def test_a_fifo_and_a_file_without_permissions_are_not_opened(root: int, tmp_path: Path) -> None:
    """The first would wait for a writer, the second is refused."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "closed").touch(mode=0)
    assert step("fifo", root) is None
    assert step("closed", root) is None


def test_a_missing_name_is_an_error(root: int) -> None:
    """As of open(2)."""
    with pytest.raises(FileNotFoundError):
        step("missing", root)


def test_a_name_that_is_replaced_again_and_again_ends_in_an_error(
    root: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a file when opened, and a directory when looked at."""
    (tmp_path / "name").touch()
    (tmp_path / "folder").mkdir()
    folder = os.stat(tmp_path / "folder")
    monkeypatch.setattr("airlock_daemon.platform.posix.calls.os.stat", lambda *_, **__: folder)
    with pytest.raises(OSError, match="Too many levels"):
        step("name", root)
