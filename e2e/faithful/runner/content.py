"""Contents that are too long to be written down: generated, the same each time."""

import hashlib
from collections.abc import Iterator
from random import Random

from e2e.faithful.runner.entry import Content

PIECE = 65536
"""Generated contents come in pieces of at most this many bytes."""

# Random bytes are this much and then again from the start: enough for no two pieces alike nearby.
_PERIOD = 16 * PIECE


def pieces(content: Content) -> Iterator[bytes]:
    """Yield `content` piece by piece."""
    if content.text:
        yield content.text.encode()
    elif content.lines:
        for start in range(0, content.lines, 4096):
            numbers = range(start, min(start + 4096, content.lines))
            yield b"".join(b"line %d of the input\n" % number for number in numbers)
    elif content.random:
        block = Random(1).randbytes(min(content.random, _PERIOD))  # noqa: S311 - no secret
        left = content.random
        while left:
            for at in range(0, min(left, len(block)), PIECE):
                piece = block[at : at + min(PIECE, left)]
                left -= len(piece)
                yield piece


def whole(content: Content) -> bytes:
    """Return all of `content` at once."""
    return b"".join(pieces(content))


class Capture:
    """What a stream has said: all of it while it is short, and a digest however long it is."""

    KEPT = 1 << 20
    """This many bytes are kept to be shown and normalised."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.kept = bytearray()
        self.length = 0
        self._digest = hashlib.sha256()

    def add(self, data: bytes) -> None:
        """Take the next bytes."""
        self.length += len(data)
        self._digest.update(data)
        if len(self.kept) < self.KEPT:
            self.kept += data[: self.KEPT - len(self.kept)]

    @property
    def digest(self) -> str:
        """SHA-256 of everything, in hexadecimal."""
        return self._digest.hexdigest()
