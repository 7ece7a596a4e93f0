"""A per-request snapshot of host paths: each is looked at once.

Some of these paths lie in directories of agents. Reading the names in a directory holds its lock
while they are copied to the reader's memory, for as long as an agent likes; a lookup of a name that
the kernel does not have in memory waits for that lock. In the event loop that would stop all
agents, so a lookup that would wait is done in a thread.
"""

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import msgspec
import trio

from airlock_daemon.errors import Failed
from airlock_daemon.platform.linux.openat2 import (
    RESOLVE_CACHED,
    RESOLVE_NO_SYMLINKS,
    openat2,
    read_known_status,
)
from airlock_daemon.platform.threads import run_in_thread

T = TypeVar("T")


def _drop_nothing(_: object) -> None:
    """There is nothing to give back."""


async def find_in_thread(
    find: Callable[[], T],
    lookups: trio.CapacityLimiter,
    *,
    drop: Callable[[T], object] = _drop_nothing,
) -> T:
    """Return what `find` finds, in a thread of `lookups`; raises what it raises, and Failed.

    Where this is cancelled the thread is left to itself, and what it finds then is for `drop`.
    """
    # What is in it belongs to whoever takes it out first.
    found = list[T]()
    is_left = False

    def drop_found() -> None:
        with suppress(IndexError):
            drop(found.pop())

    def find_alone() -> T:
        result = find()
        found.append(result)
        if is_left:
            drop_found()
        return result

    try:
        return await run_in_thread(find_alone, limiter=lookups)
    except trio.Cancelled:
        is_left = True
        drop_found()
        raise


async def look_in_thread(
    look: Callable[[int], T],
    directory: int,
    lookups: trio.CapacityLimiter,
    *,
    drop: Callable[[T], object] = _drop_nothing,
) -> T:
    """The same for what `look` finds from the open `directory` on.

    The thread has a descriptor of its own for that.
    """
    own = [os.dup(directory)]

    def find() -> T:
        descriptor = own.pop()
        try:
            return look(descriptor)
        finally:
            os.close(descriptor)

    try:
        return await find_in_thread(find, lookups, drop=drop)
    except (trio.Cancelled, Failed):
        # The thread has it, or never begins.
        with suppress(IndexError):
            os.close(own.pop())
        raise


_FLAGS = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_AT_ONCE = RESOLVE_CACHED | RESOLVE_NO_SYMLINKS


class HostPath(msgspec.Struct, frozen=True):
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
    def file_id(self) -> tuple[int, int]:
        """Its device and inode."""
        return self.status.st_dev, self.status.st_ino


class HostPaths:
    """What stands at each path that was looked at; it may have changed since.

    Some of these paths lie in directories of agents, where to look for a name may take as long as
    an agent likes (`aside`). So where that `in_thread`, only what the kernel knows is looked at in
    place, and everything else in a thread: by `settle`.
    """

    def __init__(self, *, in_thread: bool = False) -> None:
        self._in_thread = in_thread
        self._found: dict[str, HostPath | None] = {}

    def look(self, path: str) -> HostPath | None:
        """Look up the absolute `path`; None where nothing is found."""
        if path not in self._found:
            self._found[path] = _look_at_once(path) if self._in_thread else _look(path)
        return self._found[path]

    def is_directory(self, path: str) -> bool:
        """Whether a directory stands there, or a link to one."""
        found = self.look(path)
        return found is not None and found.is_directory

    def file_id(self, path: str) -> tuple[int, int] | None:
        """The identity of the file at `path`."""
        found = self.look(path)
        return None if found is None else found.file_id

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
            self._in_thread = False
        try:
            return await find_in_thread(find, lookups)
        finally:
            self._in_thread = True


class _WouldWaitError(Exception):
    """This path cannot be looked up without waiting."""


def _look(path: str) -> HostPath | None:
    try:
        try:
            status = os.stat(path)
        except OSError:
            status = os.lstat(path)
        return HostPath(os.path.realpath(path), status)
    except OSError:
        return None


def _look_at_once(path: str) -> HostPath | None:
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
    return HostPath(path, status)
