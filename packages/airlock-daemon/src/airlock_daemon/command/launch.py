"""One command that the launcher runs: what is reported of it, and what it is told."""

import contextlib
import errno
import os
import signal as signals
import socket
import struct
from collections.abc import Callable

import msgspec
import trio

from airlock_daemon.errors import AirlockError, Failed, full_table, is_full_table

_REPORT = struct.Struct("<cxxxi")

# The longest message: what was left in a box.
_MESSAGE_BYTES = 4096

_ENDS = (b"R", b"O", b"X")

_STAGES = {b"D": "its directory cannot be entered", b"N": "its process cannot be set up"}

_ON_THE_HOST = "a person on the host can run it there, as the user of the daemon, to see why"


class Ended(msgspec.Struct, frozen=True):
    """How a tool ended: its exit code, or the signal that ended it and then 128+n."""

    exit_code: int
    signal: str | None


class Launch:
    """One command that a supervisor was told to start. Its owner must `wait_gone`, then `close`.

    `keep` takes the control socket of a supervisor that may be told to start another one.
    """

    def __init__(self, control: socket.socket, keep: Callable[[socket.socket], None]) -> None:
        self.control = control
        self._keep = keep
        self._is_over = False
        self._is_gone = False
        self._may_go_on = False

    @property
    def ready(self) -> int:
        """A descriptor that can be read when there is something for `read_report`."""
        return self.control.fileno()

    def read_report(self) -> Ended | AirlockError | None:
        """Read what was reported of the command, without waiting.

        None is for nothing yet. An error says that the tool could not be started, or that its
        supervisor is gone without a word (then the kernel has killed the tool).
        """
        try:
            message = self._receive()
        except BlockingIOError:
            return None
        if len(message) != _REPORT.size:
            return self._explain_loss()
        kind, value = _REPORT.unpack(message)
        if kind in _ENDS:
            return _read_status(value)
        if kind == b"F" and value == errno.E2BIG:
            return cannot_start("", OSError(errno.E2BIG, ""))
        reason = os.strerror(value)
        if kind == b"F":
            return Failed(
                f"the command cannot be executed: {reason}",
                hint=_ON_THE_HOST,
            )
        return Failed(
            f"the command cannot be started: {_STAGES.get(kind, kind)}: {reason}", hint=_ON_THE_HOST
        )

    def _explain_loss(self) -> AirlockError:
        return Failed(
            "the launcher was killed, and the command with it",
            hint="a person on the host can look for what killed it, such as the kernel where "
            "memory ran out (dmesg)",
        )

    def signal(self, number: int) -> None:
        """Send a signal to the tool's process group."""
        self._send(b"S", number)

    def end(self, number: int = signals.SIGHUP) -> None:
        """End tool and descendants: the signal first, SIGKILL after the launcher's grace of 2 s.

        What a tool that has ended left behind is ended so without being told.
        """
        if not self._is_over:
            self._send(b"E", number)

    def is_gone(self) -> bool:
        """Whether no process of the command is left."""
        try:
            while not self._is_gone:
                self._receive()
        except BlockingIOError:
            return False
        return True

    async def wait_gone(self) -> None:
        """Wait until no process of the command is left."""
        while not self.is_gone():
            await trio.lowlevel.wait_readable(self.control)

    def close(self) -> None:
        """Give back the control socket. Closing it also ends whatever still runs."""
        if self._may_go_on:
            self._may_go_on = False
            self._keep(self.control)
        else:
            self.control.close()

    def _receive(self) -> bytes:
        """Take what was reported, empty where the supervisor is gone; raises BlockingIOError."""
        message = self._take_message()
        while (kind := message[:1]) == b"W":
            # Of a box: that it is made, and waits for its order, is of no use any more.
            message = self._take_message()
        self._is_over = True
        self._is_gone = kind in (b"", b"O", b"R")
        self._may_go_on = kind == b"R"
        return message

    def _take_message(self) -> bytes:
        try:
            return self.control.recv(_MESSAGE_BYTES)
        except BlockingIOError:
            raise
        except OSError:
            return b""

    def _send(self, kind: bytes, number: int) -> None:
        # A supervisor that is gone needs no word any more; one that does not read is told by EOF.
        with contextlib.suppress(OSError):
            self.control.send(kind + bytes([number]))


def cannot_start(program: str, error: OSError | ValueError) -> Failed:
    """Say in a person's words why the kernel does not start `program`."""
    if isinstance(error, OSError) and error.errno == errno.E2BIG:
        return Failed(
            "the arguments are longer than the kernel allows",
            hint="pass fewer or shorter arguments",
        )
    if is_full_table(error):
        return full_table()
    return Failed(f"{program} cannot be started: {error}", hint=_ON_THE_HOST)


def _read_status(status: int) -> Ended:
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return Ended(code, None)
    number = -code
    try:
        name = signals.Signals(number).name
    except ValueError:
        name = f"SIG{number}"
    return Ended(128 + number, name)
