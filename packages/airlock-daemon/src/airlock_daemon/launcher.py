"""The native launcher: how it is started, and what is said over its control socket.

It stays between daemon and tool as the parent of every process that the tool leaves behind, so
that all of them end when the tool, the client or the daemon goes. The messages are fixed in size
and described in `native/README.md`.
"""

import contextlib
import errno
import os
import resource
import signal as signals
import socket
import struct
from collections.abc import Mapping
from importlib.resources import files

import msgspec
import trio

from airlock_daemon.errors import Failed

_REPORT = struct.Struct("<cxxxi")

_STAGES = {b"D": "its directory cannot be entered", b"N": "its process cannot be set up"}


class Started(msgspec.Struct, frozen=True):
    """What a tool is started with. `program` is absolute; `directory` an open descriptor.

    Words of `argv` that were not UTF-8 carry their bytes as surrogates (PEP 383).
    """

    program: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    directory: int


class Ended(msgspec.Struct, frozen=True):
    """How a tool ended: its exit code, or the signal that ended it and then 128+n."""

    exit_code: int
    signal: str | None


def find_launcher() -> str:
    """Path of the launcher that was installed with this package; raises Failed without one."""
    path = str(files("airlock_daemon").joinpath("_native/airlock-launch"))
    if not os.access(path, os.X_OK):
        raise Failed(
            f"the launcher {path} is missing",
            hint="install airlock-daemon from its wheel for linux x86_64 or aarch64",
        )
    return path


class Launch:
    """One started launcher. Its owner must call `ended` until it is true, then `close`."""

    def __init__(
        self, launcher: str, what: Started, *, stdin: int, stdout: int, stderr: int, nofile: int
    ) -> None:
        """Start `what` with the three descriptors; raises Failed when that is not possible."""
        try:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError as error:
            raise cannot_start(what.program, error) from error
        ours.setblocking(False)
        self.control = ours
        # The descriptors that keep their number are duplicated onto themselves, which clears
        # close-on-exec in the child only; the numbers 0-2 are always open here, so none is lost.
        actions = [
            (os.POSIX_SPAWN_DUP2, theirs.fileno(), theirs.fileno()),
            (os.POSIX_SPAWN_DUP2, what.directory, what.directory),
            (os.POSIX_SPAWN_DUP2, stdin, 0),
            (os.POSIX_SPAWN_DUP2, stdout, 1),
            (os.POSIX_SPAWN_DUP2, stderr, 2),
        ]
        head: list[str | bytes] = [
            launcher,
            str(theirs.fileno()),
            str(what.directory),
            str(nofile),
            what.program,
        ]
        try:
            self.pid = os.posix_spawn(
                launcher,
                [*head, *(word.encode("utf-8", "surrogateescape") for word in what.argv)],
                what.environment,
                file_actions=actions,
            )
        except (OSError, ValueError) as error:
            ours.close()
            raise cannot_start(what.program, error) from error
        finally:
            theirs.close()

    def read_report(self) -> Ended | Failed | None:
        """Read what the launcher said, without waiting.

        None is for nothing yet. Failed says that the tool could not be started, or that the
        launcher is gone without a word (then the kernel has killed the tool).
        """
        try:
            message = self.control.recv(_REPORT.size)
        except BlockingIOError:
            return None
        except OSError:
            message = b""
        if len(message) != _REPORT.size:
            return Failed("the launcher was killed, and the command with it")
        kind, value = _REPORT.unpack(message)
        if kind == b"X":
            return _read_status(value)
        reason = os.strerror(value)
        if kind == b"F":
            return Failed(
                f"the command cannot be executed: {reason}",
                hint="run it once on the host as the user of the daemon",
            )
        return Failed(f"the command cannot be started: {_STAGES.get(kind, kind)}: {reason}")

    def signal(self, number: int) -> None:
        """Send a signal to the tool's process group."""
        self._send(b"S", number)

    def end(self, number: int = signals.SIGHUP) -> None:
        """End tool and descendants: the signal first, SIGKILL after the launcher's grace of 2 s."""
        self._send(b"E", number)

    async def wait_gone(self) -> None:
        """Wait until no process of the command is left, then reap the launcher."""
        while True:
            try:
                if not self.control.recv(_REPORT.size):
                    break
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self.control)
            except OSError:
                break
        # Its descriptors are closed: it is in the last step of its exit, and this does not wait.
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)  # noqa: ASYNC222

    def close(self) -> None:
        """Close the control socket, which also ends whatever still runs."""
        self.control.close()

    def _send(self, kind: bytes, number: int) -> None:
        # A launcher that is gone needs no word any more; one that does not read is told by EOF.
        with contextlib.suppress(OSError):
            self.control.send(kind + bytes([number]))


def raise_descriptor_limit() -> int:
    """Raise this process's soft limit of open files to the hard one; returns what it was.

    Each connection is a descriptor. Tools get the old limit back: some close or scan them all.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return soft


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


def cannot_start(program: str, error: OSError | ValueError) -> Failed:
    """Say in a person's words why the kernel does not start `program`."""
    if isinstance(error, OSError) and error.errno == errno.E2BIG:
        return Failed(
            "the arguments are longer than the kernel allows",
            hint="pass fewer or shorter arguments",
        )
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return Failed(
            "the daemon has no file descriptors left",
            hint="close connections, or raise the limit of open files (ulimit -n) for the daemon",
        )
    return Failed(f"{program} cannot be started: {error}")
