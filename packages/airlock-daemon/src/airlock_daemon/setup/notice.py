"""What a running daemon serves, told to the other commands by a notice in its sockets directory.

A container may have that directory mounted and run as the daemon's own user, so that it can write
whatever stands there. But the daemon holds a lock on the notice for as long as it lives, at the
offset that the hash of the text says. By it the kernel names the process that has posted this very
text; `setup.running_daemon` looks whether that is a daemon before anything is done to it.
"""

import errno
import hashlib
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import msgspec

from airlock_daemon.platform.linux.byte_lock import find_holder, lock_byte
from airlock_daemon.setup.paths import Locations

NAME = ".serving"
_NEW = ".serving.new"

TOLD = ("PATH", "SSH_AUTH_SOCK")
"""Variables of the daemon that decide what its tools are and find."""

# What is longer was not written here.
_LONGEST = 1 << 20


class Reload(msgspec.Struct, frozen=True, kw_only=True):
    """How a reload has ended: which agents it added, changed and removed, or which faults it met.

    With `faults` everything is as it was before. `unserved` has the faults of agents that are not
    served, by their names; one that was served before is among those `removed`. `began` is in
    seconds of CLOCK_MONOTONIC, `ended` in seconds since 1970.
    """

    began: float
    ended: float
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    unserved: dict[str, tuple[str, ...]] = {}


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What a daemon was started with: real path of its configuration, path of its registration.

    `agents` is None for a daemon that was given no registration file. `reload` is its latest
    one. `environment` has those of TOLD that it was started with.
    """

    config_dir: str
    agents: str | None
    environment: dict[str, str] = {}
    reload: Reload | None = None


class Posted(msgspec.Struct, frozen=True, kw_only=True):
    """A notice, and the process that the kernel says has posted it."""

    notice: Notice
    pid: int


def notice_of(locations: Locations) -> Notice:
    """The notice of a daemon that was started with these files."""
    return Notice(
        config_dir=os.path.realpath(locations.config_dir),
        agents=locations.agents,
        environment={name: os.environ[name] for name in TOLD if name in os.environ},
    )


def post_notice(directory: int, notice: Notice) -> int:
    """Put up `notice` in the open sockets directory `directory`, which the caller has locked.

    It counts until the returned descriptor is closed. Raises OSError.
    """
    text = msgspec.json.encode(notice)
    with suppress(FileNotFoundError):
        os.unlink(_NEW, dir_fd=directory)
    # A new file that is locked before it has its name: no reader sees one without the other.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(_NEW, flags, 0o600, dir_fd=directory)
    try:
        if os.write(file, text) < len(text):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        lock_byte(file, _hash(text))
        os.rename(_NEW, NAME, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        os.close(file)
        raise
    return file


def read_notice(sockets_dir: str) -> Notice | None:
    """The notice of the daemon that serves `sockets_dir`, None where `find_posted` finds none."""
    posted = find_posted(sockets_dir)
    return None if posted is None else posted.notice


def find_posted(sockets_dir: str) -> Posted | None:
    """The notice in `sockets_dir`, and which process holds it.

    None where no process of this pid namespace holds one, or where what is there is not private to
    the user who asks: a directory or a notice of another user's, or that others may write. The
    calling process finds none of its own.
    """
    if sys.platform != "linux":
        return None
    try:
        with _opened(sockets_dir, os.O_DIRECTORY) as directory:
            if not _is_private(directory, forbidden=0o022):
                return None
            with _opened(NAME, os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory) as file:
                text = os.read(file, _LONGEST)
                holder = find_holder(file, _hash(text))
                if not holder or not _is_private(file, forbidden=0o077):
                    return None
                return Posted(notice=msgspec.json.decode(text, type=Notice), pid=holder)
    except (OSError, msgspec.DecodeError):
        return None


def find_notice(locations: Locations) -> Notice | None:
    """The notice of the daemon that serves these sockets, if by the same configuration."""
    notice = read_notice(locations.sockets_dir)
    if notice is None or notice.config_dir != os.path.realpath(locations.config_dir):
        return None
    return notice


def _hash(text: bytes) -> int:
    """The offset that stands for a text: 62 bits, as an offset has a sign and a byte an end."""
    return int.from_bytes(hashlib.sha256(text).digest()[:8]) >> 2


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
