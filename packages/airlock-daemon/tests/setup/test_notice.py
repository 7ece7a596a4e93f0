"""Tests of `airlock_daemon.setup.notice`, with real files and locks."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from airlock_daemon.setup.notice import NAME, Notice, post_notice, read_notice

NOTICE = Notice(config_dir="/etc/airlock", agents="/etc/airlock/agents.toml")


@contextmanager
def posted(directory: Path, notice: Notice = NOTICE) -> Iterator[None]:
    """A daemon's notice, for as long as the block lasts."""
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    file = post_notice(opened, notice)
    try:
        yield
    finally:
        os.close(file)
        os.close(opened)


@pytest.fixture
def sockets(tmp_path: Path) -> Path:
    path = tmp_path / "sockets"
    path.mkdir(mode=0o700)
    return path


def test_a_notice_counts_for_as_long_as_its_daemon_lives(sockets: Path) -> None:
    """One that a killed daemon left is there, and nobody holds it."""
    assert read_notice(str(sockets)) is None
    with posted(sockets):
        assert read_notice(str(sockets)) == NOTICE
        assert read_notice(str(sockets)) == NOTICE
    assert (sockets / NAME).exists()
    assert read_notice(str(sockets)) is None


def test_a_notice_replaces_what_a_killed_daemon_left(sockets: Path) -> None:
    """Whole or half written, and also while somebody looks at it."""
    with posted(sockets):
        pass
    (sockets / f"{NAME}.new").write_text('{"config')
    with open(sockets / NAME), posted(sockets, Notice(config_dir="/x", agents=None)):
        assert read_notice(str(sockets)) == Notice(config_dir="/x", agents=None)
    assert sorted(path.name for path in sockets.iterdir()) == [NAME]


def test_a_notice_is_private(sockets: Path) -> None:
    """Whatever the umask is."""
    before = os.umask(0)
    try:
        with posted(sockets):
            assert (sockets / NAME).stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_directory_that_others_may_write_is_not_believed(sockets: Path, mode: int) -> None:
    """Who may rename in it may put up another notice; who may only read may not."""
    with posted(sockets):
        sockets.chmod(mode)
        assert read_notice(str(sockets)) is None
        sockets.chmod(0o755)
        assert read_notice(str(sockets)) == NOTICE


def test_a_notice_that_others_may_write_or_own_is_not_believed(sockets: Path) -> None:
    """Nor one in a directory of somebody else's."""
    with posted(sockets):
        (sockets / NAME).chmod(0o620)
        assert read_notice(str(sockets)) is None
        (sockets / NAME).chmod(0o600)
        if os.geteuid() != 0:
            pytest.skip("giving a file away takes root")
        for path in (sockets / NAME, sockets):
            os.chown(path, 65534, -1)
            assert read_notice(str(sockets)) is None
            os.chown(path, 0, -1)
        assert read_notice(str(sockets)) == NOTICE


def test_a_link_and_garbage_are_not_believed(sockets: Path, tmp_path: Path) -> None:
    """A notice elsewhere that is held, and one that is held and says nothing."""
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    with posted(other):
        (sockets / NAME).symlink_to(other / NAME)
        assert read_notice(str(sockets)) is None
        (other / NAME).write_text('{"config_dir": 3}')
        assert read_notice(str(other)) is None
