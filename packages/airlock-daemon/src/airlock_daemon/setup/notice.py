"""What a running daemon serves, told to the other commands by a notice in its sockets directory.

The daemon holds a lock on the notice for as long as it lives, so that one that a killed daemon left
is known for what it is. Who could write it decides what is believed: the reader's own user alone.
"""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import msgspec

from airlock_daemon.setup.paths import Locations

NAME = ".serving"
_NEW = ".serving.new"

# A few paths: what is longer was not written here.
_LONGEST = 65536


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What a daemon was started with: real path of its configuration, path of its registration.

    `agents` is None for a daemon that was given no registration file.
    """

    config_dir: str
    agents: str | None


def notice_of(locations: Locations) -> Notice:
    """The notice of a daemon that was started with these files."""
    return Notice(config_dir=os.path.realpath(locations.config_dir), agents=locations.agents)


def post_notice(directory: int, notice: Notice) -> int:
    """Put up `notice` in the open sockets directory `directory`, which the caller has locked.

    It counts until the returned descriptor is closed. Raises OSError.
    """
    with suppress(FileNotFoundError):
        os.unlink(_NEW, dir_fd=directory)
    # A new file that is locked before it has its name: no reader sees one without the other.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(_NEW, flags, 0o600, dir_fd=directory)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(file, msgspec.json.encode(notice))
        os.rename(_NEW, NAME, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        os.close(file)
        raise
    return file


def read_notice(sockets_dir: str) -> Notice | None:
    """What the daemon that serves `sockets_dir` was started with.

    None where no daemon runs, or where what is there is not private to the user who asks: a
    directory or a notice of another user's, or that others may write.
    """
    try:
        with _opened(sockets_dir, os.O_DIRECTORY) as directory:
            if not _is_private(directory, forbidden=0o022):
                return None
            with _opened(NAME, os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory) as file:
                if not _is_private(file, forbidden=0o077) or not _is_locked(file):
                    return None
                return msgspec.json.decode(os.read(file, _LONGEST), type=Notice)
    except (OSError, msgspec.DecodeError):
        return None


@contextmanager
def _opened(path: str, flags: int, *, dir_fd: int | None = None) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags, dir_fd=dir_fd)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _is_private(descriptor: int, *, forbidden: int) -> bool:
    """Whether an open file or directory is this user's, without the mode bits `forbidden`."""
    info = os.fstat(descriptor)
    return info.st_uid == os.geteuid() and not stat.S_IMODE(info.st_mode) & forbidden


def _is_locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
