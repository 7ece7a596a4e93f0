"""A command: its standard streams, and the relay of them while it runs."""

import fcntl
import os
import signal
import struct
import termios
from collections import deque
from collections.abc import Awaitable, Callable

import trio

from airlock_daemon.boundary.command.launcher import Ended, Launch
from airlock_daemon.boundary.fairness import TurnQueue
from airlock_daemon.errors import AirlockError
from airlock_daemon.platform.system import READABLE, WRITABLE, Readiness, enlarge_pipe
from airlock_wire import Resize, Signal, StdinData, StdinEnd, Stream


class Input:
    """Bytes for a non-blocking pipe or pseudo-terminal, which it owns.

    It buffers without limit; the session enforces the client's credit.
    """

    def __init__(self, descriptor: int, *, end: bytes = b"") -> None:
        """`end` is written at the end of input; if empty, the descriptor is closed instead."""
        self.descriptor = descriptor
        self.written = 0
        self._end = end
        self._is_ended = False
        self._waiting: deque[memoryview] = deque()

    @property
    def is_waiting(self) -> bool:
        """Whether there is data to write, or EOF is due."""
        return self.descriptor >= 0 and (bool(self._waiting) or self._is_ended)

    @property
    def is_finished(self) -> bool:
        """Whether all input has been written."""
        return self._is_ended and not self._waiting

    def put(self, data: bytes) -> None:
        """Buffer the client's next data."""
        if data and not self._is_ended:
            self._waiting.append(memoryview(data))

    def end(self) -> None:
        """Note that the client sends no more."""
        if not self._is_ended:
            self.put(self._end)
            self._is_ended = True

    def write(self) -> int:
        """Write without blocking; returns the number of bytes."""
        count = 0
        while self._waiting:
            piece = self._waiting[0]
            try:
                written = os.write(self.descriptor, piece)
            except BlockingIOError:
                break
            except OSError:
                # A terminal closed by its tool takes nothing, which the client cannot know.
                written = len(piece)
            count += written
            if written == len(piece):
                self._waiting.popleft()
            else:
                self._waiting[0] = piece[written:]
        self.written += count
        return count

    def close(self) -> None:
        """Close the descriptor; a pipe's reader sees EOF."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


Emit = Callable[[Stream, bytes], Awaitable[None]]

# Maximum bytes of one read. Larger pieces cost more: their memory is mapped page by page, and
# unmapped each time (mallopt(3), M_MMAP_THRESHOLD).
PIECE = 65536

# Bytes to relay before others have a turn.
TURN = 2 * PIECE


class Stdio:
    """The descriptors of one command: the tool's, and the daemon's ends.

    `standard` are the tool's stdin, stdout and stderr; `terminal` says which of them are one
    pseudo-terminal (the sum of 1, 2 and 4). `outputs` maps the descriptors that the daemon reads to
    their streams. `input` takes the client's input; None if the client does not feed the tool's
    stdin. This object owns all descriptors, and its owner must `close` it.

    The tool's ends stay open here while it runs: the launcher reports the end of a command, and
    EOFs would only wake the daemon once more per stream.
    """

    def __init__(self) -> None:
        self.standard = (-1, -1, -1)
        self.terminal = 0
        self.outputs: dict[int, Stream] = {}
        self.input: Input | None = None
        self._descriptors: list[int] = []
        self._widened: set[int] = set()

    async def relay(self, descriptor: int, ahead: int, emit: Emit) -> None:
        """Emit what a ready output contains, up to one turn's worth.

        A tool that fills its pipe may then write `ahead` bytes.
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
        """Enlarge the pipe of a tool that writes faster than it is read (pipe(7))."""
        if descriptor not in self._widened and size > PIECE:
            self._widened.add(descriptor)
            enlarge_pipe(descriptor, size)

    async def drain(self, emit: Emit) -> None:
        """Emit what an ended tool has left in its outputs.

        No more than that: a process that it left behind could write forever.
        """
        for descriptor, stream in self.outputs.items():
            left = count_unread(descriptor)
            while left > 0:
                data = os.read(descriptor, min(left, PIECE))
                left -= len(data)
                await emit(stream, data)

    def hand_over(self) -> None:
        """Close the descriptors that only the tool needs, once it has them."""

    def resize(self, rows: int, columns: int) -> None:
        """Resize the tool's terminal; no effect without a terminal of the daemon."""

    def count_input(self) -> int | None:
        """How many bytes of the client's input the tool has read; None if unknown."""
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
        reading, writing = os.pipe()
        self._descriptors += (reading, writing)
        os.set_blocking(reading, False)
        self.outputs[reading] = stream
        return writing

    def _open_input(self) -> int:
        """Open a pipe for input; returns the tool's end."""
        reading, writing = os.pipe()
        self._keep(reading)
        os.set_blocking(writing, False)
        self.input = Input(writing)
        return reading


def count_unread(descriptor: int) -> int:
    """The number of bytes in a pipe."""
    count = fcntl.ioctl(descriptor, termios.FIONREAD, struct.pack("i", 0))
    return int(struct.unpack("i", count)[0])


class Piped(Stdio):
    """Pipes for stdout and stderr, and for stdin if the client may send input."""

    def __init__(self, *, has_input: bool) -> None:
        """Raises OSError if no descriptors are left."""
        super().__init__()
        try:
            stdin = self._open_input() if has_input else self._open_null()
            self.standard = (stdin, self._open_output("stdout"), self._open_output("stderr"))
        except BaseException:
            self.close()
            raise

    def count_input(self) -> int | None:
        """How many bytes of the client's input have left the pipe."""
        if self.input is None:
            return None
        return self.input.written - count_unread(self.standard[0])


# The launcher kills what is left 2 s after the order to end; a process that still exists long after
# that hangs in the kernel, and nothing can end it.
GONE_S = 10.0

Begin = Callable[[], Awaitable[None]]
Grant = Callable[[int], Awaitable[None]]
Strand = Callable[[Callable[[], bool]], None]


class Command:
    """A running command with `stdio`.

    Each step waits for one of the agent's `turns`. The tool may write `ahead` bytes before it
    blocks; `credit` is the client's initial stdin credit in bytes.
    """

    def __init__(
        self, launch: Launch, stdio: Stdio, turns: TurnQueue, *, ahead: int, credit: int
    ) -> None:
        self._launch = launch
        self._stdio = stdio
        self._ahead = ahead
        self._turns = turns
        self._credit = credit
        self._owed = 0
        self._ready: Readiness | None = None
        self._is_waiting = False

    def handle(self, message: Signal | Resize | StdinData | StdinEnd) -> None:
        """Handle a message of the client, without blocking."""
        match message:
            case Signal(name=name):
                self._launch.signal(signal.Signals[name])
            case Resize(rows=rows, cols=columns):
                self._stdio.resize(rows, columns)
            case StdinData(data=data):
                if self._stdio.input is not None:
                    self._stdio.input.put(data)
                    self._feed(self._stdio.input)
            case StdinEnd():
                if self._stdio.input is not None:
                    self._stdio.input.end()
                    self._feed(self._stdio.input)

    async def finish(self, strand: Strand | None = None) -> None:
        """End all processes of the command: SIGHUP, then SIGKILL after 2 s.

        It must be called, and always returns within a bounded time. If some hang in the kernel
        then, `strand` is called; it must call its argument until that returns True: all have ended.
        """
        self._launch.end()
        if not self._launch.is_gone():
            with trio.CancelScope(deadline=trio.current_time() + GONE_S, shield=True):
                await self._launch.wait_gone()
        if strand is not None and not self._launch.is_gone():
            strand(self._release)
        else:
            self._launch.close()

    def _release(self) -> bool:
        if not self._launch.is_gone():
            return False
        self._launch.close()
        return True

    async def relay(self, emit: Emit, grant: Grant, begin: Begin | None = None) -> Ended:
        """Await `begin`, and pass the output to `emit` until the tool itself has ended.

        Buffers one piece: while `emit` waits nothing is read, and the tool blocks on a full pipe.
        `grant` is called with the stdin bytes that the client may send in addition. Raises
        AirlockError if the tool could not be started or was lost.
        """
        if begin is not None:
            await begin()
        if self._stdio.outputs:
            # One task waits for an epoll of the streams and the control socket. A task for each
            # would cost more than many commands do.
            with Readiness() as ready:
                for descriptor in self._stdio.outputs:
                    ready.register(descriptor, READABLE)
                ready.register(self._launch.ready, READABLE)
                self._ready = ready
                self._await_writable()
                try:
                    return await self._relay(ready, emit, grant)
                finally:
                    self._ready = None
        while True:
            await trio.lowlevel.wait_readable(self._launch.ready)
            await self._turns.take()
            report = self._launch.read_report()
            if isinstance(report, AirlockError):
                raise report
            if report is not None:
                return report

    async def _relay(self, ready: Readiness, emit: Emit, grant: Grant) -> Ended:
        outputs = self._stdio.outputs
        while True:
            await trio.lowlevel.wait_readable(ready.fileno())
            await self._turns.take()
            report: Ended | AirlockError | None = None
            for descriptor, _ in ready.poll(0):
                if descriptor in outputs:
                    await self._stdio.relay(descriptor, self._ahead, emit)
                elif descriptor == self._launch.ready:
                    report = self._launch.read_report()
                else:
                    await self._go_on_feeding(grant)
            if isinstance(report, AirlockError):
                raise report
            if report is not None:
                await self._stdio.drain(emit)
                return report

    def _feed(self, source: Input) -> None:
        """Write what the tool's stdin takes. If it is full, the relay continues when it is not."""
        self._write(source)
        self._await_writable()

    async def _go_on_feeding(self, grant: Grant) -> None:
        source = self._stdio.input
        if source is None:
            return
        self._stop_waiting(source)
        self._write(source)
        if self._owes_much:
            owed, self._owed = self._owed, 0
            await grant(owed)
        self._await_writable()

    def _write(self, source: Input) -> None:
        self._owed += source.write()
        if source.is_finished:
            # First: the other side of a terminal would keep it registered.
            self._stop_waiting(source)
            source.close()

    def _await_writable(self) -> None:
        """Wake the relay when the tool's stdin has room, or to grant more credit."""
        source = self._stdio.input
        if self._ready is None or source is None or self._is_waiting:
            return
        if source.is_waiting or (self._owes_much and not source.is_finished):
            self._ready.register(source.descriptor, WRITABLE)
            self._is_waiting = True

    def _stop_waiting(self, source: Input) -> None:
        if self._ready is not None and self._is_waiting:
            self._ready.unregister(source.descriptor)
            self._is_waiting = False

    @property
    def _owes_much(self) -> bool:
        # Grant large portions: a message per line would wake the client each time.
        return self._owed * 4 >= self._credit
