"""The standard streams of a tool: the client's own, a pseudo-terminal of the daemon, or pipes."""

import os
import struct
import termios
import threading
from contextlib import suppress
from fcntl import ioctl
from functools import partial

import trio

from airlock_daemon.boundary.command.process import PIECE, Emit, Input, Piped, Stdio
from airlock_daemon.boundary.connection.descriptors import ClientDescriptors, start_in_thread
from airlock_wire import Terminal

# How long a process that the tool left behind may keep the terminal open before its output is
# discarded.
LEFT_S = 0.1


def open_stdio(
    passed: ClientDescriptors | None, terminal: Terminal | None, *, has_input: bool, null: int
) -> Stdio:
    """Use the descriptors that the client `passed`; without them open a `terminal`, or pipes.

    `null` is as in `Direct`, and `has_input` as in `Piped`. Raises OSError.
    """
    if passed is not None:
        return Direct(passed, null=null)
    if terminal is not None:
        return PseudoTerminal(terminal, has_input=has_input)
    return Piped(has_input=has_input)


class Direct(Stdio):
    """Three descriptors that came with the request and were verified; its session closes them.

    The client's /dev/null is replaced by `null`, the host's, which the caller keeps: in the
    client's files it could be anything.
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
        """Close them, so that readers of the other ends wait for the tool, not the daemon."""
        self._passed.close(is_usable=True)


class PseudoTerminal(Stdio):
    """One pseudo-terminal (pty(7)) for the streams that are a terminal at the client.

    The others are pipes. stdin is /dev/null if the client may not send input.
    """

    def __init__(self, terminal: Terminal, *, has_input: bool) -> None:
        """Raises OSError if no descriptors or pseudo-terminals are left."""
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
            # The client's own terminal converts line ends then, as for the other programs of a
            # pipeline: only one of the two may.
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
        """Emit what an ended tool has left in its outputs."""
        stream = self.outputs.pop(self._master)
        await super().drain(emit)
        # Unlike a pipe, a terminal delivers writes with some delay. Reading fails with EIO once
        # everything is read and no process has the other side open.
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
        """Set the terminal's size, asynchronously; its foreground process group gets SIGWINCH.

        This would wait for a process that is reading the size into slow memory.
        """
        # The table of descriptors may be full. The next resize will do.
        with suppress(OSError):
            self._sizer.set(self._master, rows, columns)

    def close(self) -> None:
        """Close all descriptors, which hangs up the terminal."""
        self._close_slave()
        super().close()

    def _close_slave(self) -> None:
        if self._slave >= 0:
            os.close(self._slave)
            self._slave = -1


class _Sizer:
    """Sets a terminal's size in a thread; only the latest size counts."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted: tuple[int, int] | None = None
        self._is_busy = False

    def set(self, master: int, rows: int, columns: int) -> None:
        """Set the size, asynchronously. Raises OSError if no descriptors are left."""
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
