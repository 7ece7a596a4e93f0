"""Tests of `airlock_daemon.threads`, and of all that takes one where there are no more."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from airlock_daemon.boundary.connection.descriptors import start_in_thread
from airlock_daemon.boundary.workspace.directory import look_in_thread
from airlock_daemon.boundary.workspace.temporary import Workspace
from airlock_daemon.errors import Failed
from airlock_daemon.threads import run_in_thread


@contextmanager
def no_thread_starts() -> Iterator[None]:
    """As where a limit of processes is reached (pthread_create(3), EAGAIN)."""

    def fail(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", fail)
        # trio keeps those that have ended for a while.
        patch.setattr("trio._core._thread_cache.THREAD_CACHE._idle_workers", {})
        yield


async def test_what_has_no_thread_is_refused_and_what_fails_in_one_is_raised() -> None:
    """The place of the limiter is free again."""
    limiter = trio.CapacityLimiter(1)

    def fail() -> None:
        raise RuntimeError("of its own")

    with no_thread_starts(), pytest.raises(Failed, match="no more threads"):
        await run_in_thread(fail, limiter=limiter)
    with pytest.raises(RuntimeError, match="of its own"):
        await run_in_thread(fail, limiter=limiter)
    assert await run_in_thread(lambda: 7, limiter=limiter) == 7


async def test_who_looks_aside_in_vain_leaves_no_descriptor() -> None:
    """Else each refused request would take one from everybody."""
    root = os.open("/usr", os.O_PATH)
    before = os.listdir("/proc/self/fd")
    with no_thread_starts(), pytest.raises(Failed):
        await look_in_thread(os.fstat, root, trio.CapacityLimiter(1))
    assert os.listdir("/proc/self/fd") == before
    os.close(root)


async def test_a_directory_whose_removal_has_no_thread_ends_no_request() -> None:
    """It goes when a daemon starts."""
    made = Workspace.make_empty(None)
    Path(made.path, "left").touch()
    with no_thread_starts():
        await made.release(trio.CapacityLimiter(1))
    assert os.path.exists(made.path)
    os.unlink(os.path.join(made.path, "left"))
    os.rmdir(made.path)


def test_what_had_no_thread_keeps_nothing_else_waiting() -> None:
    """It is done as soon as there are threads, and what comes later has one of its own."""
    may_end = threading.Event()

    def hang(begun: threading.Event) -> Callable[[], None]:
        def act() -> None:
            begun.set()
            may_end.wait()

        return act

    begun = [threading.Event() for _ in range(8)]
    for each in begun:
        start_in_thread(hang(each))
    assert all(each.wait(30) for each in begun)
    late, done = threading.Event(), threading.Event()
    with no_thread_starts():
        start_in_thread(hang(late))
    start_in_thread(done.set)
    assert late.wait(30)
    assert done.wait(30)
    may_end.set()
