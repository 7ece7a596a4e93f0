"""A client's stdin and stdout where the daemon itself speaks to its git."""

import os
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import trio

from airlock_daemon.boundary.command.stdio import PIECE, Emit
from airlock_daemon.boundary.connection.closing import Closer, enlarge_pipe
from airlock_daemon.boundary.connection.descriptors import ClientDescriptors
from airlock_daemon.boundary.fairness.turns import TurnQueue
from airlock_modules import RemoteError
from airlock_wire import Resize, Signal, StdinData, StdinEnd

# So nothing here waits in a call: bytes are moved by splice(2), to and from pipes of the daemon, in
# a thread, since whoever reads from a pipe or writes to it may hold its lock for ever.

WIDTH = 1 << 18
"""Bytes that a pipe is to have room for: as many are moved in one step of the event loop."""


class OwnPipe:
    """A pipe that bytes go through, moved by `by`; its ends belong to whoever gave them.

    A write to one does not block: it has room for two pages only where its user has many (pipe(7)).
    """

    def __init__(self, reading: int, writing: int, *, by: Closer) -> None:
        self.reading, self.writing = reading, writing
        self._by = by
        os.set_blocking(writing, False)
        enlarge_pipe(writing, WIDTH)

    async def read(self, client: int, turns: TurnQueue) -> bytes:
        """Read at most WIDTH bytes from the client's pipe, b"" at its end. Raises OSError."""
        count = await self.fill(client, turns)
        return os.read(self.reading, count) if count else b""

    async def fill(self, client: int, turns: TurnQueue) -> int:
        """The same, but that it stays in the pipe: how many bytes. Raises OSError."""
        return await move(client, self.writing, WIDTH, turns, by=self._by)

    async def write(self, client: int, data: bytes, turns: TurnQueue) -> None:
        """Put all of it into the client's pipe; what fits belongs to the step of the caller.

        Raises OSError where the pipe is closed.
        """
        view = memoryview(data)
        while view:
            # The pipe is empty here, and takes something.
            left = os.write(self.writing, view[:WIDTH])
            view = view[left:]
            while left:
                try:
                    left -= await self._by.splice(self.reading, client, left)
                except BlockingIOError:
                    await trio.lowlevel.wait_writable(client)
                    await turns.take()


async def move(
    source: int, target: int, most: int, turns: TurnQueue, *, by: Closer, fills: bool = True
) -> int:
    """Move what is in a pipe, at most so many bytes; returns how many, 0 at its end.

    `by` calls splice(2). `fills` says that the target is a pipe, which may be full. Raises OSError.
    """
    while True:
        await trio.lowlevel.wait_readable(source)
        await turns.take()
        try:
            return await by.splice(source, target, most)
        except BlockingIOError:
            # Somebody else has read it, or the target is full.
            if fills:
                await trio.lowlevel.wait_writable(target)


@contextmanager
def of_its_stdin() -> Iterator[None]:
    """Raise a fault of the stdin that a client passed as RemoteError: it is the client's."""
    try:
        yield
    except OSError as error:
        problem = f"what it passed as its stdin cannot be read: {error.strerror}"
        raise RemoteError(problem, rule="stdin") from error


# What is dropped at once.
_MOVE = 1 << 20


class Streams(Protocol):
    """Both streams, of which each may wait while the other does. Their owner must `close` them.

    `taken` counts the bytes of the client's that were read, None where that is not known.
    """

    @property
    def taken(self) -> int | None:
        """The number of bytes that were read."""

    async def read(self) -> bytes:
        """Read the client's next bytes, b"" at the end. Raises RemoteError."""

    async def write(self, data: bytes) -> None:
        """Write to the client's stdout. Raises OSError where that is closed."""

    async def drop(self) -> None:
        """Read what the client writes, to its end. Raises RemoteError."""

    def tell(self, said: Signal | Resize | StdinData | StdinEnd) -> None:
        """Take what the client has sent, without waiting."""

    def close(self) -> None:
        """Close what was opened."""


class ClientStreams:
    """Pipes that the client passed: no byte of them goes through its connection."""

    def __init__(self, passed: ClientDescriptors, turns: TurnQueue, *, null: int) -> None:
        """Take them over. `null` is open /dev/null. Raises OSError for no descriptors left."""
        self._turns = turns
        self._null = null
        self._closer = passed.closer
        self._open: list[int] = []
        self.taken = None
        try:
            self._client, self._answers = (
                self._keep(os.dup(number)) for number in passed.numbers[:2]
            )
            # What waits in the client's own is moved at once.
            for each in (self._client, self._answers):
                self._closer.enlarge_pipe(each, WIDTH)
            # One for each way: they are filled at the same time.
            self._in, self._out = (
                OwnPipe(*map(self._keep, os.pipe2(os.O_CLOEXEC)), by=self._closer) for _ in range(2)
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
            while await move(
                self._client, self._null, _MOVE, self._turns, by=self._closer, fills=False
            ):
                pass

    def tell(self, said: Signal | Resize | StdinData | StdinEnd) -> None:
        """Nothing of the streams comes this way."""

    def close(self) -> None:
        """Close the copies of the client's pipes, which is their end for the client."""
        # The others' locks too may be held, by a move that was given up.
        self._closer.close(self._open, is_usual=True)
        self._open.clear()


class SentStreams:
    """Streams in messages: the client sends its stdin as it was granted, and gets its stdout."""

    def __init__(
        self, emit: Emit, grant: Callable[[int], Awaitable[None]], turns: TurnQueue, *, credit: int
    ) -> None:
        """`credit` is what the client was granted at first, in bytes; `grant` grants more."""
        self._emit = emit
        self._grant = grant
        self._turns = turns
        self._credit = credit
        self._owed = 0
        self._waiting: deque[bytes] = deque()
        self._is_ended = False
        self._come = trio.Event()
        self.taken = 0

    async def read(self) -> bytes:
        """As `Streams.read`."""
        while not self._waiting and not self._is_ended:
            self._come = trio.Event()
            await self._come.wait()
        await self._turns.take()
        if not self._waiting:
            return b""
        data = self._waiting.popleft()
        self.taken += len(data)
        self._owed += len(data)
        # In few large portions: a message for each piece would wake the client each time.
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

    def tell(self, said: Signal | Resize | StdinData | StdinEnd) -> None:
        """As `Streams.tell`."""
        match said:
            case StdinData(data=data) if data and not self._is_ended:
                self._waiting.append(data)
            case StdinEnd():
                self._is_ended = True
        self._come.set()

    def close(self) -> None:
        """Nothing was opened."""
