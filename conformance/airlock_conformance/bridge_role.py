"""The suite as a daemon and as clients: the cases of a bridge's container end.

The executable is called as ``EXE --bridge DIR``. Frames go over its standard input and output, and
clients connect to the sockets that it makes in DIR.
"""

import contextlib
import os
import select
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from airlock_conformance.content import encode
from airlock_conformance.violation import TimedOut, Violation

KINDS: Final = ("HELLO", "OPEN", "DATA", "END", "CLOSE", "CREDIT", "PING", "PONG")
_HEADER: Final = struct.Struct("<IHH")
_MARK: Final = (0, "PONG", b"mark")

Frame = tuple[int, str, bytes]


def run_bridge_case(body: Mapping[str, Any], executable: str, *, patience: float) -> None:
    """Start the container's end, and take the steps of a case. Raises `Violation`."""
    # The path of a unix socket holds 107 bytes at most: pytest's own directories are too deep.
    with tempfile.TemporaryDirectory(prefix="airlock-") as name:
        # One directory down, so that what a wrong one makes beside it is removed too.
        directory = Path(name, "volume")
        directory.mkdir()
        with contextlib.closing(_Bridge(executable, directory, patience)) as bridge:
            _take_steps(bridge, body)


def _take_steps(bridge: "_Bridge", body: Mapping[str, Any]) -> None:
    for step in body["steps"]:
        ((action, value),) = step.items()
        try:
            getattr(bridge, action)(value)
        except OSError as error:
            raise Violation(f"{action} {value!r}: {error.strerror}") from error


class _Bridge:
    """The process under test; each public method is a step of a case."""

    def __init__(self, executable: str, directory: Path, patience: float) -> None:
        self._directory = directory
        self._patience = patience
        self._clients: dict[str, socket.socket] = {}
        self._read = b""
        self._closed: set[int] = set()
        self._process = subprocess.Popen(
            [executable, "--bridge", os.fspath(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )

    def close(self) -> None:
        """End it, and its clients."""
        for client in self._clients.values():
            client.close()
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()

    def send(self, frames: Sequence[Sequence[Any]]) -> None:
        """Send frames: stream, kind (a name or a number), bytes."""
        for stream, kind, *content in frames:
            data = encode(content[0]) if content else b""
            number = KINDS.index(kind) if isinstance(kind, str) else kind
            self._write(_HEADER.pack(stream, number, len(data)) + data)

    def send_bytes(self, content: Any) -> None:
        """Send bytes that may be no frame."""
        self._write(encode(content))

    def receive(self, frames: Sequence[Sequence[Any]]) -> None:
        """The next frames are these; a grant of credit may come at any time."""
        for stream, kind, *content in frames:
            expected = stream, kind, encode(content[0]) if content else b""
            found = self._next()
            while found[1] == "CREDIT" != kind:
                found = self._next()
            if found != expected:
                raise Violation(f"expected the frame {expected!r}, and {found!r} came")

    def receive_bytes(self, expected: Sequence[Any]) -> None:
        """Frames of DATA of a stream come, and have these bytes together."""
        stream, content = expected
        wanted, found = encode(content), b""
        while len(found) < len(wanted):
            number, kind, data = self._next()
            if (number, kind) != (stream, "DATA"):
                raise Violation(f"expected DATA of stream {stream}, and {kind} of {number} came")
            found += data
        if found != wanted:
            raise Violation(f"{len(found)} bytes came that are not those that were sent")

    def receive_nothing(self, _: bool) -> None:
        """All that was sent is obeyed, and nothing comes of it."""
        self.send([[0, "PING", "mark"]])
        found = self._next()
        if found != _MARK:
            raise Violation(f"expected no frame, and {found!r} came")

    def receive_until_obeyed(self, _: bool) -> None:
        """All that was sent is obeyed, whatever comes of it."""
        self.send([[0, "PING", "mark"]])
        while self._next() != _MARK:
            pass

    def connect(self, names: Sequence[str]) -> None:
        """A client of this name connects to a socket."""
        name, path = names
        client = self._clients[name] = socket.socket(socket.AF_UNIX)
        client.settimeout(self._patience)
        client.connect(os.fspath(self._directory / path))

    def client_sends(self, said: Sequence[Any]) -> None:
        """A client sends bytes."""
        name, content = said
        self._clients[name].sendall(encode(content))

    def client_passes(self, said: Sequence[Any]) -> None:
        """A client sends bytes, and the writing end of a pipe with them, which nobody then has."""
        name, content = said
        reading, writing = os.pipe()
        socket.send_fds(self._clients[name], [encode(content)], [writing])
        os.close(writing)
        _, kind, data = self._next()
        if (kind, data) != ("DATA", encode(content)):
            raise Violation(f"expected DATA {encode(content)!r}, and {kind} {data!r} came")
        ready, _, _ = select.select([reading], [], [], self._patience)
        os.close(reading)
        if not ready:
            raise Violation("the descriptor that a client sent is still open")

    def client_ends(self, name: str) -> None:
        """A client closes its sending half."""
        self._clients[name].shutdown(socket.SHUT_WR)

    def client_closes(self, name: str) -> None:
        """A client closes its connection."""
        self._clients.pop(name).close()

    def client_receives(self, expected: Sequence[Any]) -> None:
        """A client gets exactly these bytes next."""
        name, content = expected
        wanted, found = encode(content), b""
        while len(found) < len(wanted):
            piece = self._clients[name].recv(len(wanted) - len(found))
            if not piece:
                break
            found += piece
        if found != wanted:
            raise Violation(f"a client got {len(found)} bytes that are not the expected ones")

    def client_at_end(self, name: str) -> None:
        """A client gets the end of the bytes."""
        if data := self._clients[name].recv(1):
            raise Violation(f"expected the end for a client, which got {data!r}")

    def is_no_socket(self, name: str) -> None:
        """Nobody can connect to a socket."""
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(os.fspath(self._directory / name))
            except (FileNotFoundError, ConnectionRefusedError):
                return
        raise Violation(f"something still listens at {name}")

    def file(self, expected: Sequence[Any]) -> None:
        """A file has these bytes; null where there must be none."""
        name, content = expected
        path = self._directory / name
        found = path.read_bytes() if path.exists() else None
        wanted = None if content is None else encode(content)
        if found != wanted:
            raise Violation(f"the file {name} has {found!r}, not {wanted!r}")

    def end_stdin(self, _: bool) -> None:
        """The daemon ends."""
        if self._process.stdin is not None:
            self._process.stdin.close()

    def ends(self, _: bool) -> None:
        """The program ends by itself."""
        try:
            self._process.wait(self._patience)
        except subprocess.TimeoutExpired:
            raise TimedOut(f"the bridge still runs after {self._patience:g} s") from None
        if self._process.returncode < 0:
            raise Violation(f"the bridge was ended by signal {-self._process.returncode}")

    def _write(self, data: bytes) -> None:
        # One that has ended takes no more; the case says whether it may.
        with contextlib.suppress(BrokenPipeError):
            while data and self._process.stdin is not None:
                data = data[self._process.stdin.write(data) or 0 :]

    def _next(self) -> Frame:
        stream, kind, length = _HEADER.unpack(self._take(_HEADER.size))
        if kind >= len(KINDS):
            raise Violation(f"a frame has the unknown kind {kind}")
        if stream in self._closed:
            raise Violation(f"{KINDS[kind]} came after CLOSE of stream {stream}")
        if KINDS[kind] == "CLOSE":
            self._closed.add(stream)
        return stream, KINDS[kind], self._take(length)

    def _take(self, count: int) -> bytes:
        deadline = time.monotonic() + self._patience
        stdout = self._process.stdout
        while len(self._read) < count and stdout is not None:
            left = max(deadline - time.monotonic(), 0)
            if not select.select([stdout], [], [], left)[0]:
                raise TimedOut(f"no frame came in {self._patience:g} s")
            piece = os.read(stdout.fileno(), 65536)
            if not piece:
                raise Violation("the bridge has ended, where a frame was expected")
            self._read += piece
        taken, self._read = self._read[:count], self._read[count:]
        return taken
