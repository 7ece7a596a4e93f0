"""Threads that look at a workspace, and may never be done."""

import os
import threading

import pytest
import trio
import trio.testing

from airlock_daemon.workspace.aside import look_aside


def list_open() -> set[str]:
    """The descriptors of this process."""
    return set(os.listdir("/proc/self/fd"))


@pytest.fixture
def lookups() -> trio.CapacityLimiter:
    """One thread."""
    return trio.CapacityLimiter(1)


async def test_what_is_found_is_returned_and_a_refusal_is_raised(
    lookups: trio.CapacityLimiter,
) -> None:
    """The thread has a descriptor of the same directory, and leaves none."""
    root = os.open("/usr", os.O_PATH)
    before = list_open()
    assert (
        await look_aside(lambda own: os.readlink(f"/proc/self/fd/{own}"), root, lookups) == "/usr"
    )
    with pytest.raises(FileNotFoundError):
        await look_aside(lambda own: os.stat("nothing", dir_fd=own), root, lookups)
    assert list_open() == before
    os.close(root)


async def test_a_thread_that_is_left_drops_what_it_finds(lookups: trio.CapacityLimiter) -> None:
    """Whoever does not wait any longer may close the directory; nothing stays open."""
    before = list_open()
    root = os.open("/usr", os.O_PATH)
    begun, may_go_on, dropped = threading.Event(), threading.Event(), threading.Event()

    def look(own: int) -> int:
        begun.set()
        may_go_on.wait()
        return os.open("bin", os.O_PATH, dir_fd=own)

    def drop(found: int) -> None:
        os.close(found)
        dropped.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: look_aside(look, root, lookups, drop=drop))
        await trio.to_thread.run_sync(begun.wait)
        # One that waits for the thread is left, too.
        nursery.start_soon(lambda: look_aside(look, root, lookups, drop=drop))
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    os.close(root)
    may_go_on.set()
    await trio.to_thread.run_sync(dropped.wait)
    assert list_open() == before
