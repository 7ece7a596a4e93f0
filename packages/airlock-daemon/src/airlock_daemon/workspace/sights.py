"""What stands at paths of the host, as one request finds it: looked at once, and held to."""

import errno
import os
import stat
from collections.abc import Callable
from typing import TypeVar

import msgspec
import trio

from airlock_daemon.platform.linux.known_status import read_known_status
from airlock_daemon.platform.linux.openat2 import RESOLVE_CACHED, RESOLVE_NO_SYMLINKS, openat2
from airlock_daemon.workspace.aside import find_aside

T = TypeVar("T")

_FLAGS = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_AT_ONCE = RESOLVE_CACHED | RESOLVE_NO_SYMLINKS


class Sight(msgspec.Struct, frozen=True):
    """What was found at a path: `real` is that path without links.

    `status` is of what links lead to, and of the link itself where that is nothing; its size and
    times may be 0.
    """

    real: str
    status: os.stat_result

    @property
    def is_directory(self) -> bool:
        """Whether it is one, or a link to one."""
        return stat.S_ISDIR(self.status.st_mode)

    @property
    def mark(self) -> tuple[int, int]:
        """Its device and inode."""
        return self.status.st_dev, self.status.st_ino


class Sights:
    """What stands at each path that was looked at; it may have changed since.

    Some of these paths lie in directories of agents, where to look for a name may take as long as
    an agent likes (`aside`). So where that `is_aside`, only what the kernel knows is looked at in
    place, and everything else in a thread: by `settle`.
    """

    def __init__(self, *, is_aside: bool = False) -> None:
        self._is_aside = is_aside
        self._found: dict[str, Sight | None] = {}

    def look(self, path: str) -> Sight | None:
        """What stands at the absolute `path`, None for what cannot be found."""
        if path not in self._found:
            self._found[path] = _look_at_once(path) if self._is_aside else _look(path)
        return self._found[path]

    def is_directory(self, path: str) -> bool:
        """Whether a directory stands there, or a link to one."""
        found = self.look(path)
        return found is not None and found.is_directory

    def mark(self, path: str) -> tuple[int, int] | None:
        """That of what stands there."""
        found = self.look(path)
        return None if found is None else found.mark

    def is_plain(self, path: str) -> bool:
        """Whether something stands there, and no part of the path is a link."""
        found = self.look(path)
        return found is not None and found.real == path

    async def settle(self, find: Callable[[], T], lookups: trio.CapacityLimiter) -> T:
        """Return what `find` returns, which may look here as it likes.

        Where something has to be waited for it is called again, in a thread of `lookups`.
        """
        try:
            return find()
        except _WouldWaitError:
            self._is_aside = False
        try:
            return await find_aside(find, lookups)
        finally:
            self._is_aside = True


class _WouldWaitError(Exception):
    """What stands at this path cannot be found without waiting for it."""


def _look(path: str) -> Sight | None:
    try:
        try:
            status = os.stat(path)
        except OSError:
            status = os.lstat(path)
        return Sight(os.path.realpath(path), status)
    except OSError:
        return None


def _look_at_once(path: str) -> Sight | None:
    try:
        descriptor = openat2(path, _FLAGS, resolve=_AT_ONCE)
    except NotImplementedError as error:
        raise _WouldWaitError(path) from error
    except OSError as error:
        # A link may lead anywhere.
        if error.errno in (errno.EAGAIN, errno.ELOOP):
            raise _WouldWaitError(path) from error
        return None
    try:
        status = read_known_status(descriptor)
    finally:
        os.close(descriptor)
    if stat.S_ISLNK(status.st_mode) or os.path.normpath(path) != path:
        raise _WouldWaitError(path)
    return Sight(path, status)
