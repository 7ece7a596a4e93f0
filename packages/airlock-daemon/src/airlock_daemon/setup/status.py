"""A running daemon's status file, by which other commands find it.

A container that mounts the sockets directory and runs as the daemon's user can write there. So the
daemon locks the status file while it runs, at the offset given by the hash of its text: the kernel
then names the process that published this very text. `admin.cli.reload` signals that process.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import ClassVar, Self

import msgspec

from airlock_daemon.platform.system import find_holder, lock_byte
from airlock_daemon.setup.paths import Locations

_NEW = ".serving.new"

PUBLISHED_VARIABLES = ("PATH", "SSH_AUTH_SOCK")
"""The daemon's variables that determine its tools and what they find."""

# Nothing here writes a longer one.
_MAX_LENGTH = 1 << 20


class Reload(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a reload: the agents that it added, changed and removed, or its faults.

    With `faults` nothing changed. `unserved` has the faults of agents that are not served, by name;
    one that was served before is also in `removed`. `began` is in seconds of CLOCK_MONOTONIC,
    `ended` in seconds since 1970.
    """

    began: float
    ended: float
    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    unserved: dict[str, tuple[str, ...]] = {}


class DaemonStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A daemon's start: its configuration's real path, its registration's path.

    `agents` is None without a registration file. `reload` is the latest one. `environment` has its
    variables of TOLD.
    """

    FILE: ClassVar[str] = ".serving"
    """Its name in the sockets directory."""

    config_dir: str
    agents: str | None
    environment: dict[str, str] = {}
    reload: Reload | None = None

    @classmethod
    def of(cls, locations: Locations) -> Self:
        """The status of a daemon that was started with these files."""
        return cls(
            config_dir=os.path.realpath(locations.config_dir),
            agents=locations.agents,
            environment={
                name: os.environ[name] for name in PUBLISHED_VARIABLES if name in os.environ
            },
        )

    @classmethod
    def find(cls, locations: Locations) -> "DaemonStatus | None":
        """The status of the daemon that serves these sockets, if with the same configuration."""
        found = cls.find_published(locations.sockets_dir)
        if found is None or found.status.config_dir != os.path.realpath(locations.config_dir):
            return None
        return found.status

    @classmethod
    def find_published(cls, sockets_dir: str) -> "PublishedStatus | None":
        """The status in `sockets_dir`, and the process that locks it.

        None if no process of this pid namespace locks it, or if the directory or the file is not
        private: it belongs to another user, or others may write it. A process does not find its own
        lock.
        """
        try:
            with _opened(sockets_dir, os.O_DIRECTORY) as directory:
                if not _is_private(directory, forbidden=0o022):
                    return None
                with _opened(cls.FILE, os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory) as file:
                    text = os.read(file, _MAX_LENGTH)
                    holder = find_holder(file, _hash(text))
                    if not holder or not _is_private(file, forbidden=0o077):
                        return None
                    return PublishedStatus(status=msgspec.json.decode(text, type=cls), pid=holder)
        except (OSError, msgspec.DecodeError):
            return None

    def publish(self, directory: int) -> int:
        """Publish it in the open sockets directory `directory`, which the caller has locked.

        It is valid until the returned descriptor is closed. Raises OSError.
        """
        text = msgspec.json.encode(self)
        with suppress(FileNotFoundError):
            os.unlink(_NEW, dir_fd=directory)
        # A new file, locked before it is renamed, so that no reader sees it unlocked.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.open(_NEW, flags, 0o600, dir_fd=directory)
        try:
            if os.write(file, text) < len(text):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            lock_byte(file, _hash(text))
            os.rename(_NEW, DaemonStatus.FILE, src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            os.close(file)
            raise
        return file


class PublishedStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A status, and the process that published it, according to the kernel."""

    status: DaemonStatus
    pid: int


def _hash(text: bytes) -> int:
    """The lock offset for a text: 62 bits, as an offset is signed and a lock needs an end."""
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
