"""Tests of `airlock_daemon.platform.pipes`, with splice(2) and with what stands for it."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from airlock_daemon.platform.pipes import splice
from airlock_daemon.platform.posix.copying import copy

Move = Callable[[int, int, int], int]


@pytest.fixture(params=[splice, copy], ids=["splice", "copy"])
def move(request: pytest.FixtureRequest) -> Move:
    chosen: Move = request.param
    return chosen


@pytest.fixture
def pipes() -> Iterator[list[int]]:
    ends = [*os.pipe(), *os.pipe()]
    yield ends
    for end in ends:
        os.close(end)


def test_all_bytes_arrive_in_order(move: Move, pipes: list[int]) -> None:
    """However small the target's room is."""
    reading, writing, taking, giving = pipes
    data = os.urandom(60_000)
    os.write(writing, data)
    got = b""
    while len(got) < len(data):
        moved = move(reading, giving, 1 << 20)
        got += os.read(taking, moved)
    assert got == data


def test_no_more_than_asked_for_is_moved(move: Move, pipes: list[int]) -> None:
    """The rest stays in the source."""
    reading, writing, taking, giving = pipes
    os.write(writing, b"abcdef")
    assert move(reading, giving, 4) == 4
    assert os.read(taking, 9) == b"abcd"
    assert os.read(reading, 9) == b"ef"


def test_an_empty_source_and_a_full_target_do_not_block(move: Move, pipes: list[int]) -> None:
    """Although the descriptors themselves would."""
    reading, writing, _, giving = pipes
    with pytest.raises(BlockingIOError):
        move(reading, giving, 1)
    os.set_blocking(giving, False)
    with suppress(BlockingIOError):
        while True:
            os.write(giving, b"x" * 4096)
    os.set_blocking(giving, True)
    os.write(writing, b"x")
    with pytest.raises(BlockingIOError):
        move(reading, giving, 1)
    assert os.read(reading, 9) == b"x"


def test_the_end_is_zero_and_a_reader_that_is_gone_an_error(move: Move) -> None:
    """As splice(2) has it."""
    reading, writing = os.pipe()
    taking, giving = os.pipe()
    os.write(writing, b"x")
    os.close(taking)
    with pytest.raises(BrokenPipeError):
        move(reading, giving, 1)
    os.close(writing)
    taking, other = os.pipe()
    while move(reading, other, 9):
        pass
    for end in (reading, giving, taking, other):
        os.close(end)
