"""What all strategies have in common."""

import fcntl
import os
import struct
import termios
from collections.abc import Awaitable, Callable
from contextlib import suppress

from airlock_daemon.command.stdio.input import Input
from airlock_wire import Stream

Emit = Callable[[Stream, bytes], Awaitable[None]]

# What is read at once. Larger pieces cost more: their memory comes from the kernel, page by page,
# and goes back to it each time (mallopt(3), M_MMAP_THRESHOLD).
PIECE = 65536

# What is passed on before everybody else has a turn.
TURN = 2 * PIECE


class Stdio:
    """The descriptors of one command: the tool's, and the daemon's ends of them.

    `standard` are the tool's stdin, stdout and stderr; `terminal` says which of them are one
    pseudo-terminal (the sum of 1, 2 and 4). `outputs` are the descriptors that the daemon reads,
    and whose output that is. `input` takes what the client sends, and is None where the tool's
    stdin is not for the client to fill. All descriptors belong to this object, whose owner must
    `close` it.

    The tool's ends stay open here while it runs. The end of a command is what its launcher reports,
    and ends of file would only wake the daemon once more for each stream.
    """

    def __init__(self) -> None:
        self.standard = (-1, -1, -1)
        self.terminal = 0
        self.outputs: dict[int, Stream] = {}
        self.input: Input | None = None
        self._descriptors: list[int] = []
        self._widened: set[int] = set()

    async def relay(self, descriptor: int, ahead: int, emit: Emit) -> None:
        """Emit what is in an output that is ready, in pieces, as much as belongs into one turn.

        A tool that fills its pipe may write `ahead` bytes from then on.
        """
        stream = self.outputs[descriptor]
        left = TURN
        while left > 0:
            try:
                data = os.read(descriptor, PIECE)
            except BlockingIOError:
                return
            left -= len(data)
            await emit(stream, data)
            if len(data) < PIECE:
                return
            self._widen(descriptor, ahead)

    def _widen(self, descriptor: int, size: int) -> None:
        """Let the tool write ahead, as it writes faster than it is read (pipe(7))."""
        if descriptor not in self._widened and size > PIECE:
            self._widened.add(descriptor)
            with suppress(OSError):
                fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, size)

    async def drain(self, emit: Emit) -> None:
        """Emit what the tool, which has ended, has left in its outputs.

        No more than that: a process that it left behind could go on writing for ever.
        """
        for descriptor, stream in self.outputs.items():
            left = count_unread(descriptor)
            while left > 0:
                data = os.read(descriptor, min(left, PIECE))
                left -= len(data)
                await emit(stream, data)

    def hand_over(self) -> None:
        """The tool has its descriptors now: close those that the daemon has no use for."""

    def resize(self, rows: int, columns: int) -> None:
        """Follow the client's terminal; without effect where the tool has none of the daemon's."""

    def count_input(self) -> int | None:
        """How many bytes of the client's input the tool has read; None where that is not known."""
        return None

    def close(self) -> None:
        """Close every descriptor."""
        if self.input is not None:
            self.input.close()
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors.clear()

    def _keep(self, descriptor: int) -> int:
        self._descriptors.append(descriptor)
        return descriptor

    def _open_null(self) -> int:
        return self._keep(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))

    def _open_output(self, stream: Stream) -> int:
        """Open a pipe for output; returns the tool's end."""
        reading, writing = (self._keep(end) for end in os.pipe2(os.O_CLOEXEC))
        os.set_blocking(reading, False)
        self.outputs[reading] = stream
        return writing

    def _open_input(self) -> int:
        """Open a pipe for input; returns the tool's end."""
        reading, writing = os.pipe2(os.O_CLOEXEC)
        self._keep(reading)
        os.set_blocking(writing, False)
        self.input = Input(writing)
        return reading


def count_unread(descriptor: int) -> int:
    """How many bytes are in a pipe."""
    count = fcntl.ioctl(descriptor, termios.FIONREAD, struct.pack("i", 0))
    return int(struct.unpack("i", count)[0])
