"""Tests of `boundary.workspace.snapshot`: looking at once or in a thread, each path once."""

import os
import threading
from pathlib import Path

import pytest
import trio
import trio.testing

from airlock_daemon.boundary.workspace.snapshot import HostPath, HostPaths, look_in_thread


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
        await look_in_thread(lambda own: os.readlink(f"/proc/self/fd/{own}"), root, lookups)
        == "/usr"
    )
    with pytest.raises(FileNotFoundError):
        await look_in_thread(lambda own: os.stat("nothing", dir_fd=own), root, lookups)
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
        nursery.start_soon(lambda: look_in_thread(look, root, lookups, drop=drop))
        await trio.to_thread.run_sync(begun.wait)
        # One that waits for the thread is left, too.
        nursery.start_soon(lambda: look_in_thread(look, root, lookups, drop=drop))
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    os.close(root)
    may_go_on.set()
    await trio.to_thread.run_sync(dropped.wait)
    assert list_open() == before


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with one of everything, of which the kernel knows."""
    place = Path(os.path.realpath(tmp_path))
    (place / "directory").mkdir()
    (place / "file").touch()
    (place / "link").symlink_to("directory")
    (place / "nowhere").symlink_to("nothing")
    os.path.lexists(place / "nothing")
    return place


NAMES = ("directory", "file", "link", "nowhere", "nothing", "file/below", "link/below")


@pytest.mark.parametrize("name", NAMES)
async def test_it_is_the_same_in_a_thread_and_in_place(place: Path, name: str) -> None:
    """Kind and real path are those of what links lead to, and of the link that leads nowhere."""
    path = str(place / name)
    aside, at_once = HostPaths(in_thread=True), HostPaths()
    found = await aside.settle(lambda: aside.look(path), trio.CapacityLimiter(1))
    expected = at_once.look(path)
    assert (found is None) == (expected is None) == (not os.path.lexists(path))
    if found is not None and expected is not None:
        assert (found.real, found.file_id) == (expected.real, expected.file_id)
        assert found.real == os.path.realpath(path)
    assert aside.is_directory(path) == os.path.isdir(path)
    assert aside.is_plain(path) == (name in ("directory", "file"))


async def test_what_the_kernel_does_not_know_is_looked_for_in_a_thread(place: Path) -> None:
    """And everything else goes on: a name that was never asked for, and one that was renamed."""
    (place / "file").rename(place / "other")
    host_paths, threads = HostPaths(in_thread=True), trio.CapacityLimiter(1)
    for name, is_there in (("never", False), ("file", False), ("link", True), ("./other", True)):
        path = f"{place}/{name}"
        found = list[HostPath | None]()

        async def look(path: str = path, found: list[HostPath | None] = found) -> None:
            found.append(await host_paths.settle(lambda: host_paths.look(path), threads))

        threads.acquire_on_behalf_of_nowait(threads)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(look)
            await trio.testing.wait_all_tasks_blocked()
            assert not found, name
            threads.release_on_behalf_of(threads)
        assert [each is not None for each in found] == [is_there], name


async def test_a_request_keeps_to_what_it_has_seen(place: Path) -> None:
    """What is put in the place of something later is another thing, by device and inode."""
    host_paths = HostPaths()
    before = host_paths.file_id(str(place / "directory"))
    (place / "directory").rename(place / "moved")
    (place / "directory").mkdir()
    assert host_paths.file_id(str(place / "directory")) == before
    assert HostPaths().file_id(str(place / "directory")) != before
    assert HostPaths().file_id(str(place / "moved")) == before


async def test_what_has_to_wait_is_looked_for_as_a_whole_in_one_thread(place: Path) -> None:
    """However many of the paths are unknown, nothing is found more than twice."""
    host_paths, calls = HostPaths(in_thread=True), list[str]()

    def find() -> int:
        calls.append("find")
        return sum(host_paths.look(f"{place}/never-{number}") is None for number in range(100))

    assert await host_paths.settle(find, trio.CapacityLimiter(1)) == 100
    assert calls == ["find", "find"]
    assert await host_paths.settle(find, trio.CapacityLimiter(1)) == 100
    assert calls == ["find", "find", "find"]
