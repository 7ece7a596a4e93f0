"""A request of a tool: its body streams, or is read whole before it is sent on.

A body that is read whole is in memory, or where it is long in a file. That has no name, so that it
is gone with the process, and lies in the daemon's own directory.
"""

import io
import re
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from http import HTTPStatus
from typing import BinaryIO

import msgspec
import trio

from airlock_daemon.boundary.brokers.http.tls import TlsStream
from airlock_daemon.boundary.fairness.turns import TurnSource
from airlock_daemon.errors import Failed
from airlock_modules.apis import LONGEST_HEAD, Head

PIECE = 1 << 18
"""Bytes that are read at once."""
# A body takes turns with others from here on.
BULK = 1 << 18
# Bytes of the tool's next request that are read meanwhile.
_MOST_AHEAD = LONGEST_HEAD
# How long either side may take for a piece.
_WRITE_S = 600.0
_BODY_S = 600.0
# What stands before a chunk (RFC 9112, 7.1), with the end of the one before it.
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t -~\x80-\xff]*)?\r\n")
_LONGEST_CHUNK_LINE = 1 << 12
# Answers that have none, whatever their head says (RFC 9112, 6.3).
_WITHOUT_BODY = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)

IN_MEMORY = 1 << 20
"""Bytes of a body that stay in memory, while those of all have room there."""
_ALL_IN_MEMORY = 4 << 20
MOST = 1 << 28
"""Bytes of all bodies of an agent that are held at once."""


class Damaged(Failed):
    """A request that is not passed on."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the request cannot be passed on: {why}", hint="send it whole")


class AnswerHead(msgspec.Struct, frozen=True, kw_only=True):
    """The head of an answer, without what frames its body unless that is its length.

    Names are in lower case.
    """

    status: int
    reason: bytes
    headers: list[tuple[bytes, bytes]]


class Uneven(Exception):
    """An answer is shorter or longer than its head says."""


class _Writer:
    """Frames one answer (RFC 9112, 6): by the length that its head says, or else in chunks."""

    def __init__(self, request: Head) -> None:
        self._method = request.method
        named = (request.get("connection") or "").lower().split(",")
        # Whether no other request follows this one.
        self._is_last = "close" in (each.strip() for each in named)
        # Bytes that still have to come; None in chunks, and before the head.
        self._left: int | None = None
        self._is_ended = False

    @property
    def is_over(self) -> bool:
        """Whether it was written to its end, and another one may follow."""
        return self._is_ended and not self._is_last

    def begin(self, head: AnswerHead) -> list[bytes]:
        """The head."""
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
        """Some of the body. Raises Uneven where that is too much."""
        if not data:
            return []
        if self._left is None:
            return [b"%x\r\n" % len(data), data, b"\r\n"]
        self._left -= len(data)
        if self._left < 0:
            raise Uneven
        return [data]

    def end(self) -> list[bytes]:
        """The end. Raises Uneven where it comes too early."""
        if self._left:
            raise Uneven
        self._is_ended = True
        return [b"0\r\n\r\n"] if self._left is None else []


class Reader:
    """Receives something long in pieces, from some point on in turns with others."""

    def __init__(self, turns: TurnSource, wait: Callable[[], Awaitable[None]]) -> None:
        """`wait` returns when more has come."""
        self._turns = turns
        self._wait = wait
        self._count = 0
        self._turn_at = BULK

    async def read(self, stream: TlsStream) -> bytes:
        """The next piece, b"" at the end. Raises BrokenResourceError, and what `wait` raises."""
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
        """Wait for a turn, which is for so many bytes."""
        await self._turns.take()
        self._turn_at = self._count + BULK


class Incoming:
    """A request of the tool whose head has been read, and its answer. Its body is read strictly."""

    def __init__(self, client: TlsStream, head: Head, behind: bytes, turns: TurnSource) -> None:
        """`behind` is what came behind the head."""
        self.head = head
        self._client = client
        self._reader = Reader(turns, self._wait_for_more)
        self._writer = _Writer(head)
        self._is_chunked = head.get("transfer-encoding") is not None
        # Of the body, or of its chunk, what is still to be read; and what is here already.
        self._left = int(head.get("content-length") or 0)
        self._behind = behind
        # Whether a chunk has begun, and whether there are no more of them.
        self._is_within = False
        self._is_ended = not self._is_chunked
        self.is_held_back = head.get("expect") is not None and not self.is_whole
        """Whether the tool waits for leave before it sends the body."""
        self._ahead = b""
        self.count = 0

    @property
    def is_whole(self) -> bool:
        """Whether the body has been read to its end."""
        return self._is_ended and not self._left

    @property
    def has_begun(self) -> bool:
        """Whether some of the body has come, or there is none."""
        return self.is_whole or bool(self._behind)

    @property
    def is_over(self) -> bool:
        """Whether it is answered, so that the next one may come."""
        return self.is_whole and self._writer.is_over

    @property
    def rest(self) -> bytes:
        """The bytes that came behind the request."""
        return self._behind + self._ahead

    async def allow(self) -> None:
        """Give that leave, where it is waited for."""
        if self.is_held_back:
            await self._say(_write_head(HTTPStatus.CONTINUE, b"Continue", []))

    async def read(self) -> bytes:
        """The next piece of the body, b"" at its end. Raises Damaged."""
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
        while not (piece or self.is_whole):
            self._behind += await self._receive()
            piece = self._take_chunks()
        return piece

    def _take_chunks(self) -> bytes:
        """Read the chunks that are here. Raises Damaged."""
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
        """The size of the chunk at a place and where it begins, or 0 and the end of the last one.

        None while its line is incomplete. Raises Damaged.
        """
        begin = at + 2 if self._is_within else at
        end = data.find(b"\n", begin) + 1
        if not end:
            if len(data) - at > _LONGEST_CHUNK_LINE:
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
        """More of what the tool sends. Raises Damaged, also where it has ended that."""
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
        """Return when the tool has ended its connection; what it sends ahead is kept."""
        while len(self._ahead) < _MOST_AHEAD:
            try:
                data = await self._client.receive_some(_MOST_AHEAD)
            except trio.BrokenResourceError:
                return
            if not data:
                return
            self._ahead += data
        await trio.sleep_forever()

    async def switch(self, protocol: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        """Say that the connection goes on with another protocol. Raises BrokenResourceError."""
        headers = [*headers, (b"connection", b"Upgrade"), (b"upgrade", protocol)]
        await self._say(
            _write_head(HTTPStatus.SWITCHING_PROTOCOLS, b"Switching Protocols", headers)
        )

    async def answer(self, head: AnswerHead | None, data: bytes, *, is_end: bool) -> None:
        """Send a part of the answer, whose `head` comes with its first one.

        Raises Uneven, and BrokenResourceError.
        """
        parts = [] if head is None else self._writer.begin(head)
        parts += self._writer.write(data)
        if is_end:
            parts += self._writer.end()
        await self._say(parts)

    async def _say(self, parts: list[bytes]) -> None:
        # Leave comes before an answer, or never.
        self.is_held_back = False
        await send(self._client, b"".join(parts))


class Spool:
    """Memory and disk for the bodies of one agent. A `BufferedBody` frees its own when closed."""

    def __init__(self, folder: str, *, most: int = MOST) -> None:
        """Long bodies are written into an unnamed file in `folder`."""
        self._folder = folder
        self._left = most
        self._memory = _ALL_IN_MEMORY

    async def store(self, read: Callable[[], Awaitable[bytes]]) -> "BufferedBody":
        """Read a body to its end. Raises Failed where it, or all of them, are too long."""
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

    def take_memory(self, size: int) -> bool:
        """Whether there is room in memory for so many more bytes, which is taken then."""
        if size > self._memory:
            return False
        self._memory -= size
        return True

    def open_file(self) -> BinaryIO:
        """A file without a name."""
        return tempfile.TemporaryFile(dir=self._folder)

    def give_back(self, size: int, *, memory: int) -> None:
        """Bytes that are held no more, and those of them that are in memory no more."""
        self._left += size
        self._memory += memory


class BufferedBody:
    """A body that has been read. Its owner must `close` it."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._file: BinaryIO = io.BytesIO()
        self._is_in_memory = True
        self.size = 0

    def add(self, piece: bytes) -> None:
        """Put a piece at its end."""
        if self._is_in_memory:
            is_short = self.size + len(piece) <= IN_MEMORY
            if not is_short or not self._spool.take_memory(len(piece)):
                file = self._spool.open_file()
                file.write(self.read(0, self.size))
                self._file, self._is_in_memory = file, False
                self._spool.give_back(0, memory=self.size)
        self._file.seek(self.size)
        self._file.write(piece)
        self.size += len(piece)

    def read(self, start: int, size: int = PIECE) -> bytes:
        """The bytes from `start`, b"" at the end."""
        self._file.seek(start)
        return self._file.read(size)

    def read_all(self) -> Iterator[bytes]:
        """All of it, in pieces."""
        at = 0
        while piece := self.read(at):
            at += len(piece)
            yield piece

    def close(self) -> None:
        """Forget it."""
        self._file.close()
        self._spool.give_back(self.size, memory=self.size if self._is_in_memory else 0)
        self.size = 0


async def send(stream: TlsStream, data: bytes) -> None:
    """Send something within a bounded time. Raises BrokenResourceError."""
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
