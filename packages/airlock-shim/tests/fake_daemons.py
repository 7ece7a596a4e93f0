"""The shim as a real process, and a fake daemon that it talks to."""

import fcntl
import json
import os
import re
import select
import socket
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

from fake_messages import RESULT, start_message
from fake_tools import PATIENCE_S, Tool


@dataclass(frozen=True)
class Ended:
    """A shim that has ended: `status` is negative for a signal."""

    status: int
    stdout: bytes
    stderr: str


def without_id(request: bytes) -> bytes:
    """A request without the container's id, so that the tests can run inside or outside one."""
    return re.sub(rb'(?<="container_id":)"[0-9a-f]{64}"', b"null", request)


class Conversation:
    """The daemon's end of one connection."""

    def __init__(self, connection: socket.socket) -> None:
        """Take ownership of the connection."""
        self._socket = connection
        self._socket.settimeout(PATIENCE_S)
        self._unread = b""
        self.descriptors: list[int] = []

    def read_request(self, *, keep_descriptors: bool = False) -> bytes:
        """The client's first line, without its newline. Closes its descriptors by default."""
        # Room for more descriptors than expected, so that an extra one is noticed.
        first, self.descriptors, _, _ = socket.recv_fds(self._socket, 1, 8)
        assert first == b"{", "the shim closed the connection before its request"
        if not keep_descriptors:
            self.close_descriptors()
        return first + self._read_line()

    def read_message(self) -> dict[str, Any]:
        """The client's next line, decoded."""
        message: dict[str, Any] = json.loads(self._read_line())
        return message

    def _read_line(self) -> bytes:
        while b"\n" not in self._unread:
            piece = self._socket.recv(1 << 20)
            assert piece, "the shim closed the connection within a line"
            self._unread += piece
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def run_tool(self) -> Tool:
        """A tool in this process, with the passed descriptors."""
        tool = Tool(*self.descriptors)
        self.descriptors = []
        return tool

    def read_bytes(self, count: int) -> bytes:
        """Read at most `count` bytes from the client; empty when it has closed."""
        try:
            return self._socket.recv(count)
        except ConnectionResetError:
            return b""

    def send(self, data: bytes) -> None:
        """Send all of `data`; ignore a client that has gone."""
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return

    def send_and_wait(self, data: bytes) -> None:
        """Send, and wait until the client has read all of it."""
        self._socket.sendall(data)
        deadline = time.monotonic() + PATIENCE_S
        while struct.unpack("i", fcntl.ioctl(self._socket, termios.TIOCOUTQ, bytes(4)))[0]:
            assert time.monotonic() < deadline, "the shim does not read what it was sent"
            os.sched_yield()

    def close(self) -> None:
        """Close the connection, and unclaimed descriptors."""
        self._socket.close()
        self.close_descriptors()

    def close_descriptors(self) -> None:
        """Close unclaimed descriptors."""
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors = []


class FakeDaemon:
    """A listening socket in its own folder, and shims started for it."""

    def __init__(self, folder: Path, shim: Path, *, runner: Sequence[str] = ()) -> None:
        """Listen at `folder`/airlock.sock. `runner` is a command that executes the shim."""
        self.folder = folder
        self.path = folder / "airlock.sock"
        self._shim = shim
        self._runner = tuple(runner)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(os.fspath(self.path))
        self._listener.listen()
        self._listener.settimeout(PATIENCE_S)
        self._started: list[subprocess.Popen[bytes]] = []
        self._accepted: list[Conversation] = []

    def __enter__(self) -> Self:
        """Return the listening daemon."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close all sockets, and kill the shims that still run."""
        self._listener.close()
        for conversation in self._accepted:
            conversation.close()
        for process in self._started:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()

    def link(self, name: str) -> Path:
        """A link `name` to the shim."""
        link = self.folder / "bin" / name
        link.parent.mkdir(exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(self._shim)
        return link

    def start(
        self,
        *arguments: str | bytes,
        command: str = "git",
        wrapper: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        cwd: str | bytes | Path | None = None,
        stdin: int | IO[bytes] = subprocess.DEVNULL,
        stdout: int | IO[bytes] = subprocess.PIPE,
        stderr: int | IO[bytes] = subprocess.PIPE,
        restore_signals: bool = True,
    ) -> subprocess.Popen[bytes]:
        """Start the shim as `command`. `wrapper` is a command that executes what follows it."""
        known = {"AIRLOCK_SOCKET": os.fspath(self.path), "PATH": os.environ["PATH"]}
        process = subprocess.Popen(
            [*wrapper, *self._runner, str(self.link(command)), *arguments],
            env=known if environment is None else {"PATH": os.environ["PATH"], **environment},
            cwd=cwd,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            restore_signals=restore_signals,
        )
        self._started.append(process)
        return process

    def accept(self) -> Conversation:
        """Wait for a client."""
        conversation = Conversation(self._listener.accept()[0])
        self._accepted.append(conversation)
        return conversation

    def begin(
        self, *features: str, credit: int | None = None, **start: Any
    ) -> tuple[subprocess.Popen[bytes], Conversation]:
        """Start a shim, read its request, and tell it to use these features."""
        process = self.start(**start)
        conversation = self.accept()
        conversation.read_request(keep_descriptors="fds" in features)
        conversation.send(start_message(*features, credit=credit))
        return process, conversation

    def answer(self, *pieces: bytes, **start: Any) -> Ended:
        """Start a shim, read its request, send it the pieces, close, and wait for its end."""
        process = self.start(**start)
        conversation = self.accept()
        conversation.read_request()

        def send() -> None:
            for piece in pieces:
                conversation.send(piece)
            conversation.close()

        sender = threading.Thread(target=send)
        sender.start()
        ended = wait(process)
        sender.join()
        return ended

    def request(self, *arguments: str | bytes, **start: Any) -> dict[str, Any]:
        """The request of a shim started with these arguments."""
        process = self.start(*arguments, **start)
        conversation = self.accept()
        request: dict[str, Any] = json.loads(conversation.read_request())
        conversation.send(RESULT)
        conversation.close()
        assert wait(process) == Ended(0, b"", "")
        return request


def wait(process: subprocess.Popen[bytes]) -> Ended:
    """Read what the shim writes until it ends."""
    stdout, stderr = process.communicate(timeout=PATIENCE_S)
    return Ended(process.returncode, stdout or b"", (stderr or b"").decode())


def read_output(process: subprocess.Popen[bytes], count: int) -> bytes:
    """The next `count` bytes of the shim's stdout, while it runs."""
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    received = b""
    while len(received) < count:
        assert select.select([descriptor], [], [], PATIENCE_S)[0], "the shim holds output back"
        piece = os.read(descriptor, count - len(received))
        assert piece, "the shim's output ended"
        received += piece
    return received
