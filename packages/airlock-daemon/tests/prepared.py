"""`airlock-daemon` forked from a process that has imported it, to save the imports of each start.

The forked process is like an executed one: with the requested arguments, environment, directory,
standard streams and signals, and no other descriptors. When its program has ended, so has it: to
tear down everything that was imported takes longer than most commands. It inherits
`/proc/PID/cmdline` (a daemon's), `environ` and the parent from the process that forks.
"""

import atexit
import gc
import importlib
import io
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import IO

_CONFIGURATION = {
    "config.toml": '[commands]\nenable = ["git"]\n',
    "agents.toml": '[my]\npath = "."\n',
    "airlock.toml": 'commands = ["git"]\n',
}
"""Files for a command that reads a configuration."""

_AT_START = ("PYTHON", "LC_", "LANG")
"""Prefixes of variables that Python reads at its start."""


class Process:
    """An `airlock-daemon` with the methods of subprocess.Popen that tests use."""

    def __init__(
        self,
        args: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | Path = ".",
        stdin: int = 0,
        stdout: int = 1,
        stderr: int = 2,
        terminal: bool = False,
    ) -> None:
        """Start it with three of our descriptors; with `terminal`, stdin is its terminal."""
        self.args = args
        self.returncode: int | None = None
        self._wire, theirs = socket.socketpair()
        with theirs:
            _parent().fork(stdin, stdout, stderr, theirs.fileno())
        asked = {
            "args": args,
            "env": dict(os.environ if env is None else env),
            "cwd": os.path.abspath(cwd),
            "umask": _read_umask(),
            "terminal": terminal,
        }
        self._wire.sendall(json.dumps(asked).encode() + b"\n")
        data, descriptors, _, _ = socket.recv_fds(self._wire, 16, 1)
        self.pid = int(data)
        (self._pidfd,) = descriptors

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, at most `timeout` seconds (subprocess.TimeoutExpired)."""
        if self.returncode is None:
            self._wire.settimeout(timeout)
            try:
                status = self._wire.recv(16)
            except (TimeoutError, BlockingIOError):
                raise subprocess.TimeoutExpired(self.args, timeout or 0) from None
            self.returncode = int(status)
            self._wire.close()
            os.close(self._pidfd)
        return self.returncode

    def poll(self) -> int | None:
        """The exit status if it has ended, else None."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def send_signal(self, number: int) -> None:
        """Send a signal if it still runs."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def kill(self) -> None:
        """End it by SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def __del__(self) -> None:
        if self.returncode is None and hasattr(self, "_pidfd"):
            self._wire.close()
            os.close(self._pidfd)


def can_fork(environment: Mapping[str, str]) -> bool:
    """Whether a process with these variables may be forked: Python's own variables are the same."""
    return _of_python(environment) == _parent().of_python


def _of_python(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(_AT_START)}


def _read_umask() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("Umask:"))
    return int(line.split()[1], 8)


class _Parent:
    """The process that forks, which ends with this one."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair()
        self.of_python = _of_python(os.environ)
        with theirs, open(__file__, "rb") as program:
            # A program on stdin has no name, so the next argument makes it look like a daemon.
            self._process = subprocess.Popen(
                [sys.executable, "-", "airlock_daemon", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=program,
                cwd="/",
            )
        atexit.register(self._end)

    def _end(self) -> None:
        self._control.close()
        self._process.wait()

    def fork(self, *descriptors: int) -> None:
        socket.send_fds(self._control, [b"f"], descriptors)


_lock = threading.Lock()
_made: list[tuple[int, _Parent]] = []


def _parent() -> _Parent:
    """The forking process of this one, started on first use."""
    with _lock:
        if not _made or _made[0][0] != os.getpid():
            _made[:] = [(os.getpid(), _Parent())]
        return _made[0][1]


def _import_all() -> None:
    """Import all that `airlock-daemon` may import, except the HTTPS broker's process."""
    import airlock_daemon  # noqa: PLC0415 - in the process that forks alone

    for module in pkgutil.walk_packages(airlock_daemon.__path__, "airlock_daemon."):
        words = module.name.split(".")
        if words[-1] != "__main__" and "https" not in words and "darwin" not in words:
            importlib.import_module(module.name)
    # Typer imports it at the first command.
    with suppress(ImportError):
        importlib.import_module("typer._adapters")


def _run_once() -> None:
    """Carry out a command: patterns, parsers and options are then made for all that are forked."""
    from airlock_daemon.admin.cli import main  # noqa: PLC0415 - in the process that forks alone

    with tempfile.TemporaryDirectory() as folder, redirect_stdout(io.StringIO()):
        for name, text in _CONFIGURATION.items():
            Path(folder, name).write_text(text, encoding="utf-8")
        sys.argv[1:] = ["--config", folder, "check"]
        with suppress(SystemExit):
            main()
    # What depends on the environment and the time each finds by itself.
    tempfile.tempdir = None
    for name, module in sys.modules.items():
        for value in vars(module).values() if name.startswith("airlock_daemon") else ():
            if hasattr(value, "cache_clear"):
                value.cache_clear()


def _serve(control: socket.socket) -> None:
    """Fork for each request; returns in the child, and exits when the control socket closes."""
    poll = select.poll()
    poll.register(control, select.POLLIN)
    children: dict[int, tuple[int, int]] = {}
    while True:
        for ready, _ in poll.poll():
            if ready in children:
                poll.unregister(ready)
                pid, wire = children.pop(ready)
                status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                with suppress(BrokenPipeError):
                    os.write(wire, b"%d" % status)
                os.close(wire)
                os.close(ready)
                continue
            data, descriptors, _, _ = socket.recv_fds(control, 1, 4)
            if not data:
                os._exit(0)
            pid = os.fork()
            if not pid:
                control.detach()
                _become(*descriptors)
                return
            *streams, wire = descriptors
            for descriptor in streams:
                os.close(descriptor)
            pidfd = os.pidfd_open(pid)
            with socket.socket(fileno=os.dup(wire)) as reply:
                socket.send_fds(reply, [b"%d" % pid], [pidfd])
            children[pidfd] = (pid, wire)
            poll.register(pidfd, select.POLLIN)


def _become(stdin: int, stdout: int, stderr: int, wire: int) -> None:
    """Set up the requested process, up to running its program."""
    with open(wire, "rb", buffering=0) as file:
        line = b""
        while not line.endswith(b"\n"):
            if not (piece := file.readline()):
                os._exit(1)  # the requester has gone
            line += piece
        asked = json.loads(line)
        if asked["terminal"]:
            os.login_tty(stdin)
        else:
            for number, descriptor in enumerate((stdin, stdout, stderr)):
                os.dup2(descriptor, number)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.chdir(asked["cwd"])
    os.umask(asked["umask"])
    os.environ.clear()
    os.environ.update(asked["env"])
    sys.argv[:] = ["", *asked["args"]]
    sys.stdin = _open(0, "r", sys.stdin.errors)
    sys.stdout = _open(1, "w", sys.stdout.errors)
    sys.stderr = _open(2, "w", "backslashreplace", line_buffering=True)


def _open(number: int, mode: str, errors: str | None, *, line_buffering: bool = False) -> IO[str]:
    stream = open(number, mode, errors=errors, closefd=False)  # noqa: SIM115 - until the end
    if line_buffering:
        stream.reconfigure(line_buffering=True)  # type: ignore[attr-defined]
    return stream


if __name__ == "__main__":
    del sys.path[0]
    control = socket.socket(fileno=int(sys.argv.pop()))
    _import_all()
    _run_once()
    gc.freeze()
    _serve(control)
    status: object = 0
    try:
        runpy.run_module("airlock_daemon", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        status = end.code
    # What cannot be written is reported by the interpreter's own exit.
    with suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
        if isinstance(status, int):
            os._exit(status)
    raise SystemExit(status)
