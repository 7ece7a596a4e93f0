"""Splitting bytes into lines."""

from airlock_wire.grammar import LineReader


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
