"""Tests of `airlock_daemon.setup.status`, with real files and locks."""

import os
from pathlib import Path

import pytest

from airlock_daemon.setup.status import DaemonStatus
from posting import posted

STATUS_FILE = DaemonStatus(config_dir="/etc/airlock", agents="/etc/airlock/agents.toml")


def read_status(sockets: str) -> DaemonStatus | None:
    found = DaemonStatus.find_published(sockets)
    return None if found is None else found.status


@pytest.fixture
def sockets(tmp_path: Path) -> Path:
    path = tmp_path / "sockets"
    path.mkdir(mode=0o700)
    return path


def test_a_notice_counts_for_as_long_as_its_daemon_lives(sockets: Path) -> None:
    """One that a killed daemon left is there, and nobody holds it."""
    assert read_status(str(sockets)) is None
    with posted(sockets, STATUS_FILE):
        assert read_status(str(sockets)) == STATUS_FILE
        assert read_status(str(sockets)) == STATUS_FILE
    assert (sockets / DaemonStatus.FILE).exists()
    assert read_status(str(sockets)) is None


def test_the_kernel_names_who_has_posted_a_notice(sockets: Path) -> None:
    """Not what stands in it: nothing there is a pid."""
    with posted(sockets, STATUS_FILE) as process:
        found = DaemonStatus.find_published(str(sockets))
        assert found is not None
        assert (found.pid, found.status) == (process.pid, STATUS_FILE)


def test_what_another_process_writes_into_a_notice_is_not_believed(sockets: Path) -> None:
    """The lock is where the hash of the text says, so that it vouches for this text alone."""
    with posted(sockets, STATUS_FILE):
        text = (sockets / DaemonStatus.FILE).read_text()
        (sockets / DaemonStatus.FILE).write_text(text.replace("/etc/", "/tmp/"))
        assert read_status(str(sockets)) is None
        (sockets / DaemonStatus.FILE).write_text(text)
        assert read_status(str(sockets)) == STATUS_FILE


def test_a_notice_replaces_what_a_killed_daemon_left(sockets: Path) -> None:
    """Whole or half written, and also while somebody looks at it."""
    with posted(sockets, STATUS_FILE):
        pass
    (sockets / f"{DaemonStatus.FILE}.new").write_text('{"config')
    with (
        open(sockets / DaemonStatus.FILE),
        posted(sockets, DaemonStatus(config_dir="/x", agents=None)),
    ):
        assert read_status(str(sockets)) == DaemonStatus(config_dir="/x", agents=None)
    assert sorted(path.name for path in sockets.iterdir()) == [DaemonStatus.FILE]


def test_a_notice_is_private(sockets: Path) -> None:
    """Whatever the umask is."""
    with posted(sockets, STATUS_FILE, umask=0):
        assert (sockets / DaemonStatus.FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_directory_that_others_may_write_is_not_believed(sockets: Path, mode: int) -> None:
    """Who may rename in it may put up another status; who may only read may not."""
    with posted(sockets, STATUS_FILE):
        sockets.chmod(mode)
        assert read_status(str(sockets)) is None
        sockets.chmod(0o755)
        assert read_status(str(sockets)) == STATUS_FILE


def test_a_notice_that_others_may_write_or_own_is_not_believed(sockets: Path) -> None:
    """Nor one in a directory of somebody else's."""
    with posted(sockets, STATUS_FILE):
        (sockets / DaemonStatus.FILE).chmod(0o620)
        assert read_status(str(sockets)) is None
        (sockets / DaemonStatus.FILE).chmod(0o600)
        if os.geteuid() != 0:
            pytest.skip("giving a file away takes root")
        for path in (sockets / DaemonStatus.FILE, sockets):
            os.chown(path, 65534, -1)
            assert read_status(str(sockets)) is None
            os.chown(path, 0, -1)
        assert read_status(str(sockets)) == STATUS_FILE


def test_a_link_and_garbage_are_not_believed(sockets: Path, tmp_path: Path) -> None:
    """A status elsewhere that is held, and one that is held and says nothing."""
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    with posted(other, STATUS_FILE):
        (sockets / DaemonStatus.FILE).symlink_to(other / DaemonStatus.FILE)
        assert read_status(str(sockets)) is None
        (sockets / DaemonStatus.FILE).unlink()
    with posted(sockets, '{"config_dir": 3}'):
        assert read_status(str(sockets)) is None
