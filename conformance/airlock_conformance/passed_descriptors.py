"""Descriptors that the suite passes to a daemon, and its own ends of them.

A case names each: ``{"read_end": NAME}`` and ``{"write_end": NAME}`` are that end of a pipe,
``{"terminal": NAME}`` the inner side of a pseudo-terminal; the suite keeps the other end under the
name. Two of one name are the same object. The strings stand for objects of other kinds, of which
``null``, /dev/null, is the only one that a daemon may take.
"""

import contextlib
import os
import select
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from airlock_conformance.matching import brief
from airlock_conformance.terminal import Terminal
from airlock_conformance.violation import TimedOut, Violation

_CHUNK = 65_536


class PassedDescriptors:
    """All descriptors of one case. Every user closes it."""

    def __init__(self) -> None:
        self.output: dict[str, bytearray] = {}
        self._stack = contextlib.ExitStack()
        self._directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self._terminals: dict[str, Terminal] = {}
        self._ours: dict[str, int] = {}
        self._readers: dict[str, int] = {}

    def close(self) -> None:
        """Close the suite's ends and remove what was made for the case."""
        for descriptor in self._ours.values():
            os.close(descriptor)
        self._ours.clear()
        self._readers.clear()
        self._stack.close()

    @contextlib.contextmanager
    def made(self, kinds: list[Any]) -> Iterator[list[int]]:
        """Yield descriptors of these kinds; the suite's copies are closed afterwards."""
        descriptors: list[int] = []
        try:
            descriptors.extend(map(self._make, kinds))
            yield descriptors
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def write(self, name: str, data: bytes) -> None:
        """Write to the suite's end; it must hold what is written, as nothing is awaited."""
        os.write(self._ours[name], data)

    def drop(self, name: str) -> None:
        """Close the suite's end."""
        self._readers.pop(name, None)
        os.close(self._ours.pop(name))

    def readers(self) -> list[int]:
        """Return the suite's ends from which something may be read."""
        return list(self._readers.values())

    def take(self) -> None:
        """Read what is there on every reading end, so that a full pipe stops no tool."""
        for name, descriptor in tuple(self._readers.items()):
            while select.select([descriptor], [], [], 0)[0]:
                try:
                    data = os.read(descriptor, _CHUNK)
                except OSError:  # EIO: no process has the inner side of a terminal any more
                    data = b""
                if not data:
                    del self._readers[name]
                    break
                self.output[name] += data

    def await_released(self, name: str, *, patience: float) -> None:
        """Return when no process has the other end of a pipe any more.

        Raises `TimedOut` when that takes longer than `patience` seconds.
        """
        self.take()
        poll = select.poll()
        poll.register(self._ours[name], 0)  # POLLHUP and POLLERR are told unasked
        if not poll.poll(patience * 1000):
            raise TimedOut(f"a process still has the other end of {name!r} after {patience:g} s")
        self.take()

    def _make(self, kind: Any) -> int:
        match kind:
            case {"read_end": str(name)}:
                if name in self._ours:
                    raise ValueError(f"{name!r}: a reading end is passed once")
                theirs, self._ours[name] = os.pipe()
                return theirs
            case {"write_end": str(name)}:
                return self._write_end(name)
            case {"terminal": str(name)}:
                if name not in self._terminals:
                    terminal = self._terminals[name] = Terminal()
                    self._stack.callback(terminal.close)
                    self._keep_reader(name, os.dup(terminal.outer))
                return os.dup(self._terminals[name].inner)
            case str():
                return _MAKERS[kind](self._directory)
        raise ValueError(f"{kind!r} is no kind of descriptor")

    def _write_end(self, name: str) -> int:
        if name in self._ours:
            # The other end of the same pipe, opened by its link (proc_pid_fd(5)).
            return os.open(f"/proc/self/fd/{self._ours[name]}", os.O_WRONLY | os.O_CLOEXEC)
        ours, theirs = os.pipe()
        self._keep_reader(name, ours)
        return theirs

    def _keep_reader(self, name: str, descriptor: int) -> None:
        self._ours[name] = self._readers[name] = descriptor
        self.output[name] = bytearray()


def await_descriptor(passed: PassedDescriptors, name: str, data: bytes, *, patience: float) -> None:
    """Return when a reading end brought exactly this so far."""
    deadline = time.monotonic() + patience
    passed.take()
    while passed.output[name] != data:
        left = deadline - time.monotonic()
        readers = passed.readers()
        if left <= 0 or not readers or not select.select(readers, [], [], left)[0]:
            got = bytes(passed.output[name])
            kind = TimedOut if readers else Violation
            raise kind(f"{name}: expected {brief(data)} by now, got {brief(got)}")
        passed.take()


def _open_file(directory: Path) -> int:
    return os.open(directory / "file", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _open_directory(directory: Path) -> int:
    return os.open(directory, os.O_RDONLY | os.O_CLOEXEC)


def _open_fifo(directory: Path, name: str = "fifo", *, keep: bool = True) -> int:
    path = directory / name
    if not path.exists():
        os.mkfifo(path, 0o600)
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    if not keep:
        path.unlink()
    return descriptor


def _open_socket(kind: socket.AddressFamily) -> int:
    return socket.socket(kind, socket.SOCK_STREAM | socket.SOCK_CLOEXEC).detach()


_MAKERS: Mapping[str, Callable[[Path], int]] = {
    "null": lambda _: os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC),
    "zero": lambda _: os.open("/dev/zero", os.O_RDWR | os.O_CLOEXEC),
    "file": _open_file,
    "directory": _open_directory,
    "path": lambda directory: os.open(directory, os.O_PATH | os.O_CLOEXEC),
    "fifo": _open_fifo,
    "fifo without a name": lambda directory: _open_fifo(directory, keep=False),
    "fifo named like a pipe": lambda directory: _open_fifo(directory, "pipe:[1]"),
    "unix socket": lambda _: _open_socket(socket.AF_UNIX),
    "internet socket": lambda _: _open_socket(socket.AF_INET),
    "epoll": lambda _: _open_epoll(),
    "eventfd": lambda _: os.eventfd(0),
    "memory": lambda _: os.memfd_create("memory"),
}


def _open_epoll() -> int:
    with select.epoll() as epoll:
        return os.dup(epoll.fileno())
