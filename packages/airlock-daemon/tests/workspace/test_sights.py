"""What stands at paths, as one request finds it: nothing is waited for in the event loop."""

import os
from pathlib import Path

import pytest
import trio
import trio.testing

from airlock_daemon.workspace.sights import Sight, Sights


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
    aside, at_once = Sights(is_aside=True), Sights()
    found = await aside.settle(lambda: aside.look(path), trio.CapacityLimiter(1))
    expected = at_once.look(path)
    assert (found is None) == (expected is None) == (not os.path.lexists(path))
    if found is not None and expected is not None:
        assert (found.real, found.mark) == (expected.real, expected.mark)
        assert found.real == os.path.realpath(path)
    assert aside.is_directory(path) == os.path.isdir(path)
    assert aside.is_plain(path) == (name in ("directory", "file"))


async def test_what_the_kernel_does_not_know_is_looked_for_in_a_thread(place: Path) -> None:
    """And everything else goes on: a name that was never asked for, and one that was renamed."""
    (place / "file").rename(place / "other")
    sights, threads = Sights(is_aside=True), trio.CapacityLimiter(1)
    for name, is_there in (("never", False), ("file", False), ("link", True), ("./other", True)):
        path = f"{place}/{name}"
        found = list[Sight | None]()

        async def look(path: str = path, found: list[Sight | None] = found) -> None:
            found.append(await sights.settle(lambda: sights.look(path), threads))

        threads.acquire_on_behalf_of_nowait(threads)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(look)
            await trio.testing.wait_all_tasks_blocked()
            assert not found, name
            threads.release_on_behalf_of(threads)
        assert [each is not None for each in found] == [is_there], name


async def test_a_request_keeps_to_what_it_has_seen(place: Path) -> None:
    """What is put in the place of something later is another thing, by device and inode."""
    sights = Sights()
    before = sights.mark(str(place / "directory"))
    (place / "directory").rename(place / "moved")
    (place / "directory").mkdir()
    assert sights.mark(str(place / "directory")) == before
    assert Sights().mark(str(place / "directory")) != before
    assert Sights().mark(str(place / "moved")) == before


async def test_what_has_to_wait_is_looked_for_as_a_whole_in_one_thread(place: Path) -> None:
    """However many of the paths are unknown, nothing is found more than twice."""
    sights, calls = Sights(is_aside=True), list[str]()

    def find() -> int:
        calls.append("find")
        return sum(sights.look(f"{place}/never-{number}") is None for number in range(100))

    assert await sights.settle(find, trio.CapacityLimiter(1)) == 100
    assert calls == ["find", "find"]
    assert await sights.settle(find, trio.CapacityLimiter(1)) == 100
    assert calls == ["find", "find", "find"]
