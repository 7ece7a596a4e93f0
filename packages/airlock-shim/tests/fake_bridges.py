"""The daemon's end of a bridge, as frames to be sent and read, and clients of its sockets."""

import contextlib
import os
import select
import socket
import struct
import subprocess
import time
from pathlib import Path
from typing import NamedTuple, Self

from fake_tools import PATIENCE_S

HELLO, OPEN, DATA, END, CLOSE, CREDIT, PING, PONG = range(8)
WINDOW = 256 * 1024
FIRST_CREDIT = 8 * 1024
GREETING = b"airlock-bridge 1"


class Frame(NamedTuple):
    """One frame."""

    stream: int
    kind: int
    payload: bytes = b""

    @property
    def encoded(self) -> bytes:
        """Its bytes."""
        return struct.pack("<IHH", self.stream, self.kind, len(self.payload)) + self.payload


class FakeBridge:
    """Starts `--bridge` in its own folder, and has the pipes of its stdin and stdout."""

    def __init__(self, folder: Path, shim: Path) -> None:
        """Start it, without a greeting."""
        self.folder = folder
        self.process = subprocess.Popen(
            [shim, "--bridge", os.fspath(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._stdin, self._stdout = self.process.stdin, self.process.stdout
        self._read = b""
        self._clients: list[socket.socket] = []

    def __enter__(self) -> Self:
        """Return the started bridge."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close all clients, and kill the bridge."""
        for client in self._clients:
            client.close()
        self.process.kill()
        with contextlib.suppress(BrokenPipeError):
            self.process.communicate()

    def greet(self, *names: str) -> None:
        """Have it listen at these sockets, and wait until it does."""
        self.send(Frame(0, HELLO, b" ".join((GREETING, *(name.encode() for name in names)))))
        self.sync()

    def send(self, *frames: Frame) -> None:
        """Send frames."""
        self.send_bytes(b"".join(frame.encoded for frame in frames))

    def send_bytes(self, data: bytes) -> None:
        """Send what may be no frame; a bridge that has ended takes no more of it."""
        with contextlib.suppress(BrokenPipeError):
            while data:
                data = data[self._stdin.write(data) or 0 :]

    def end(self) -> None:
        """Close its stdin."""
        self._stdin.close()
        self.process.stdin = None

    def sync(self) -> list[Frame]:
        """Wait until all that was sent is obeyed; returns what came before the answer."""
        mark = Frame(0, PING, b"sync")
        self.send(mark)
        return self.read_until(0, PONG)[:-1]

    def read(self) -> Frame:
        """Return the next frame."""
        stream, kind, length = struct.unpack("<IHH", self._take(8))
        return Frame(stream, kind, self._take(length))

    def read_until(self, stream: int, kind: int) -> list[Frame]:
        """Return the frames up to one of this stream and kind."""
        frames = [self.read()]
        while frames[-1][:2] != (stream, kind):
            frames.append(self.read())
        return frames

    def _take(self, count: int) -> bytes:
        deadline = time.monotonic() + PATIENCE_S
        while len(self._read) < count:
            ready, _, _ = select.select([self._stdout], [], [], deadline - time.monotonic())
            assert ready, f"no frame came in {PATIENCE_S} s"
            piece = os.read(self._stdout.fileno(), 1 << 20)
            assert piece, "the bridge has ended"
            self._read += piece
        taken, self._read = self._read[:count], self._read[count:]
        return taken

    def connect(self, name: str = "airlock.sock") -> socket.socket:
        """Connect to one of its sockets."""
        client = socket.socket(socket.AF_UNIX)
        self._clients.append(client)
        client.settimeout(PATIENCE_S)
        client.connect(os.fspath(self.folder / name))
        return client

    def open(self, name: str = "airlock.sock") -> tuple[socket.socket, int]:
        """Connect, and return the client and the number of its stream."""
        client = self.connect(name)
        frame = self.read()
        assert frame[1:] == (OPEN, name.encode())
        return client, frame.stream

    def wait(self) -> tuple[int, str]:
        """Wait for its end; returns its exit status, and what it says on stderr."""
        _, said = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, said.decode()
