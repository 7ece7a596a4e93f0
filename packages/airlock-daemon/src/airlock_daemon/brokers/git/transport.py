"""The streams of a conversation: from a client's git to the program that reaches the remote."""

import os

import trio

from airlock_daemon.brokers.git.splicing import OwnPipe, move
from airlock_daemon.command.stdio.standard import Stdio
from airlock_daemon.connection.closing import Closer
from airlock_daemon.connection.descriptors import Passed
from airlock_daemon.fairness.turns import Turns

# What is dropped at once.
MOVE = 1 << 20


class Transport(Stdio):
    """stdin and stdout are the client's own pipes, or pipes of the daemon; stderr is the daemon's.

    For a push (`is_held`) what the client writes does not reach the program by itself: it is to be
    read by `read`, and then passed on by `write` and `move_rest`, or dropped by `drop_rest`. `sent`
    counts what was passed on. Nothing here ever waits in a call.
    """

    def __init__(self, passed: Passed | None, *, is_held: bool) -> None:
        """`passed` are the client's descriptors, of which two are pipes; None to stream.

        Raises OSError where there are no descriptors left.
        """
        super().__init__()
        self._passed = passed
        self._closer = Closer() if passed is None else passed.closer
        self._is_held = is_held
        self.sent = 0
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        if self._passed is not None:
            client, answers = self._passed.numbers[:2]
            if self._is_held:
                client, answers = (self._keep(os.dup(number)) for number in (client, answers))
        else:
            client, answers = self._open_input(), self._open_output("stdout")
        self._client, self._answers = client, answers
        stdin = client
        if self._is_held:
            stdin, self._program = (self._keep(end) for end in os.pipe2(os.O_CLOEXEC))
            # One for each way: what was given up on one may be held for ever.
            self._own, self._reply = (
                OwnPipe(*map(self._keep, os.pipe2(os.O_CLOEXEC)), by=self._closer) for _ in range(2)
            )
            # A pipe has room for two pages only where its user has many (pipe(7)).
            os.set_blocking(self._program, False)
        self.standard = (stdin, answers, self._open_output("stderr"))

    @property
    def is_streamed(self) -> bool:
        """Whether stdin and stdout pass through the daemon."""
        return self._passed is None

    def hand_over(self) -> None:
        """Close the client's descriptors, but for copies of those that a push is held with."""
        if self._passed is not None:
            self._passed.close(is_usable=True)

    async def read(self, turns: Turns) -> bytes:
        """What the client has written next, b"" at its end."""
        return await self._own.read(self._client, turns)

    async def write(self, data: bytes) -> None:
        """Give the program its input. Raises OSError where it has ended."""
        view = memoryview(data)
        while view:
            try:
                count = os.write(self._program, view)
                self.sent += count
                view = view[count:]
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._program)

    async def move_rest(self, turns: Turns) -> None:
        """Pass on what the client writes, to its end. Raises OSError where the program ended."""
        while left := await self._own.fill(self._client, turns):
            while left:
                # Neither is a pipe of the client's.
                try:
                    count = os.splice(
                        self._own.reading, self._program, left, flags=os.SPLICE_F_NONBLOCK
                    )
                    self.sent += count
                    left -= count
                except BlockingIOError:
                    await trio.lowlevel.wait_writable(self._program)
        self.end_input()

    async def drop_rest(self, turns: Turns, *, null: int) -> None:
        """Read what the client writes, to its end. `null` is open /dev/null."""
        while await move(self._client, null, MOVE, turns, by=self._closer, fills=False):
            pass

    async def answer(self, data: bytes, turns: Turns) -> None:
        """Write to the client's stdout, as the remote would. Raises OSError where it is closed."""
        await self._reply.write(self._answers, data, turns)

    def close(self) -> None:
        """As `Stdio.close`, without waiting for who holds a lock of a client's pipe."""
        self._closer.close(self._descriptors, is_usual=True)
        self._descriptors.clear()
        super().close()

    def end_input(self) -> None:
        """Let the program see the end of its input."""
        if self._program >= 0:
            self._descriptors.remove(self._program)
            os.close(self._program)
            self._program = -1
