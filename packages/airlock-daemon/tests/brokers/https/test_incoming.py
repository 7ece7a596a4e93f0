"""Bodies that are read whole: in memory, in a file, and what all of an agent take."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from airlock_daemon.brokers.https.incoming import IN_MEMORY, Held, Spool
from airlock_daemon.errors import Failed


def pieces(*sizes: int) -> Callable[[], Awaitable[bytes]]:
    """What reads pieces of these sizes, each with a letter of its own."""
    left = [bytes([65 + number]) * size for number, size in enumerate(sizes)]

    async def read() -> bytes:
        return left.pop(0) if left else b""

    return read


def read_whole(held: Held) -> bytes:
    found = b""
    while piece := held.read(len(found)):
        found += piece
    return found


def count_files(folder: Path) -> int:
    """How many files of a folder this process has open, with a name or without."""
    links = (f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd"))
    return sum(os.readlink(link).startswith(str(folder)) for link in links if os.path.exists(link))


async def test_a_long_body_is_in_a_file_without_a_name(tmp_path: Path) -> None:
    """A short one is in memory; both have the bytes that came."""
    spool = Spool(str(tmp_path))
    short = await spool.hold(pieces(10, 20))
    assert count_files(tmp_path) == 0
    long = await spool.hold(pieces(IN_MEMORY, 1, 5))
    assert (os.listdir(tmp_path), count_files(tmp_path)) == ([], 1)
    assert read_whole(short) == b"A" * 10 + b"B" * 20
    assert read_whole(long) == b"A" * IN_MEMORY + b"B" + b"C" * 5
    short.close()
    long.close()


async def test_memory_is_bounded_for_all_together(tmp_path: Path) -> None:
    """Bodies that are short by themselves go into files where many come at once."""
    spool = Spool(str(tmp_path))
    held = [await spool.hold(pieces(IN_MEMORY - 1)) for _ in range(8)]
    assert all(read_whole(each) == b"A" * (IN_MEMORY - 1) for each in held)
    for each in held:
        each.close()


async def test_what_all_take_is_bounded_and_given_back(tmp_path: Path) -> None:
    """A body that is too long leaves nothing behind."""
    spool = Spool(str(tmp_path), most=100)
    first = await spool.hold(pieces(60))
    with pytest.raises(Failed, match="too long together"):
        await spool.hold(pieces(30, 20))
    first.close()
    second = await spool.hold(pieces(60, 40))
    assert second.size == 100
    second.close()
