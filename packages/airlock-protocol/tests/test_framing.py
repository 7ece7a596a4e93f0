"""Splitting bytes into lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock_wire.framing import LineReader, LineTooLong


def read_all(reader: LineReader) -> list[bytes]:
    lines = []
    while (line := reader.next_line()) is not None:
        lines.append(line)
    return lines


@given(pieces=st.lists(st.binary() | st.just(b"\n")))
def test_lines_may_be_taken_late(pieces: list[bytes]) -> None:
    """Reading the lines after all bytes were received gives the same lines."""
    reader = LineReader(1 << 20)
    for piece in pieces:
        reader.receive(piece)
    assert read_all(reader) == b"".join(pieces).split(b"\n")[:-1]


def test_a_line_as_long_as_the_limit_is_read() -> None:
    """The limit counts the line without its newline."""
    reader = LineReader(4)
    reader.receive(b"abcd\n")
    assert reader.has_line
    assert reader.next_line() == b"abcd"


@pytest.mark.parametrize("pieces", [[b"abcde"], [b"abcde\n"], [b"ab", b"cde"], [b"ab", b"cde\nx"]])
def test_a_longer_line_is_an_error_with_and_without_newline(pieces: list[bytes]) -> None:
    """One byte too many is an error at once, and stays one."""
    reader = LineReader(4)
    for piece in pieces:
        reader.receive(piece)
    assert not reader.is_empty
    for _ in range(2):
        with pytest.raises(LineTooLong):
            reader.next_line()


def test_a_long_line_after_a_good_one_is_an_error() -> None:
    """The limit applies to each line, even one received together with another."""
    reader = LineReader(4)
    reader.receive(b"ab\nabcde")
    assert reader.next_line() == b"ab"
    with pytest.raises(LineTooLong):
        reader.next_line()


def test_what_follows_a_long_line_is_not_kept() -> None:
    """A peer that continues after the limit costs no memory."""
    reader = LineReader(4)
    reader.receive(b"abcde")
    for _ in range(64):
        reader.receive(bytes(65536))
    assert len(reader._buffer) == 0


def test_one_byte_at_a_time_searches_each_byte_once() -> None:
    """The work is linear in the bytes, however small the pieces."""
    searched = 0

    class Counting(bytearray):
        def find(self, sub: bytes, start: int = 0) -> int:  # type: ignore[override]
            nonlocal searched
            searched += len(self) - start
            return super().find(sub, start)

    reader = LineReader(1 << 20)
    reader._buffer = Counting()
    for _ in range(20_000):
        reader.receive(b"a")
    reader.receive(b"\n")
    assert searched == 20_001
    assert reader.next_line() == b"a" * 20_000
