"""Target: a stream of bytes, cut into lines.

The first byte chooses the limit on a line, the second seeds the cutting into pieces. However the
bytes come, and whenever lines are taken, the lines are what stands between newlines, up to one that
is too long: nothing comes after that, and nothing is kept.
"""

from airlock_wire.grammar import LineReader, LineTooLong
from fuzz.pieces import cut
from fuzz.target import BrokenPromiseError, Target

_MAX_LENGTH = 2048


def _check(data: bytes) -> None:
    if len(data) < 2:
        return
    limit, seed, stream = data[0] % 64, data[1], data[2:]
    at_once = _read(stream, limit, list(cut(stream, seed)))
    _compare(_split(stream, limit), at_once)
    if stream.count(b"\n") == 1 and stream.endswith(b"\n"):
        # All at once: only for one line, since what is too long may be noticed before an earlier
        # line has been taken.
        _compare(_split(stream, limit), _read(stream, limit, [stream]))


def _split(stream: bytes, limit: int) -> tuple[list[bytes], bytes | None]:
    """Return the lines, and what is begun behind them; None where a line is too long."""
    *lines, rest = stream.split(b"\n")
    for number, line in enumerate(lines):
        if len(line) > limit:
            return lines[:number], None
    return (lines, None) if len(rest) > limit else (lines, rest)


def _read(stream: bytes, limit: int, pieces: list[bytes]) -> tuple[list[bytes], bytes | None]:
    reader = LineReader(limit)
    lines: list[bytes] = []
    try:
        for piece in pieces:
            reader.receive(piece)
            while (line := reader.next_line()) is not None:
                lines.append(line)
    except LineTooLong:
        return lines, None
    rest = stream[stream.rfind(b"\n") + 1 :]
    if reader.has_line or reader.is_empty != (not rest):
        raise BrokenPromiseError("a line waits that was taken, or nothing where one was begun")
    return lines, rest


def _compare(
    expected: tuple[list[bytes], bytes | None], found: tuple[list[bytes], bytes | None]
) -> None:
    if found != expected:
        raise BrokenPromiseError(f"read {found!a}, not {expected!a}")


TARGET = Target(
    check=_check,
    seeds=(b"\x10\x01one\ntwo\n\nthree", b"\x02\x02abc\nde\n", b"\x00\x03\n\n\n"),
    words=(b"\n", b"\n\n", b"x" * 63, b"\r\n", b"\0"),
    longest=_MAX_LENGTH,
)
"""Cutting a stream into lines."""
