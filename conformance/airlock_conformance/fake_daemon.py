"""A daemon that does what a case says, for shims to talk to."""

import contextlib
import fcntl
import os
import select
import socket
import time
from collections.abc import Callable
from typing import Any

from airlock_conformance.checks import Checks
from airlock_conformance.content import line_of
from airlock_conformance.drained import await_drained
from airlock_conformance.from_shim import FromShim
from airlock_conformance.matching import brief, differences
from airlock_conformance.violation import TimedOut, Violation, require_none

_CHUNK = 65_536
_TICK_S = 0.01
_USUAL_PIPE = 65_536  # pipe(7)
_MAX_DESCRIPTORS = 253  # SCM_MAX_FD, unix(7)


class FakeDaemon:
    """Serves the first connection of a listener, call by call. Every user closes it.

    `meanwhile` is called again and again while it waits or sends, to take the shim's output. The
    listener stays the caller's. `descriptors` are those that the shim passed.
    """

    def __init__(
        self,
        listener: socket.socket,
        *,
        patience: float,
        meanwhile: Callable[[], None],
        checks: Checks | None = None,
    ) -> None:
        self.received = FromShim(checks=Checks() if checks is None else checks)
        self.descriptors: list[int] = []
        self._patience = patience
        self._meanwhile = meanwhile
        self._listener = listener
        self._connection: socket.socket | None = None

    def close(self) -> None:
        """Close the connection, if there is one, and what came with it."""
        if self._connection is not None:
            self._connection.close()
        self.close_descriptors(range(len(self.descriptors)))

    def close_descriptors(self, numbers: range | list[int]) -> None:
        """Close passed descriptors by their place; those that are closed already stay so."""
        for number in numbers:
            if self.descriptors[number] >= 0:
                os.close(self.descriptors[number])
                self.descriptors[number] = -1

    def receive_request(self, pattern: Any) -> None:
        """Read one line and require a valid request that matches the pattern.

        Its first byte is read alone, since descriptors must have come with that one.
        """
        line, self.descriptors = self._receive_with(1)
        while not line.endswith(b"\n"):
            data = self._receive(_CHUNK)
            if not data:
                raise Violation(f"the shim closed before its request was whole: {line[-200:]!r}")
            line += data
        if line.count(b"\n") != 1:
            raise Violation(f"the shim sent more than one line: {line[-200:]!r}")
        self.received.take_request(line, self.descriptors)
        require_none(differences(pattern, self.received.request, at="request"))

    def receive_bytes(self, count: int) -> None:
        """Read so many bytes of the request and leave the rest unread."""
        while count > 0:
            data, descriptors = self._receive_with(min(count, _CHUNK))
            self.descriptors += descriptors
            if not data:
                raise Violation("the shim closed before its request was whole")
            count -= len(data)

    def send(self, data: bytes) -> None:
        """Send all of the data while the shim reads it."""
        self._take_what_came()
        self.received.note_sent(data)
        if not self._send(data):
            raise Violation("the shim closed while the daemon was sending")

    def send_each_byte(self, data: bytes) -> None:
        """Send byte by byte, each after the shim took the one before, until it closes.

        A shim may end on the last brace of the response, before its newline.
        """
        self.received.note_sent(data)
        for byte in data:
            if not self._send(bytes([byte])):
                return
            await_drained(self._peer(), patience=self._patience)

    def send_until_closed(self, data: bytes) -> None:
        """Send the data again and again; `Violation` if the shim never closes."""
        deadline = time.monotonic() + self._patience
        while self._send(data):
            if time.monotonic() > deadline:
                raise TimedOut(f"the shim still reads after {self._patience:g} s")

    def await_message(self, done: Callable[[FromShim], bool], what: str) -> None:
        """Return when what the shim sent so far is as it should be."""
        while not done(self.received):
            self._take_more(what)

    def take_stdin(self, *, grant: int) -> None:
        """Take stdin to its end, and grant so many bytes more for each message of it."""
        while not self.received.eof:
            before = len(self.received.stdin)
            self._take_more("the end of stdin")
            if len(self.received.stdin) > before and not self.received.eof:
                message = {"jsonrpc": "2.0", "method": "credit", "params": {"bytes": grant}}
                self.send(line_of(message))

    def await_close(self) -> None:
        """Return when the shim has closed the connection, taking what it sends until then."""
        while data := self._receive(_CHUNK):
            if self.received.request is not None:
                self.received.feed(data)

    def finish(self) -> None:
        """Check what a shim that has ended left unread; it may have left all of it."""
        if self._connection is None or self._connection.fileno() < 0:
            return
        if self.received.request is not None:
            self._take_what_came()

    def _take_more(self, what: str) -> None:
        data = self._receive(_CHUNK)
        if not data:
            raise Violation(f"the shim closed before {what} came")
        self.received.feed(data)

    def _take_what_came(self) -> None:
        if self.received.request is None:
            return
        while select.select([self._peer()], [], [], 0)[0]:
            data = self._receive(_CHUNK)
            if not data:
                return
            self.received.feed(data)

    def _peer(self) -> socket.socket:
        if self._connection is None:
            self._wait(self._listener, reading=True, what="no connection from the shim")
            self._connection, _ = self._listener.accept()
            self._connection.setblocking(False)
        return self._connection

    def _receive(self, size: int) -> bytes:
        data, descriptors = self._receive_with(size)
        if descriptors:
            for descriptor in descriptors:
                os.close(descriptor)
            self.received.refuse_descriptors()
        return data

    def _receive_with(self, size: int) -> tuple[bytes, list[int]]:
        peer = self._peer()
        self._wait(peer, reading=True, what="nothing from the shim")
        try:
            data, descriptors, _, _ = socket.recv_fds(peer, size, _MAX_DESCRIPTORS)
        except ConnectionResetError:  # Linux, where the shim closed with unread bytes of ours
            return b"", []
        return data, descriptors

    def _send(self, data: bytes) -> bool:
        peer, rest = self._peer(), memoryview(data)
        while rest:
            self._wait(peer, reading=False, what="the shim does not read")
            try:
                rest = rest[peer.send(rest) :]
            except BlockingIOError:
                continue
            except (BrokenPipeError, ConnectionResetError):
                return False
        return True

    def _wait(self, awaited: socket.socket, *, reading: bool, what: str) -> None:
        deadline = time.monotonic() + self._patience
        while time.monotonic() < deadline:
            self._meanwhile()
            lists = ([awaited], []) if reading else ([], [awaited])
            if any(select.select(*lists, [], _TICK_S)):
                return
        raise TimedOut(f"{what} within {self._patience:g} s")


def write_descriptor(daemon: FakeDaemon, number: int, data: bytes) -> None:
    """Write to a passed descriptor; a pipe is first made large enough, as nothing is awaited."""
    descriptor = daemon.descriptors[number]
    if len(data) > _USUAL_PIPE:
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, 1 << len(data).bit_length())
    os.write(descriptor, data)


def read_descriptor(daemon: FakeDaemon, number: int, size: int | None, *, patience: float) -> bytes:
    """Return so many bytes of a passed descriptor, or all to its end where `size` is None.

    What came by then is returned where the rest does not come within `patience` seconds.
    """
    descriptor, data = daemon.descriptors[number], b""
    deadline = time.monotonic() + patience
    while size is None or len(data) < size:
        left = max(0.0, deadline - time.monotonic())
        if not select.select([descriptor], [], [], left)[0]:
            where = "its end" if size is None else f"{size} bytes"
            raise TimedOut(f"descriptor {number}: {where} did not come; got {brief(data)}")
        piece = b""
        with contextlib.suppress(OSError):  # EIO: the terminal has gone
            piece = os.read(descriptor, _CHUNK if size is None else size - len(data))
        if not piece:
            break
        data += piece
    return data
