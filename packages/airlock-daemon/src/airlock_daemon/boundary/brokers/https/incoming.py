"""A tool's request, whose body is streamed, or buffered before it is sent on.

A long buffered body is in a file. That has no name, so it vanishes with the process, and it lies in
the daemon's own directory.
"""

import io
import re
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, BinaryIO, Protocol

import msgspec
import trio

from airlock_daemon.errors import Failed
from airlock_modules.apis import MAX_HEAD, Head

if TYPE_CHECKING:
    from airlock_daemon.boundary.fairness import TurnSource

PIECE = 1 << 18
"""Maximum bytes of one read."""
# A longer body takes turns with others from here on.
BULK = 1 << 18
# Limit for bytes of the tool's next request that are read ahead.
_MAX_AHEAD = MAX_HEAD
# Time limits for one piece.
_WRITE_S = 600.0
_BODY_S = 600.0
# A chunk's line (RFC 9112, 7.1).
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t -~\x80-\xff]*)?\r\n")
_MAX_CHUNK_LINE = 1 << 12
# Answers without a body, whatever their head says (RFC 9112, 6.3).
_WITHOUT_BODY = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)

IN_MEMORY = 1 << 20
"""Bytes of a body kept in memory, if the agent's limit for all bodies allows."""
_ALL_IN_MEMORY = 4 << 20
MAX_BODY_BYTES = 1 << 28
"""Limit in bytes for all buffered bodies of an agent."""


class Stream(Protocol):
    """A connection as `TlsStream` has it, by TLS or in clear. Its owner closes it.

    All raise BrokenResourceError.
    """

    def receive_now(self, max_bytes: int) -> bytes | None:
        """Receive at most `max_bytes` without waiting; b"" at EOF, None if nothing is there."""

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """As `receive_now`, but wait."""

    async def wait_for_more(self) -> None:
        """Wait until there is more for `receive_now`."""

    def send_now(self, data: bytes) -> bool:
        """Send what can be sent at once; returns whether that was all. The rest is sent first."""

    async def send_all(self, data: bytes) -> None:
        """Send all."""


class Damaged(Failed):
    """A malformed or incomplete request."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the request cannot be passed on: {why}", hint="send it whole")


class AnswerHead(msgspec.Struct, frozen=True, kw_only=True):
    """The head of an answer, without framing headers except Content-Length.

    Names are in lower case.
    """

    status: int
    reason: bytes
    headers: list[tuple[bytes, bytes]]


class Uneven(Exception):
    """An answer's body is shorter or longer than its Content-Length."""


class _Writer:
    """Frames one answer (RFC 9112, 6): by its Content-Length, else in chunks."""

    def __init__(self, request: Head) -> None:
        self._method = request.method
        named = (request.get("connection") or "").lower().split(",")
        # Whether the connection closes after this answer.
        self._is_last = "close" in (each.strip() for each in named)
        # Remaining bytes of the body; None before the head, and in chunks.
        self._left: int | None = None
        self._is_ended = False

    @property
    def is_over(self) -> bool:
        """Whether the answer is complete and another one may follow."""
        return self._is_ended and not self._is_last

    def begin(self, head: AnswerHead) -> list[bytes]:
        """Write the head."""
        headers = list(head.headers)
        length = next((value for name, value in headers if name == b"content-length"), None)
        is_bodiless = head.status in _WITHOUT_BODY
        if length is None and not is_bodiless:
            headers.append((b"transfer-encoding", b"chunked"))
        if is_bodiless or self._method == "HEAD":
            self._left = 0
        elif length is not None:
            self._left = int(length)
        if (b"connection", b"close") in headers:
            self._is_last = True
        elif self._is_last:
            headers.append((b"connection", b"close"))
        return _write_head(head.status, head.reason, headers)

    def write(self, data: bytes) -> list[bytes]:
        """Write part of the body. Raises Uneven if it is too long."""
        if not data:
            return []
        if self._left is None:
            return [b"%x\r\n" % len(data), data, b"\r\n"]
        self._left -= len(data)
        if self._left < 0:
            raise Uneven
        return [data]

    def end(self) -> list[bytes]:
        """End the answer. Raises Uneven if the body is too short."""
        if self._left:
            raise Uneven
        self._is_ended = True
        return [b"0\r\n\r\n"] if self._left is None else []


class Reader:
    """Receives a stream in pieces; a long one takes turns with others."""

    def __init__(self, turns: "TurnSource", wait: Callable[[], Awaitable[None]]) -> None:
        """`wait` returns when more bytes have arrived."""
        self._turns = turns
        self._wait = wait
        self._count = 0
        self._turn_at = BULK

    async def read(self, stream: Stream) -> bytes:
        """Read the next piece, b"" at EOF. Raises BrokenResourceError, and what `wait` raises."""
        if self._count >= self._turn_at:
            await self._take_turn()
        elif 0 < self._count < BULK:
            await trio.lowlevel.checkpoint()
        while (data := stream.receive_now(PIECE)) is None:
            await self._wait()
            if self._count >= BULK:
                await self._take_turn()
        self._count += len(data)
        return data

    async def _take_turn(self) -> None:
        """Wait for a turn, which covers `BULK` bytes."""
        await self._turns.take()
        self._turn_at = self._count + BULK


class Incoming:
    """A tool's request whose head has been read, and its answer. Its body is parsed strictly."""

    def __init__(self, client: Stream, head: Head, behind: bytes, turns: "TurnSource") -> None:
        """`behind` are the bytes received after the head."""
        self.head = head
        self._client = client
        self._reader = Reader(turns, self._wait_for_more)
        self._writer = _Writer(head)
        self._is_chunked = head.get("transfer-encoding") is not None
        # Unread bytes of the body or chunk, and bytes already received.
        self._left = int(head.get("content-length") or 0)
        self._behind = behind
        # Whether a chunk has begun, and whether the last one has been read.
        self._is_within = False
        self._is_ended = not self._is_chunked
        self.is_held_back = head.get("expect") is not None and not self.is_complete
        """Whether the tool waits for 100 Continue before it sends the body."""
        self._ahead = b""
        self.count = 0

    @property
    def is_complete(self) -> bool:
        """Whether the body has been read to its end."""
        return self._is_ended and not self._left

    @property
    def has_begun(self) -> bool:
        """Whether some of the body has arrived, or there is none."""
        return self.is_complete or bool(self._behind)

    @property
    def is_finished(self) -> bool:
        """Whether the request is answered and the next one may follow."""
        return self.is_complete and self._writer.is_over

    @property
    def rest(self) -> bytes:
        """The bytes received after the request."""
        return self._behind + self._ahead

    async def allow(self) -> None:
        """Send 100 Continue if the tool waits for it."""
        if self.is_held_back:
            await self._say(_write_head(HTTPStatus.CONTINUE, b"Continue", []))

    async def read(self) -> bytes:
        """Read the next piece of the body, b"" at its end. Raises Damaged."""
        piece = await (self._read_chunks() if self._is_chunked else self._read_counted())
        self.is_held_back = False
        self.count += len(piece)
        return piece

    async def _read_counted(self) -> bytes:
        if not self._left:
            return b""
        data = self._behind or await self._receive()
        piece, self._behind = data[: self._left], data[self._left :]
        self._left -= len(piece)
        return piece

    async def _read_chunks(self) -> bytes:
        piece = self._take_chunks()
        while not (piece or self.is_complete):
            self._behind += await self._receive()
            piece = self._take_chunks()
        return piece

    def _take_chunks(self) -> bytes:
        """Take the chunks that have arrived. Raises Damaged."""
        pieces: list[bytes] = []
        data, at = self._behind, 0
        while not self._is_ended:
            if self._left:
                piece = data[at : at + self._left]
                if not piece:
                    break
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
            elif (found := self._find_chunk(data, at)) is not None:
                self._left, at = found
                self._is_within, self._is_ended = True, not self._left
            else:
                break
        self._behind = data[at:]
        return b"".join(pieces)

    def _find_chunk(self, data: bytes, at: int) -> tuple[int, int] | None:
        """Find the next chunk's size and start; size 0 with the end of the last one.

        None while its line is incomplete. Raises Damaged.
        """
        begin = at + 2 if self._is_within else at
        end = data.find(b"\n", begin) + 1
        if not end:
            if len(data) - at > _MAX_CHUNK_LINE:
                raise _cut_off()
            return None
        line = _CHUNK.fullmatch(data, begin, end)
        if line is None or data[at:begin] not in (b"", b"\r\n"):
            raise _cut_off()
        size = int(line[1], 16)
        if size:
            return size, end
        if len(data) < end + 2:
            return None
        if data[end : end + 2] != b"\r\n":
            raise Damaged("it has trailers")
        return 0, end + 2

    async def _receive(self) -> bytes:
        """Receive more from the tool. Raises Damaged, also at EOF."""
        try:
            data = await self._reader.read(self._client)
        except trio.TooSlowError:
            raise Damaged(f"nothing more of it came in {_BODY_S:g} s") from None
        except trio.BrokenResourceError:
            raise Damaged("the tool has gone") from None
        if not data:
            raise _cut_off()
        return data

    async def _wait_for_more(self) -> None:
        with trio.fail_after(_BODY_S):
            await self._client.wait_for_more()

    async def wait_for_hanging_up(self) -> None:
        """Return when the tool closes its connection; bytes that it sends ahead are kept."""
        while len(self._ahead) < _MAX_AHEAD:
            try:
                data = await self._client.receive_some(_MAX_AHEAD)
            except trio.BrokenResourceError:
                return
            if not data:
                return
            self._ahead += data
        await trio.sleep_forever()

    async def switch(self, protocol: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        """Send 101 Switching Protocols. Raises BrokenResourceError."""
        headers = [*headers, (b"connection", b"Upgrade"), (b"upgrade", protocol)]
        await self._say(
            _write_head(HTTPStatus.SWITCHING_PROTOCOLS, b"Switching Protocols", headers)
        )

    async def answer(self, head: AnswerHead | None, data: bytes, *, is_end: bool) -> None:
        """Send part of the answer; the first part has the `head`.

        Raises Uneven, and BrokenResourceError.
        """
        parts = [] if head is None else self._writer.begin(head)
        parts += self._writer.write(data)
        if is_end:
            parts += self._writer.end()
        await self._say(parts)

    async def _say(self, parts: list[bytes]) -> None:
        # 100 Continue must precede the answer.
        self.is_held_back = False
        await send(self._client, b"".join(parts))


class Spool:
    """Memory and disk for the bodies of one agent. A `BufferedBody` releases its own on close."""

    def __init__(self, folder: str, *, limit: int = MAX_BODY_BYTES) -> None:
        """Long bodies are written into an unnamed file in `folder`."""
        self._folder = folder
        self._left = limit
        self._memory = _ALL_IN_MEMORY

    async def store(self, read: Callable[[], Awaitable[bytes]]) -> "BufferedBody":
        """Read a body to its end. Raises Failed if the agent's bodies exceed the limit."""
        held = BufferedBody(self)
        try:
            while piece := await read():
                if len(piece) > self._left:
                    raise Failed(
                        "the bodies that must be read before they are sent are too long together",
                        hint="send fewer at once, or a smaller one",
                    )
                self._left -= len(piece)
                held.add(piece)
        except BaseException:
            held.close()
            raise
        return held

    def reserve_memory(self, size: int) -> bool:
        """Reserve bytes of memory; returns whether that many were left."""
        if size > self._memory:
            return False
        self._memory -= size
        return True

    def open_file(self) -> BinaryIO:
        """Open an unnamed temporary file."""
        return tempfile.TemporaryFile(dir=self._folder)

    def release(self, size: int, *, memory: int) -> None:
        """Release `size` bytes, and `memory` bytes of memory."""
        self._left += size
        self._memory += memory


class BufferedBody:
    """A buffered body. Its owner must `close` it."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._file: BinaryIO = io.BytesIO()
        self._is_in_memory = True
        self.size = 0

    def add(self, piece: bytes) -> None:
        """Append a piece."""
        if self._is_in_memory:
            is_short = self.size + len(piece) <= IN_MEMORY
            if not is_short or not self._spool.reserve_memory(len(piece)):
                file = self._spool.open_file()
                file.write(self.read(0, self.size))
                self._file, self._is_in_memory = file, False
                self._spool.release(0, memory=self.size)
        self._file.seek(self.size)
        self._file.write(piece)
        self.size += len(piece)

    def read(self, start: int, size: int = PIECE) -> bytes:
        """Read up to `size` bytes from `start`, b"" at the end."""
        self._file.seek(start)
        return self._file.read(size)

    def read_all(self) -> Iterator[bytes]:
        """Yield the whole body in pieces."""
        at = 0
        while piece := self.read(at):
            at += len(piece)
            yield piece

    def close(self) -> None:
        """Discard the body."""
        self._file.close()
        self._spool.release(self.size, memory=self.size if self._is_in_memory else 0)
        self.size = 0


async def send(stream: Stream, data: bytes) -> None:
    """Send bytes within `_WRITE_S`. Raises BrokenResourceError."""
    if not stream.send_now(data):
        try:
            with trio.fail_after(_WRITE_S):
                await stream.send_all(b"")
        except trio.TooSlowError:
            raise trio.BrokenResourceError from None


def _write_head(status: int, reason: bytes, headers: list[tuple[bytes, bytes]]) -> list[bytes]:
    lines = [b"HTTP/1.1 %d %s" % (status, reason), *(b"%s: %s" % each for each in headers)]
    return [b"\r\n".join((*lines, b"", b""))]


def _cut_off() -> Damaged:
    return Damaged("its body was cut off, or cannot be read in one way only")
