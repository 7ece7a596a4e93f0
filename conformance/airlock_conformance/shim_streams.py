"""What a shim under test has for its stdin, stdout and stderr, and the suite's ends of them."""

import contextlib
import os
import select
import socket
from collections.abc import Mapping
from pathlib import Path

from airlock_conformance.terminal import Terminal

_CHUNK = 65_536
_NAMES = ("stdin", "stdout", "stderr")
_USUAL = {"stdin": "null", "stdout": "pipe", "stderr": "pipe"}


class ShimStreams:
    """The three streams of one call. Every user closes it.

    `kinds` says what each is: ``null``, ``pipe``, ``file``, ``socket``, ``fifo``, ``terminal``, and
    for stderr also ``stdout``, the same object. All that are a terminal are one. `output` has what
    was written so far, by stdout, stderr and terminal.
    """

    def __init__(self, kinds: Mapping[str, str], *, directory: Path, content: bytes = b"") -> None:
        self.output = {name: bytearray() for name in ("stdout", "stderr", "terminal")}
        self.theirs: list[int] = []
        self.terminal: Terminal | None = None
        self._directory = directory
        self._stack = contextlib.ExitStack()
        self._readers: dict[str, int] = {}
        self._files: dict[str, int] = {}
        self._input = -1
        for name in _NAMES:
            kind = kinds.get(name, _USUAL[name])
            if name == "stdin":
                self.theirs.append(self._open_stdin(kind, content))
            else:
                self.theirs.append(self._open_output(name, kind))

    def close(self) -> None:
        """Close everything that the suite still has."""
        self.close_theirs()
        self.close_stdin()
        for descriptor in (*self._readers.values(), *self._files.values()):
            os.close(descriptor)
        self._readers.clear()
        self._files.clear()
        self._stack.close()

    def close_theirs(self) -> None:
        """Close the suite's copies of the shim's ends, once it has them."""
        while self.theirs:
            os.close(self.theirs.pop())
        if self.terminal is not None:
            self.terminal.close_inner()

    def write_stdin(self, data: bytes) -> None:
        """Write to the suite's end of stdin, or type on the terminal."""
        if self.terminal is not None and self._input < 0:
            os.write(self.terminal.outer, data)
            return
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._input, rest) :]

    def close_stdin(self) -> None:
        """Close the suite's end of stdin."""
        if self._input >= 0:
            os.close(self._input)
            self._input = -1

    def close_stdout(self) -> None:
        """Close the reading end of stdout: the next write there fails with EPIPE."""
        os.close(self._readers.pop("stdout"))

    def position(self) -> int:
        """Return where in the file of stdin the next reader of it would begin, in bytes."""
        return os.lseek(self._files["stdin"], 0, os.SEEK_CUR)

    def readers(self) -> list[int]:
        """Return the descriptors from which output may come."""
        return list(self._readers.values())

    def take(self) -> None:
        """Take what has been written by now, so that a full pipe stops nobody."""
        for name, descriptor in tuple(self._readers.items()):
            while select.select([descriptor], [], [], 0)[0]:
                try:
                    data = os.read(descriptor, _CHUNK)
                except OSError:  # EIO: nobody has the inner side of the terminal any more
                    data = b""
                if not data:
                    os.close(self._readers.pop(name))
                    break
                self.output[name] += data
        for name in ("stdout", "stderr"):
            if name in self._files:
                size = os.fstat(self._files[name]).st_size
                self.output[name] = bytearray(os.pread(self._files[name], size, 0))

    def _open_stdin(self, kind: str, content: bytes) -> int:
        match kind:
            case "pipe":
                theirs, self._input = os.pipe()
            case "file":
                path = self._directory / "stdin"
                path.write_bytes(content)
                theirs = os.open(path, os.O_RDONLY)
                self._files["stdin"] = os.dup(theirs)
            case "socket":
                ours, other = socket.socketpair()
                self._input, theirs = ours.detach(), other.detach()
            case "fifo":
                path = self._directory / "fifo"
                os.mkfifo(path)
                theirs = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
                self._input = os.open(path, os.O_WRONLY)
                os.set_blocking(theirs, True)
            case _:
                theirs = self._open_either(kind)
        return theirs

    def _open_output(self, name: str, kind: str) -> int:
        match kind:
            case "pipe":
                self._readers[name], theirs = os.pipe()
            case "file":
                theirs = os.open(self._directory / name, os.O_RDWR | os.O_CREAT, 0o600)
                self._files[name] = os.dup(theirs)
            case "socket":
                ours, other = socket.socketpair()
                self._readers[name], theirs = ours.detach(), other.detach()
            case "stdout":
                theirs = os.dup(self.theirs[1])
            case _:
                theirs = self._open_either(kind)
        return theirs

    def _open_either(self, kind: str) -> int:
        if kind == "null":
            return os.open(os.devnull, os.O_RDWR)
        if kind != "terminal":
            raise ValueError(f"{kind!r} is no kind of stream")
        if self.terminal is None:
            self.terminal = Terminal()
            self._stack.callback(self.terminal.close)
            self._readers["terminal"] = os.dup(self.terminal.outer)
        return os.dup(self.terminal.inner)
