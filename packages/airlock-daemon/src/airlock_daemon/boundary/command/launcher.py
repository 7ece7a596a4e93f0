"""The launcher: one process that starts tools for the daemon. Here is the native one, of Linux.

`native/README.md` specifies the order for a command, and the other messages. The launcher creates
a supervisor for each command, the parent of the tool and of all processes that the tool leaves
behind, so that they all end with the tool, the client or the daemon. A supervisor without
processes left runs the next command.
"""

import contextlib
import errno
import itertools
import os
import signal as signals
import socket
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, TypeAlias

import msgspec
import trio

from airlock_daemon.errors import AirlockError, Denied, Failed, full_table, is_full_table
from airlock_daemon.platform.system import make_sealed
from airlock_daemon.setup.generation import Profile
from airlock_modules import Module, select_forwarded

if TYPE_CHECKING:
    from airlock_daemon.boundary.command.posix_launcher import PosixLauncher

_ORDER = struct.Struct("<IIQ12I4Q")
# As user and group: the launcher's. As sockets: no fence.
_SAME = 0xFFFFFFFF
_UNLIMITED = (1 << 64) - 1
_NO_BOUNDS = (_UNLIMITED,) * 4
_NO_RULES = (_SAME, *(0,) * 5)

# The longest message; longer strings travel in a memfd.
MESSAGE = 65536
MAX_KEPT = 57
"""Limit of extra descriptors in a message."""


class CommandLine(msgspec.Struct, frozen=True):
    """How to start a tool. `program` is absolute; `directory` is an open descriptor.

    Bytes of `argv` and `environment` that are not UTF-8 are surrogates (PEP 383). No string
    contains a NUL.
    """

    program: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    directory: int


class Identity(msgspec.Struct, frozen=True):
    """Numeric user and group of a tool, which is in no further group."""

    user: int
    group: int


class Bounds(msgspec.Struct, frozen=True):
    """Limits of a boxed or fenced tool, and of each of its processes (setrlimit(2)).

    `processes` counts those of its user in its user namespace, or on the host without one; `data`
    is bytes of private memory, `file_size` bytes of a written file; `open_files` cannot be raised.
    None means no limit.
    """

    processes: int | None = None
    data: int | None = None
    file_size: int | None = None
    open_files: int | None = None

    @property
    def numbers(self) -> tuple[int, ...]:
        """The limits in the order of `native/README.md`."""
        wanted = (self.processes, self.data, self.file_size, self.open_files)
        return tuple(_UNLIMITED if each is None else each for each in wanted)


class Fence(msgspec.Struct, frozen=True):
    """A tool's confinement without a box: Landlock, and a filter that allows `sockets`
    (native/seccomp/rules.zig). Open descriptors name what it may read, write, and use as a device.
    It may also read all in the directories `opened`, except these themselves and what is `hidden`.
    """

    sockets: int
    read: tuple[int, ...]
    written: tuple[int, ...]
    used: tuple[int, ...]
    opened: tuple[int, ...] = ()
    hidden: tuple[int, ...] = ()

    @property
    def kinds(self) -> tuple[tuple[int, ...], ...]:
        """The descriptors, in the order of `native/README.md`."""
        return (self.read, self.written, self.used, self.opened, self.hidden)


def encode_order(
    what: CommandLine,
    *,
    nofile: int,
    terminal: int = 0,
    kept: int = 0,
    identity: Identity | None = None,
    fence: Fence | None = None,
    bounds: Bounds | None = None,
    has_group: bool = False,
    before: bytes = b"",
) -> tuple[bytes, tuple[int, ...]]:
    """Encode the order to start `what`, prefixed by `before`; returns it and files to send with it,
    which the caller closes.

    `nofile` is the soft limit of open files, `kept` the number of descriptors from 3 on; the others
    are as in `NativeLauncher.launch`. Raises OSError.
    """
    strings = _join(what)
    header = before + _ORDER.pack(
        len(what.argv),
        len(what.environment),
        nofile,
        terminal,
        len(strings),
        kept,
        _SAME if identity is None else identity.user,
        _SAME if identity is None else identity.group,
        *(_NO_RULES if fence is None else (fence.sockets, *map(len, fence.kinds))),
        has_group,
        *(_NO_BOUNDS if bounds is None else bounds.numbers),
    )
    if len(header) + len(strings) <= MESSAGE:
        return header + strings, ()
    return header, (_make_file(strings),)


def _join(what: CommandLine) -> bytes:
    variables = [f"{name}={value}" for name, value in what.environment.items()]
    return "\0".join((what.program, *what.argv, *variables, "")).encode("utf-8", "surrogateescape")


def _make_file(strings: bytes) -> int:
    """Put the strings into a memfd."""
    # The launcher maps it: sealed, it cannot shrink below the size in the header.
    return make_sealed("airlock-command", strings)


_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")

BASE = frozenset(
    (
        *("PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR", "SHELL"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR"),
        *_PROXIES,
        *(name.upper() for name in _PROXIES),
    )
)


def build_environment(
    module: Module,
    profile: Profile,
    *,
    daemon: Mapping[str, str],
    search_path: str,
    client: Mapping[str, str] = {},
    term: str | None = None,
    root: str | None = None,
    is_boxed: bool = False,
) -> dict[str, str]:
    """Build the environment variables of a command of `module`.

    In this order, later ones winning: base variables and those that the module inherits, from
    `daemon`; those that it forwards, from `client`; the profile's `[env] set`; the module's
    `strip`, which removes; the module's `set`; and for git outside a box the protocols that the
    profile grants, and `root` as the topmost directory for finding a repository, None for any.
    `search_path` is PATH, and `term` is TERM, None without a terminal. Values are unchanged, but a
    client's locale or time zone that could be a file is omitted.
    """
    environment = select_inherited(daemon, module)
    environment["PATH"] = search_path
    if term:
        environment["TERM"] = term
    environment.update(select_forwarded(client, module.forward))
    environment.update(profile.env)
    for name in module.strip:
        environment.pop(name, None)
    environment.update(module.set)
    if module.name != "git" or is_boxed:
        return environment
    if profile.git_protocols is not None:
        environment["GIT_ALLOW_PROTOCOL"] = ":".join(profile.git_protocols)
    if root is not None:
        # A repository of the human could lie above it.
        environment["GIT_CEILING_DIRECTORIES"] = os.path.dirname(root)
    return environment


def select_inherited(daemon: Mapping[str, str], module: Module) -> dict[str, str]:
    """The base variables of the daemon, and those that the module inherits."""
    return {
        name: value
        for name, value in daemon.items()
        if name in BASE or name.startswith("LC_") or name in module.inherit
    }


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
        if kind == b"D" and value == errno.ESTALE:
            return explain_changed()
        reason = os.strerror(value)
        problem = f"cannot be started: {_STAGES.get(kind, kind)}"
        if kind == b"F":
            problem = "cannot be executed"
        return Failed(f"the command {problem}: {reason}", hint=_ON_THE_HOST)

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


def explain_changed(what: str = "a directory of the workspace") -> Denied:
    """The refusal of a box in which `what` is not the one that was found for it."""
    return Denied(
        f"{what} was replaced while a box was made of it",
        layer="workspace",
        rule="missing",
        hint="repeat the command, and leave the workspace's directories alone meanwhile",
    )


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
    path = str(files("airlock_daemon").joinpath("_native/airlock-launch"))
    if not os.access(path, os.X_OK):
        raise Failed(
            f"the launcher {path} is missing",
            hint="install airlock-daemon from its wheel for linux x86_64 or aarch64",
        )
    return path


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
        sum of 1, 2 and 4). `kept` are at most MAX_KEPT further descriptors, from 3 on. Another
        `identity` than the daemon's requires a daemon that is root. A `fence` confines the tool,
        within `bounds`; the tool gets none of the fence's descriptors. `group` is the directory of
        its cgroup. Raises Failed if nothing can be started; `Launch.read_report` tells if the tool
        itself could not be.
        """
        try:
            rules = () if fence is None else itertools.chain(*fence.kinds)
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
                while self._idle:
                    control = self._idle.pop()
                    try:
                        socket.send_fds(control, [message], given)
                    except OSError:
                        # It was killed, or does not read. Use another one.
                        control.close()
                    else:
                        return Launch(control, self._keep)
                return await self._order(message, given)
            finally:
                for file in files:
                    os.close(file)
        except OSError as error:
            raise cannot_start(what.program, error) from error

    async def _order(self, message: bytes, descriptors: Sequence[int]) -> "Launch":
        """Give the order to a new supervisor."""
        ours, theirs = make_pair()
        try:
            await self._send(message, [theirs.fileno(), *descriptors])
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
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
        for end in self._idle:
            end.close()
        self._idle.clear()
        self._orders.close()
        # SIGKILL: it holds no state, and waiting for one stopped by SIGSTOP would never end.
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signals.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)

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
