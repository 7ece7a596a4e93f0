"""A daemon that does what a case says, for shims to talk to."""

import json
import select
import socket
import time
from collections.abc import Callable
from typing import Any

from airlock_conformance.conversation import await_drained
from airlock_conformance.matching import differences
from airlock_conformance.message_schemas import require_valid
from airlock_conformance.violation import Violation, require_none

_CHUNK = 65_536
_TICK_S = 0.01


class FakeDaemon:
    """Serves the first connection of a listener, call by call. Every user closes it.

    `meanwhile` is called again and again while it waits or sends, to take the shim's output. The
    listener stays the caller's.
    """

    def __init__(
        self, listener: socket.socket, *, patience: float, meanwhile: Callable[[], None]
    ) -> None:
        self._patience = patience
        self._meanwhile = meanwhile
        self._listener = listener
        self._connection: socket.socket | None = None

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()

    def receive_request(self, pattern: Any) -> None:
        """Read one line and require a valid request that matches the pattern."""
        line = b""
        while not line.endswith(b"\n"):
            data = self._receive(_CHUNK)
            if not data:
                raise Violation(f"the shim closed before its request was whole: {line[-200:]!r}")
            line += data
        if line.count(b"\n") != 1:
            raise Violation(f"the shim sent more than one line: {line[-200:]!r}")
        try:
            request = json.loads(line.decode("utf-8"))
        except ValueError as error:
            raise Violation(f"the request is not JSON in UTF-8: {line[:200]!r}") from error
        require_valid(request, "request")
        require_none(differences(pattern, request, at="request"))

    def receive_bytes(self, count: int) -> None:
        """Read so many bytes of the request and leave the rest unread."""
        while count > 0:
            data = self._receive(min(count, _CHUNK))
            if not data:
                raise Violation("the shim closed before its request was whole")
            count -= len(data)

    def send(self, data: bytes) -> None:
        """Send all of the data while the shim reads it."""
        if not self._send(data):
            raise Violation("the shim closed while the daemon was sending")

    def send_each_byte(self, data: bytes) -> None:
        """Send byte by byte, each after the shim took the one before, until it closes.

        A shim may end on the last brace of the response, before its newline.
        """
        for byte in data:
            if not self._send(bytes([byte])):
                return
            await_drained(self._peer(), patience=self._patience)

    def send_until_closed(self, data: bytes) -> None:
        """Send the data again and again; `Violation` if the shim never closes."""
        deadline = time.monotonic() + self._patience
        while self._send(data):
            if time.monotonic() > deadline:
                raise Violation(f"the shim still reads after {self._patience:g} s")

    def await_close(self) -> None:
        """Return when the shim has closed the connection, taking what it sends until then."""
        while self._receive(_CHUNK):
            pass

    def _peer(self) -> socket.socket:
        if self._connection is None:
            self._wait(self._listener, reading=True, what="no connection from the shim")
            self._connection, _ = self._listener.accept()
            self._connection.setblocking(False)
        return self._connection

    def _receive(self, size: int) -> bytes:
        peer = self._peer()
        self._wait(peer, reading=True, what="nothing from the shim")
        try:
            return peer.recv(size)
        except ConnectionResetError:  # Linux, where the shim closed with unread bytes of ours
            return b""

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
        raise Violation(f"{what} within {self._patience:g} s")
