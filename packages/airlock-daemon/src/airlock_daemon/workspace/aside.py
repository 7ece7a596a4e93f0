"""Looking at a workspace in threads, for what the event loop would have to wait for.

Whoever reads the names in a directory holds its lock while memory of theirs is written to, and that
may take as long as they like; who looks for a name that the kernel does not have in memory waits
for the lock. In the event loop that would stop all agents.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import trio

from airlock_daemon.errors import Failed
from airlock_daemon.platform.threads import run_in_thread

T = TypeVar("T")


def _drop_nothing(_: object) -> None:
    """There is nothing to give back."""


async def find_aside(
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


async def look_aside(
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
        return await find_aside(find, lookups, drop=drop)
    except (trio.Cancelled, Failed):
        # The thread has it, or never begins.
        with suppress(IndexError):
            os.close(own.pop())
        raise
