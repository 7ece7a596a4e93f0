"""A per-request snapshot of host paths: each is looked up once.

Some of these paths lie in agents' directories. A directory's lock is held while its entries are
copied to a reader's memory, for as long as an agent likes; a lookup of an uncached name waits for
that lock. In the event loop this would block all agents, so a lookup that would block runs in a
thread.
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
from airlock_daemon.platform.system import LOOK, openat2, read_known_status
from airlock_daemon.threads import run_in_thread

T = TypeVar("T")


def _drop_nothing(_: object) -> None:
    """Nothing to release."""


async def find_in_thread(
    find: Callable[[], T],
    lookups: trio.CapacityLimiter,
    *,
    drop: Callable[[T], object] = _drop_nothing,
) -> T:
    """Run `find` in a thread of `lookups`; raises what it raises, and Failed.

    On cancellation the thread is abandoned, and `drop` gets its result.
    """
    # Whoever pops the result owns it.
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
    """As `find_in_thread`, for a `look` that starts at the open `directory`.

    The thread gets its own descriptor.
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
        # Unless the thread took the descriptor, it will not begin.
        with suppress(IndexError):
            os.close(own.pop())
        raise


_FLAGS = LOOK | os.O_NOFOLLOW | os.O_CLOEXEC


class HostPath(msgspec.Struct, frozen=True):
    """The file at a path: `real` is the path without symlinks.

    `status` is that of the symlink's target, or of a dangling symlink itself; its size and times
    may be 0.
    """

    real: str
    status: os.stat_result

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory, or a symlink to one."""
        return stat.S_ISDIR(self.status.st_mode)

    @property
    def file_id(self) -> tuple[int, int]:
        """Device and inode."""
        return self.status.st_dev, self.status.st_ino


class HostPaths:
    """The files at the paths looked up so far; they may have changed since.

    Some paths lie in agents' directories, where a lookup may block for as long as an agent likes.
    So with `in_thread`, only cached paths are looked up in place; `settle` does the rest in a
    thread.
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
        """Whether there is a directory, or a symlink to one."""
        found = self.look(path)
        return found is not None and found.is_directory

    def file_id(self, path: str) -> tuple[int, int] | None:
        """Device and inode of the file at `path`, None if there is none."""
        found = self.look(path)
        return None if found is None else found.file_id

    def is_plain(self, path: str) -> bool:
        """Whether the file exists and no part of the path is a symlink."""
        found = self.look(path)
        return found is not None and found.real == path

    async def settle(self, find: Callable[[], T], lookups: trio.CapacityLimiter) -> T:
        """Return the result of `find`, which may look up paths here.

        If a lookup would block, `find` is called again in a thread of `lookups`.
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
    """Looking up this path would block."""


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
        descriptor = openat2(path, _FLAGS, is_cached=True, no_links=True)
    except NotImplementedError as error:
        raise _WouldWaitError(path) from error
    except OSError as error:
        # A symlink may lead anywhere.
        if error.errno in (errno.EAGAIN, errno.ELOOP):
            raise _WouldWaitError(path) from error
        return None
    try:
        status = read_known_status(descriptor)
    except OSError:
        # The root of another user's FUSE file system can be opened, and tells nothing.
        return None
    finally:
        os.close(descriptor)
    if stat.S_ISLNK(status.st_mode) or os.path.normpath(path) != path:
        raise _WouldWaitError(path)
    return HostPath(path, status)
