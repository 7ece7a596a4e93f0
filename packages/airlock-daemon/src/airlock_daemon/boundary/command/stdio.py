"""A tool's stdin, stdout and stderr: passed descriptors, pipes, or a pseudo-terminal."""

import fcntl
import os
import struct
import termios
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress

from airlock_daemon.boundary.connection.descriptors import ClientDescriptors
from airlock_wire import Stream


class Input:
    """Bytes on their way into a pipe or pseudo-terminal that does not block, which it owns.

    It holds what it is given; that this is no more than the client's credit is for the session to
    watch.
    """

    def __init__(self, descriptor: int, *, end: bytes = b"") -> None:
        """`end` is what means the end of input; without it that is the end of the file."""
        self.descriptor = descriptor
        self.written = 0
        self._end = end
        self._is_ended = False
        self._waiting: deque[memoryview] = deque()

    @property
    def is_waiting(self) -> bool:
        """Whether there is something to write, or the end is due."""
        return self.descriptor >= 0 and (bool(self._waiting) or self._is_ended)

    @property
    def is_over(self) -> bool:
        """Whether everything was written that will ever come."""
        return self._is_ended and not self._waiting

    def put(self, data: bytes) -> None:
        """Take what the client sent next."""
        if data and not self._is_ended:
            self._waiting.append(memoryview(data))

    def end(self) -> None:
        """The client sends nothing more."""
        if not self._is_ended:
            self.put(self._end)
            self._is_ended = True

    def write(self) -> int:
        """Write what fits without waiting; returns how many bytes."""
        count = 0
        while self._waiting:
            piece = self._waiting[0]
            try:
                written = os.write(self.descriptor, piece)
            except BlockingIOError:
                break
            except OSError:
                # A terminal that its tool has closed takes nothing, and the client cannot know.
                written = len(piece)
            count += written
            if written == len(piece):
                self._waiting.popleft()
            else:
                self._waiting[0] = piece[written:]
        self.written += count
        return count

    def close(self) -> None:
        """Close the descriptor, which is the end of a pipe's input."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


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
        reading, writing = os.pipe2(os.O_CLOEXEC)
        self._descriptors += (reading, writing)
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
    """The number of bytes in a pipe."""
    count = fcntl.ioctl(descriptor, termios.FIONREAD, struct.pack("i", 0))
    return int(struct.unpack("i", count)[0])


class Counted:
    """An `emit` that passes everything on; `stdout` is how many bytes of that it has passed on."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self.stdout = 0

    async def emit(self, stream: Stream, data: bytes) -> None:
        """Pass it on."""
        if stream == "stdout":
            self.stdout += len(data)
        await self._emit(stream, data)


class Direct(Stdio):
    """Three descriptors that came with the request and were found to be usable.

    In place of what a client calls /dev/null stands `null`, that of the host, which stays the
    caller's: in the client's files it could be anything.
    """

    def __init__(self, passed: ClientDescriptors, *, null: int) -> None:
        super().__init__()
        self._passed = passed
        stdin, stdout, stderr = [
            null if kind == "null" else number
            for number, kind in zip(passed.numbers, passed.kinds, strict=True)
        ]
        self.standard = (stdin, stdout, stderr)

    def hand_over(self) -> None:
        """Close them, so that readers of the other ends wait for the tool, not for the daemon."""
        self._passed.close(is_usable=True)

    def close(self) -> None:
        """Close them, also where the tool was never started."""
        self._passed.close(is_usable=True)
        super().close()


class Piped(Stdio):
    """A pipe each for stdout and stderr, and for stdin where the client may send some."""

    def __init__(self, *, has_input: bool) -> None:
        """Raises OSError where there are no descriptors left."""
        super().__init__()
        try:
            stdin = self._open_input() if has_input else self._open_null()
            self.standard = (stdin, self._open_output("stdout"), self._open_output("stderr"))
        except BaseException:
            self.close()
            raise

    def count_input(self) -> int | None:
        """How many bytes of the client's input are no longer in the pipe."""
        if self.input is None:
            return None
        return self.input.written - count_unread(self.standard[0])


# How long a process that the tool left behind may hold the terminal before its output is given up.
LEFT_S = 0.1
