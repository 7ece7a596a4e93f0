"""A tool's stdin, stdout and stderr: passed descriptors, pipes, or a pseudo-terminal."""

import fcntl
import os
import struct
import termios
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from fcntl import ioctl
from functools import partial

import trio

from airlock_daemon.boundary.connection.closing import start_in_thread
from airlock_daemon.boundary.connection.descriptors import ClientDescriptors
from airlock_wire import Stream, Terminal


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


class PseudoTerminal(Stdio):
    """One pseudo-terminal (pty(7)) for the streams that are a terminal at the client.

    The others are pipes, and so is stdin where the client may not send any: empty.
    """

    def __init__(self, terminal: Terminal, *, has_input: bool) -> None:
        """Raises OSError where there are no descriptors or pseudo-terminals left."""
        super().__init__()
        self._sizer = _Sizer()
        self._slave = -1
        try:
            self._open(terminal, has_input=has_input)
        except BaseException:
            self.close()
            raise

    def _open(self, terminal: Terminal, *, has_input: bool) -> None:
        master, self._slave = os.openpty()
        self._master = self._keep(master)
        os.set_blocking(master, False)
        _set_size(master, terminal.rows, terminal.cols)
        if not (terminal.stdin and has_input and terminal.stdout):
            # The client's own terminal makes the line ends then, as it does for the other programs
            # of a pipeline: only one of the two may.
            modes = termios.tcgetattr(self._slave)
            modes[1] &= ~termios.OPOST
            termios.tcsetattr(self._slave, termios.TCSANOW, modes)
        self.outputs[master] = "stdout" if terminal.stdout else "stderr"
        if terminal.stdin and has_input:
            stdin = self._slave
            end = termios.tcgetattr(self._slave)[6][termios.VEOF]
            self.input = Input(os.dup(master), end=end)
            self.terminal += 1
        else:
            stdin = self._open_input() if has_input else self._open_null()
        if terminal.stdout:
            stdout = self._slave
            self.terminal += 2
        else:
            stdout = self._open_output("stdout")
        if terminal.stderr:
            stderr = self._slave
            self.terminal += 4
        else:
            stderr = self._open_output("stderr")
        self.standard = (stdin, stdout, stderr)

    async def drain(self, emit: Emit) -> None:
        """Emit what the tool, which has ended, has left in its outputs."""
        stream = self.outputs.pop(self._master)
        await super().drain(emit)
        # Unlike a pipe, a terminal hands on what was written with some delay. Reading it fails with
        # EIO once all is read and no process holds the other side.
        self._close_slave()
        with trio.move_on_after(LEFT_S):
            while True:
                try:
                    await emit(stream, os.read(self._master, PIECE))
                except BlockingIOError:
                    await trio.lowlevel.wait_readable(self._master)
                except OSError:
                    return

    def resize(self, rows: int, columns: int) -> None:
        """Set the size of the terminal, some time; its foreground process group gets SIGWINCH.

        That waits for whoever reads the size, into memory that may be slow to come.
        """
        # The table of descriptors may be full. The next one will do.
        with suppress(OSError):
            self._sizer.set(self._master, rows, columns)

    def close(self) -> None:
        """Close every descriptor, which hangs the terminal up."""
        self._close_slave()
        super().close()

    def _close_slave(self) -> None:
        if self._slave >= 0:
            os.close(self._slave)
            self._slave = -1


class _Sizer:
    """Sets the size of a terminal in a thread: the last one that was wanted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted: tuple[int, int] | None = None
        self._is_busy = False

    def set(self, master: int, rows: int, columns: int) -> None:
        """Set it, some time. Raises OSError where there are no descriptors left."""
        with self._lock:
            self._wanted = (rows, columns)
            if self._is_busy:
                return
            copy = os.dup(master)
            self._is_busy = True
        start_in_thread(partial(self._set, copy))

    def _set(self, master: int) -> None:
        while (size := self._take()) is not None:
            with suppress(OSError):
                _set_size(master, *size)
        os.close(master)

    def _take(self) -> tuple[int, int] | None:
        with self._lock:
            size, self._wanted = self._wanted, None
            self._is_busy = size is not None
            return size


def _set_size(master: int, rows: int, columns: int) -> None:
    ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
