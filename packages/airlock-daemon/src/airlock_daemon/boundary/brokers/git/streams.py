"""A client's stdin and stdout, where the daemon itself speaks git's protocol."""

import os
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Protocol, TypeVar

import trio

from airlock_daemon.boundary.command import PIECE, Emit
from airlock_daemon.boundary.connection.descriptors import ClientDescriptors, Closer
from airlock_daemon.boundary.fairness import TurnQueue
from airlock_daemon.platform.system import enlarge_pipe
from airlock_modules import RemoteError
from airlock_wire import Resize, Signal, StdinData, StdinEnd

# No call on a client's pipe blocks the event loop: a reader or writer of the pipe may hold its lock
# forever, so splice(2) moves the bytes through the daemon's own pipes in a thread. It moves pages,
# whose lock a client may hold too, so they are also copied there, and go no further.

WIDTH = 1 << 18
"""Requested pipe capacity in bytes; one step of the event loop moves as many."""
# Bytes dropped in one step.
_DROPPED = 1 << 20

T = TypeVar("T")


class OwnPipe:
    """A pipe between the daemon and a client's; `by` splices. The caller owns both ends.

    Writes do not block: a pipe holds as little as two pages if its user has many (pipe(7)).
    """

    def __init__(self, reading: int, writing: int, *, by: Closer) -> None:
        self.reading, self.writing = reading, writing
        self._by = by
        os.set_blocking(writing, False)
        enlarge_pipe(writing, WIDTH)

    async def read(self, client: int, turns: TurnQueue) -> bytes:
        """Read at most WIDTH bytes from the client's pipe, b"" at its end. Raises OSError."""
        own = self.reading, self.writing
        return await _when_readable(client, turns, partial(self._by.read, client, own, WIDTH))

    async def write(self, client: int, data: bytes, turns: TurnQueue) -> None:
        """Write all of `data` to the client's pipe; data that fits takes no turn of its own.

        Raises OSError if the pipe is closed.
        """
        view = memoryview(data)
        while view:
            # The pipe is empty here, so this writes at least one byte.
            left = os.write(self.writing, view[:WIDTH])
            view = view[left:]
            while left:
                try:
                    left -= await self._by.splice(self.reading, client, left)
                except BlockingIOError:
                    await trio.lowlevel.wait_writable(client)
                    await turns.take()


async def drop(client: int, null: int, turns: TurnQueue, *, by: Closer) -> None:
    """Discard the bytes of a client's pipe up to EOF. `null` is open /dev/null. Raises OSError."""
    while await _when_readable(client, turns, partial(by.splice, client, null, _DROPPED)):
        pass


async def _when_readable(pipe: int, turns: TurnQueue, act: Callable[[], Awaitable[T]]) -> T:
    while True:
        await trio.lowlevel.wait_readable(pipe)
        await turns.take()
        # Another process may have read it.
        with suppress(BlockingIOError):
            return await act()


@contextmanager
def of_its_stdin() -> Iterator[None]:
    """Raise an OSError of the client's stdin as RemoteError: the fault is the client's."""
    try:
        yield
    except OSError as error:
        problem = f"what it passed as its stdin cannot be read: {error.strerror}"
        raise RemoteError(problem, rule="stdin") from error


class Streams(Protocol):
    """A pair of streams; each may wait independently. The owner must `close` them.

    `bytes_read` counts the bytes read from the client, None if that is unknown.
    """

    @property
    def bytes_read(self) -> int | None:
        """The number of bytes that were read."""

    async def read(self) -> bytes:
        """Read the client's next bytes, b"" at EOF. Raises RemoteError."""

    async def write(self, data: bytes) -> None:
        """Write to the client's stdout. Raises OSError if it is closed."""

    async def drop(self) -> None:
        """Discard the client's input up to EOF. Raises RemoteError."""

    def handle(self, message: Signal | Resize | StdinData | StdinEnd) -> None:
        """Take a message of the client, without waiting."""

    def close(self) -> None:
        """Close what was opened."""


class ClientStreams:
    """Pipes that the client passed; their bytes bypass its connection."""

    def __init__(self, passed: ClientDescriptors, turns: TurnQueue, *, null: int) -> None:
        """Take them over. `null` is open /dev/null. Raises OSError if no descriptors are left."""
        self._turns = turns
        self._null = null
        self._closer = passed.closer
        self._open: list[int] = []
        self.bytes_read = None
        try:
            self._client, self._answers = (
                self._keep(os.dup(number)) for number in passed.numbers[:2]
            )
            # Large pipes let one splice move more.
            for each in (self._client, self._answers):
                self._closer.enlarge_pipe(each, WIDTH)
            # One per direction: both may fill at the same time.
            self._in, self._out = (
                OwnPipe(*map(self._keep, os.pipe()), by=self._closer) for _ in range(2)
            )
        except BaseException:
            self.close()
            raise
        passed.close(is_usable=True)

    def _keep(self, descriptor: int) -> int:
        self._open.append(descriptor)
        return descriptor

    async def read(self) -> bytes:
        """As `Streams.read`."""
        with of_its_stdin():
            return await self._in.read(self._client, self._turns)

    async def write(self, data: bytes) -> None:
        """As `Streams.write`."""
        await self._out.write(self._answers, data, self._turns)

    async def drop(self) -> None:
        """As `Streams.drop`."""
        with of_its_stdin():
            await drop(self._client, self._null, self._turns, by=self._closer)

    def handle(self, message: Signal | Resize | StdinData | StdinEnd) -> None:
        """Ignored: no stream data arrives in messages."""

    def close(self) -> None:
        """Close the copies of the client's pipes; the client sees EOF."""
        # A cancelled move may hold the locks of the daemon's pipes too.
        self._closer.close(self._open, is_usual=True)
        self._open.clear()


class SentStreams:
    """Streams in messages: the client sends stdin within its credit, and receives stdout."""

    def __init__(
        self, emit: Emit, grant: Callable[[int], Awaitable[None]], turns: TurnQueue, *, credit: int
    ) -> None:
        """`credit` is the client's initial credit in bytes; `grant` adds to it."""
        self._emit = emit
        self._grant = grant
        self._turns = turns
        self._credit = credit
        self._owed = 0
        self._waiting: deque[bytes] = deque()
        self._is_ended = False
        self._come = trio.Event()
        self.bytes_read = 0

    async def read(self) -> bytes:
        """As `Streams.read`."""
        while not self._waiting and not self._is_ended:
            self._come = trio.Event()
            await self._come.wait()
        await self._turns.take()
        if not self._waiting:
            return b""
        data = self._waiting.popleft()
        self.bytes_read += len(data)
        self._owed += len(data)
        # Grant large portions: a message per piece would wake the client each time.
        if self._owed * 4 >= self._credit and not self._is_ended:
            owed, self._owed = self._owed, 0
            await self._grant(owed)
        return data

    async def write(self, data: bytes) -> None:
        """As `Streams.write`."""
        for at in range(0, len(data), PIECE):
            await self._emit("stdout", data[at : at + PIECE])

    async def drop(self) -> None:
        """As `Streams.drop`."""
        while await self.read():
            pass

    def handle(self, message: Signal | Resize | StdinData | StdinEnd) -> None:
        """As `Streams.handle`."""
        match message:
            case StdinData(data=data) if data and not self._is_ended:
                self._waiting.append(data)
            case StdinEnd():
                self._is_ended = True
        self._come.set()

    def close(self) -> None:
        """Nothing was opened."""
