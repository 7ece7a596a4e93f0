"""Moving bytes from and to a client's own pipes, whose ends others in its container may hold too.

So nothing here waits in a call: bytes are moved by splice(2), to and from pipes of the daemon, in
a thread, since whoever reads from a pipe or writes to it may hold its lock for ever.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from airlock_daemon.connection.closing import Closer, widen
from airlock_daemon.fairness.turns import Turns
from airlock_modules import RemoteError

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
        widen(writing, WIDTH)

    async def read(self, client: int, turns: Turns) -> bytes:
        """What the client's pipe has next, at most WIDTH bytes, b"" at its end. Raises OSError."""
        count = await self.fill(client, turns)
        return os.read(self.reading, count) if count else b""

    async def fill(self, client: int, turns: Turns) -> int:
        """The same, but that it stays in the pipe: how many bytes. Raises OSError."""
        return await move(client, self.writing, WIDTH, turns, by=self._by)

    async def write(self, client: int, data: bytes, turns: Turns) -> None:
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
    source: int, target: int, most: int, turns: Turns, *, by: Closer, fills: bool = True
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
