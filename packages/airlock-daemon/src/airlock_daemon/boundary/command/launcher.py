"""The launcher: one process that starts tools for the daemon. Here is the native one, of Linux.

It creates a supervisor for each command, the parent of the tool and of all processes that the tool
leaves behind, so that they all end with the tool, the client or the daemon. A supervisor without
processes left runs the next command.
"""

import contextlib
import errno
import functools
import os
import signal
import signal as signals
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, TypeAlias

import msgspec
import trio

from airlock_daemon.boundary.command.order import Bounds, CommandLine, Fence, Identity, encode_order
from airlock_daemon.errors import AirlockError, Failed, full_table, is_full_table

if TYPE_CHECKING:
    from airlock_daemon.boundary.command.posix_launcher import PosixLauncher

_REPORT = struct.Struct("<cxxxi")

# The longest message: a box's leftovers.
_MESSAGE_BYTES = 4096

_ENDS = (b"R", b"O", b"X")

_STAGES = {b"D": "its directory cannot be entered", b"N": "its process cannot be set up"}

_ON_THE_HOST = "a person on the host can run it there, as the user of the daemon, to see why"


class Ended(msgspec.Struct, frozen=True):
    """How a tool ended: its exit code, or a signal with the exit code 128+n."""

    exit_code: int
    signal: str | None


class Launch:
    """One command given to a supervisor. Its owner must `wait_gone`, then `close`.

    `keep` takes the control socket of a supervisor that can run another command.
    """

    def __init__(self, control: socket.socket, keep: Callable[[socket.socket], None]) -> None:
        self.control = control
        self._keep = keep
        self._is_over = False
        self._is_gone = False
        self._may_go_on = False

    @property
    def ready(self) -> int:
        """A descriptor that is readable when `read_report` has something."""
        return self.control.fileno()

    def read_report(self) -> Ended | AirlockError | None:
        """Read the report about the command, without blocking.

        None if there is none yet. An error means that the tool could not be started, or that its
        supervisor ended without a report (then the kernel has killed the tool).
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
        """Send a signal to the tool's process group, unless the tool has ended.

        After that its supervisor may run another command, of another agent.
        """
        if not self._is_over:
            self._send(b"S", number)

    def end(self, number: int = signals.SIGHUP) -> None:
        """End the tool and its descendants: first the signal, then SIGKILL after a grace of 2 s.

        The launcher ends what an ended tool left behind in this way by itself.
        """
        if not self._is_over:
            self._send(b"E", number)

    def is_gone(self) -> bool:
        """Whether all of the command's processes have ended."""
        try:
            while not self._is_gone:
                self._receive()
        except BlockingIOError:
            return False
        return True

    async def wait_gone(self) -> None:
        """Wait until all of the command's processes have ended."""
        while not self.is_gone():
            await trio.lowlevel.wait_readable(self.control)

    def close(self) -> None:
        """Release the control socket, which also ends what still runs."""
        if self._may_go_on:
            self._may_go_on = False
            self._keep(self.control)
        else:
            self.control.close()

    def _receive(self) -> bytes:
        """Receive a report, b"" if the supervisor has ended. Raises BlockingIOError."""
        message = self._take_message()
        while (kind := message[:1]) == b"W":
            # A box's report that it is made and waits for its order; no longer of interest.
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
        # A supervisor that has ended needs no message; one that does not read sees EOF.
        with contextlib.suppress(OSError):
            self.control.send(kind + bytes([number]))


def cannot_start(program: str, error: OSError | ValueError) -> Failed:
    """Explain why the kernel does not start `program`."""
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


# Limit of idle supervisors. Each is a small process; more are useless, as concurrent commands soon
# exceed the processors.
IDLE = 8


def find_launcher() -> str:
    """The path of the launcher installed with this package. Raises Failed without one."""
    path = _launcher_path()
    if not os.access(path, os.X_OK):
        raise Failed(
            f"the launcher {path} is missing",
            hint="install airlock-daemon from its wheel for linux x86_64 or aarch64",
        )
    return path


@functools.cache
def _launcher_path() -> str:
    return str(files("airlock_daemon").joinpath("_native/airlock-launch"))


Launcher: TypeAlias = "NativeLauncher | PosixLauncher"
"""What starts tools, by the same methods on each system."""


def open_launcher(*, nofile: int) -> Launcher:
    """Start this system's launcher; raises Failed."""
    if sys.platform != "linux":
        from airlock_daemon.boundary.command.posix_launcher import PosixLauncher  # noqa: PLC0415

        return PosixLauncher(nofile=nofile)
    return NativeLauncher(find_launcher(), nofile=nofile)


class NativeLauncher:
    """The launcher process. Its owner must `close` it, which ends all that it runs."""

    def __init__(self, path: str, *, nofile: int) -> None:
        """Start it; `nofile` is the tools' soft limit of open files. Raises Failed."""
        self._path = path
        self.nofile = nofile
        self._turn = trio.Lock()
        self._ahead: tuple[socket.socket, socket.socket] | None = None
        self._idle: list[socket.socket] = []
        self._start()

    async def launch(
        self,
        what: CommandLine,
        standard: Sequence[int],
        *,
        terminal: int = 0,
        kept: Sequence[int] = (),
        identity: Identity | None = None,
        fence: Fence | None = None,
        bounds: Bounds | None = None,
        group: int | None = None,
    ) -> "Launch":
        """Start `what` with three descriptors as its stdin, stdout and stderr.

        `terminal` says which of them are one pseudo-terminal, the tool's controlling terminal (the
        sum of 1, 2 and 4). `kept` are at most MOST_KEPT further descriptors, from 3 on. Another
        `identity` than the daemon's requires a daemon that is root. A `fence` confines the tool,
        within `bounds`; the tool gets none of the fence's descriptors. `group` is the directory of
        its cgroup. Raises Failed if nothing can be started; `Launch.read_report` tells if the tool
        itself could not be.
        """
        try:
            rules = () if fence is None else fence.rules
            groups = () if group is None else (group,)
            message, files = encode_order(
                what,
                nofile=self.nofile,
                terminal=terminal,
                kept=len(kept),
                identity=identity,
                fence=fence,
                bounds=bounds,
                has_group=group is not None,
            )
            try:
                given = (what.directory, *standard, *kept, *rules, *groups, *files)
                return await self._order(message, given)
            finally:
                for file in files:
                    os.close(file)
        except OSError as error:
            raise cannot_start(what.program, error) from error

    async def _order(self, message: bytes, descriptors: Sequence[int]) -> "Launch":
        """Give the order to an idle supervisor, else to a new one."""
        while self._idle:
            control = self._idle.pop()
            try:
                socket.send_fds(control, [message], descriptors)
            except OSError:
                # It was killed, or does not read. Use another one.
                control.close()
            else:
                return Launch(control, self._keep)
        ours, theirs = self._ahead or make_pair()
        self._ahead = None
        try:
            await self._send(message, [theirs.fileno(), *descriptors])
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        # While the tool starts, prepare the next pair.
        self._refill()
        return Launch(ours, self._keep)

    def _keep(self, control: socket.socket) -> None:
        """Take back the control socket of an idle supervisor."""
        if self._is_open and len(self._idle) < IDLE:
            self._idle.append(control)
        else:
            control.close()

    def close(self) -> None:
        """End the launcher. Running commands end with their own control sockets."""
        self._is_open = False
        for end in (*self._idle, *(self._ahead or ())):
            end.close()
        self._idle.clear()
        self._ahead = None
        self._orders.close()
        # SIGKILL: it holds no state, and waiting for one stopped by SIGSTOP would never end.
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)

    def _refill(self) -> None:
        if self._ahead is None:
            with contextlib.suppress(OSError):
                self._ahead = make_pair()

    async def _send(self, message: bytes, descriptors: Sequence[int]) -> None:
        if not self._turn.locked():
            try:
                return self._send_now(message, descriptors)
            except BlockingIOError:
                pass
        # In order of arrival; only one task may wait for the socket.
        async with self._turn:
            while True:
                await trio.lowlevel.wait_writable(self._orders)
                try:
                    return self._send_now(message, descriptors)
                except BlockingIOError:
                    continue

    def _send_now(self, message: bytes, descriptors: Sequence[int]) -> None:
        try:
            socket.send_fds(self._orders, [message], descriptors)
        except (BrokenPipeError, ConnectionResetError):
            # It was killed. Its commands live on under their own supervisors.
            self.close()
            self._start()
            socket.send_fds(self._orders, [message], descriptors)

    def _start(self) -> None:
        ours, theirs = make_pair()
        self._orders = ours
        self._is_open = True
        # Duplicating a descriptor onto itself clears close-on-exec, in the child only.
        keep = theirs.fileno()
        actions = [
            (os.POSIX_SPAWN_DUP2, keep, keep),
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDWR, 0),
            (os.POSIX_SPAWN_DUP2, 0, 1),
        ]
        try:
            self._pid = os.posix_spawn(
                self._path, [self._path, str(keep)], {}, file_actions=actions
            )
        except OSError as error:
            ours.close()
            raise Failed(
                f"the launcher {self._path} cannot be started: {error.strerror}",
                hint="install airlock-daemon again",
            ) from error
        finally:
            theirs.close()


def make_pair() -> tuple[socket.socket, socket.socket]:
    """Make a pair of SOCK_SEQPACKET sockets; the first, for the daemon, does not block."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    return ours, theirs
