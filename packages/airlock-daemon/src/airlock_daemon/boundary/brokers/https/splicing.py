"""Opaque connections: reads a ClientHello's server name, splices two streams, and closes a stream
with a last message.
"""

import struct
from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from airlock_daemon.boundary.brokers.http import TlsStream

if TYPE_CHECKING:
    from airlock_daemon.boundary.fairness import TurnSource

# ClientHello (RFC 8446, 5.1 and 4.1.2; RFC 6066, 3).
_HANDSHAKE, _CLIENT_HELLO = 22, 1
_SERVER_NAME, _HOST_NAME = 0, 0
_ENCRYPTED = 0xFE0D
_MAX_LENGTH = 1 << 15

_PIECE = 1 << 18
# Time limits, in seconds: both sides silent; one side after the other's EOF.
_IDLE_S = 6 * 3600.0
_HALF_S = 60.0
# How long a tool may take to read the last message; what it still sends is dropped.
_LAST_S = 2.0

_Stream = trio.abc.HalfCloseableStream
_GONE = (trio.BrokenResourceError, trio.ClosedResourceError)


async def splice(
    one: _Stream,
    other: _Stream,
    said: bytes,
    answered: bytes,
    turns: "TurnSource",
    scope: trio.CancelScope,
) -> tuple[int, int]:
    """Copy bytes both ways until both streams have ended or one breaks.

    Cancelling `scope`, a new one, also ends it.

    `said` was already received from `one`, and `answered` from `other`. Returns the bytes copied
    from each. The owner closes both.
    """
    counts = [0, 0]

    async def pour(
        source: _Stream,
        target: _Stream,
        first: bytes,
        way: int,
    ) -> None:
        try:
            data = first or await source.receive_some(_PIECE)
            while data:
                await turns.take()
                await target.send_all(data)
                counts[way] += len(data)
                scope.deadline = trio.current_time() + _IDLE_S
                data = bytes(await source.receive_some(_PIECE))
            await target.send_eof()
        except _GONE:
            scope.cancel()
        scope.deadline = trio.current_time() + _HALF_S

    scope.deadline = trio.current_time() + _IDLE_S
    with scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pour, one, other, said, 0)
            nursery.start_soon(pour, other, one, answered, 1)
    return counts[0], counts[1]


async def send_final(stream: _Stream, said: bytes) -> None:
    """Send a last message and EOF within a bounded time."""
    below = stream.below if isinstance(stream, TlsStream) else stream
    with trio.move_on_after(_LAST_S), suppress(*_GONE):
        await stream.send_all(said)
        await stream.send_eof()
        # Closing with unread input would reset the connection and discard the message.
        while await below.receive_some(_PIECE):
            pass


class BadHello(Exception):
    """A connection that does not begin as TLS does, or hides the name. `str(error)` says why."""


class _Reader:
    """Reads length-prefixed data."""

    def __init__(self, data: bytes) -> None:
        self._left = memoryview(data)

    def __bool__(self) -> bool:
        return bool(self._left)

    def number(self, size: int) -> int:
        """Read an integer of `size` bytes."""
        return int.from_bytes(self.take(size))

    def block(self, size: int) -> bytes:
        """Read bytes after their count, itself of `size` bytes."""
        return self.take(self.number(size))

    def take(self, count: int) -> bytes:
        """Read `count` bytes."""
        if count > len(self._left):
            raise BadHello("its first message of TLS is damaged")
        taken, self._left = bytes(self._left[:count]), self._left[count:]
        return taken


class ClientHello:
    """A ClientHello as it comes, in pieces of any size: each byte is read once."""

    def __init__(self) -> None:
        self.data = bytearray()
        """All that came."""
        self.name: str | None = None
        """The server name of the whole message, if it has one."""
        self._message = bytearray()
        # Where reading goes on, and how much of a record is left there.
        self._at = self._left = 0

    def feed(self, more: bytes) -> bool:
        """Add bytes; returns whether the message is whole.

        Raises BadHello if it cannot become one, or has an ambiguous name.
        """
        self.data += more
        while self._at < len(self.data):
            if not self._left and not self._begin_record():
                break
            piece = self.data[self._at : self._at + self._left]
            self._message += piece
            self._at += len(piece)
            self._left -= len(piece)
            if self._is_whole():
                self.name = _find_name(bytes(self._message[4:]))
                return True
        return False

    def _begin_record(self) -> bool:
        if self.data[self._at] != _HANDSHAKE:
            raise BadHello("it is no TLS")
        if len(self.data) < self._at + 5:
            return False
        (self._left,) = struct.unpack_from("!H", self.data, self._at + 3)
        if self._left == 0:
            # Any number of these could come (RFC 8446, 5.1).
            raise BadHello("its first message of TLS has an empty part")
        self._at += 5
        return True

    def _is_whole(self) -> bool:
        if len(self._message) < 4:
            return False
        if self._message[0] != _CLIENT_HELLO:
            raise BadHello("it does not begin as TLS does")
        whole = 4 + int.from_bytes(self._message[1:4])
        if whole > _MAX_LENGTH:
            raise BadHello("its first message of TLS is too long")
        del self._message[whole:]
        return len(self._message) == whole


def _find_name(hello: bytes) -> str | None:
    reader = _Reader(hello)
    # Version and random; then session, cipher suites and compression.
    reader.take(2 + 32)
    for size in (1, 2, 1):
        reader.block(size)
    if not reader:
        return None
    found: dict[int, bytes] = {}
    extensions = _Reader(reader.block(2))
    while extensions:
        kind = extensions.number(2)
        if kind in found:
            raise BadHello("its first message of TLS has an extension twice")
        found[kind] = extensions.block(2)
    if _ENCRYPTED in found:
        raise BadHello("it encrypts the server's name (ECH), which could be another one")
    if _SERVER_NAME not in found:
        return None
    names = _Reader(_Reader(found[_SERVER_NAME]).block(2))
    kind, name = names.number(1), names.block(2)
    if names or kind != _HOST_NAME or not name.isascii():
        raise BadHello("its first message of TLS has an unusual server name")
    return name.decode().lower()
