"""An HTTPS socket like the daemon's, and commands started with `--exec`."""

import os
import select
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from fake_tools import PATIENCE_S


class FakeBroker:
    """Listens in its own folder, and starts commands for it."""

    def __init__(self, folder: Path, shim: Path, *, runner: Sequence[str] = ()) -> None:
        """Listen at `folder`/https.sock. `runner` is a command that executes the shim."""
        self.folder = folder
        self.path = folder / "https.sock"
        self.port = free_port()
        self._shim = shim
        self._runner = tuple(runner)
        self._started: list[subprocess.Popen[bytes]] = []
        self._sockets: list[socket.socket] = []
        self.listen()

    def __enter__(self) -> Self:
        """Return the listening broker."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close all sockets, and kill the commands that still run."""
        for process in self._started:
            process.kill()
            process.communicate()
        for each in (self._listener, *self._sockets):
            each.close()

    def listen(self) -> None:
        """Listen at a new socket."""
        self.path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(os.fspath(self.path))
        self._listener.listen(128)
        self._listener.settimeout(PATIENCE_S)

    def stop(self) -> None:
        """Stop listening but leave the socket's file, like a killed daemon."""
        self._listener.close()

    def start(
        self,
        *command: str,
        wrapper: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        **options: object,
    ) -> subprocess.Popen[bytes]:
        """Start a command with `--exec`. `wrapper` is a command that executes what follows it."""
        process: subprocess.Popen[bytes] = subprocess.Popen(  # type: ignore[call-overload]
            [*wrapper, *self._runner, os.fspath(self._shim), "--exec", *command],
            env={
                "PATH": os.environ["PATH"],
                "AIRLOCK_SOCKET": os.fspath(self.folder / "airlock.sock"),
                "AIRLOCK_PROXY_PORT": str(self.port),
                **(environment or {}),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **options,
        )
        self._started.append(process)
        return process

    def begin(self, **options: object) -> subprocess.Popen[bytes]:
        """Start a command, wait until it runs; it ends with its stdin."""
        process = self.start("sh", "-c", "echo runs; exec cat", **options)  # type: ignore[arg-type]
        assert process.stdout is not None
        assert process.stdout.readline() == b"runs\n", process.communicate()
        return process

    def connect(self) -> socket.socket:
        """Connect to the listener, as a tool does."""
        client = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)
        self._sockets.append(client)
        return client

    def accept(self) -> socket.socket:
        """Wait for a connection from the listener."""
        connection, _ = self._listener.accept()
        connection.settimeout(PATIENCE_S)
        self._sockets.append(connection)
        return connection


def free_port() -> int:
    """A free loopback port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def listener_of(process: subprocess.Popen[bytes]) -> int:
    """The pid of a command's listener."""
    (pid,) = (
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and _parent_of(entry) == process.pid
    )
    return pid


def _parent_of(entry: Path) -> int:
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def wait_for_end(pid: int) -> None:
    """Wait for the end of a process that is no child of the test."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([descriptor], [], [], PATIENCE_S)[0], "the process does not end"
    finally:
        os.close(descriptor)


def read_exactly(connection: socket.socket, count: int) -> bytes:
    """The next `count` bytes, fewer if the other end closes first.

    With a timeout a socket does not block, so that MSG_WAITALL has no effect.
    """
    data = bytearray()
    while len(data) < count and (piece := connection.recv(count - len(data))):
        data += piece
    return bytes(data)


def read_all(connection: socket.socket) -> bytes:
    """Read until the other end closes its sending half."""
    received = b""
    while piece := connection.recv(1 << 16):
        received += piece
    return received


def wait_until_refused(port: int) -> None:
    """Wait until connections to the port are refused."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            return
    raise AssertionError("somebody listens there")
