"""The client's end of one connection to a daemon under test."""

import base64
import select
import socket
import time
from collections.abc import Callable
from pathlib import Path

from airlock_conformance.checks import Checks
from airlock_conformance.content import line_of
from airlock_conformance.drained import await_drained, await_stalled
from airlock_conformance.matching import brief
from airlock_conformance.passed_descriptors import PassedDescriptors
from airlock_conformance.received import Received, Stream
from airlock_conformance.session_rules import read_request
from airlock_conformance.violation import TimedOut, Violation

_CHUNK = 65_536
_STDIN_PIECE = 32_768


class Conversation:
    """Sends bytes and takes what comes back at the same time, so that neither side can block.

    `patience` is how many seconds the daemon has for each thing that is awaited. What comes out of
    `passed` descriptors is taken meanwhile too. Closing it is the client's hang-up; every user
    does it.
    """

    def __init__(
        self,
        path: Path,
        *,
        patience: float,
        checks: Checks | None = None,
        passed: PassedDescriptors | None = None,
    ) -> None:
        self.received = Received(checks=checks)
        self.closed = False
        self._patience = patience
        self._passed = passed
        self._request = bytearray()
        self._descriptors = 0
        self._stdin_sent = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(patience)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            text = "the daemon accepts no connection"
            raise Violation(f"{text} at {path}: {error}", cause=text) from error
        self._socket.setblocking(False)

    def close(self) -> None:
        """Close the socket at once, whatever the daemon still sends."""
        self._socket.close()

    def half_close(self) -> None:
        """Close the sending half alone."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:  # the daemon has closed already, as after an early refusal
            self.closed = True

    def send(self, data: bytes, *, deaf: bool = False) -> None:
        """Send all of the data, or as much as the daemon takes before it closes.

        A `deaf` client takes nothing meanwhile.
        """
        self._note(data)
        self._transmit(data, deaf=deaf)

    def send_each_byte(self, data: bytes) -> None:
        """Send byte by byte, each after the daemon took the one before."""
        for byte in data:
            self.send(bytes([byte]))
            await_drained(self._socket, patience=self._patience)

    def send_with(self, data: bytes, descriptors: list[int]) -> None:
        """Send data with descriptors on its first byte."""
        if not self._request:
            self._descriptors = len(descriptors)
        self._note(data)
        try:
            sent = socket.send_fds(self._socket, [data], descriptors)
        except (BrokenPipeError, ConnectionResetError):
            return
        self._transmit(data[sent:])

    def send_stdin(self, data: bytes) -> None:
        """Send data as `stdin` messages, and never more of it than the daemon granted."""
        rest = memoryview(data)
        while rest and not self.closed:
            self._await(lambda: self.received.granted > self._stdin_sent, "credit for stdin")
            size = min(self.received.granted - self._stdin_sent, _STDIN_PIECE)
            self._send_piece(bytes(rest[:size]))
            rest = rest[size:]

    def overdraw(self, excess: int) -> None:
        """Send all of the credit and `excess` bytes more, in one message."""
        self._await(lambda: self.received.start is not None, "start")
        self._send_piece(b"x" * (self.received.granted - self._stdin_sent + excess))

    def await_start(self) -> None:
        """Return when `start` has come."""
        self._await(lambda: self.received.start is not None, "start")

    def await_output(self, stream: Stream, data: bytes) -> None:
        """Return when a stream brought exactly this so far."""
        self._await(lambda: self.received.output[stream] == data, f"{stream} {brief(data)}")

    def await_stalled(self) -> None:
        """Return when the daemon sends no more, since nobody reads what it sent."""
        await_stalled(self._socket, patience=self._patience)

    def await_close(self) -> None:
        """Return when the daemon has closed the connection."""
        self._await(lambda: self.closed, "the end of the connection")
        self.received.finish()

    def _transmit(self, data: bytes, *, deaf: bool = False) -> None:
        rest = memoryview(data)
        deadline = time.monotonic() + self._patience
        while rest and not self.closed:
            try:
                readable, writable = self._wait(deadline, reading=not deaf, writing=True)
            except TimeoutError as error:
                raise TimedOut(f"{error} for {self._patience:g} s; {self._so_far()}") from None
            if readable:
                self._receive()
            if writable:
                try:
                    rest = rest[self._socket.send(rest) :]
                except BlockingIOError:
                    continue
                except (BrokenPipeError, ConnectionResetError):
                    break  # what the daemon had to say may still be in our queue

    def _note(self, data: bytes) -> None:
        """Take note of the request as it is sent, for the rules of the session go by it."""
        if b"\n" in self._request:
            return
        self._request += data
        line, newline, _ = self._request.partition(b"\n")
        if newline:
            self.received.asked = read_request(bytes(line), descriptors=self._descriptors)

    def _send_piece(self, data: bytes) -> None:
        try:
            params = {"data": data.decode()}
        except UnicodeDecodeError:
            params = {"data": base64.b64encode(data).decode(), "encoding": "base64"}
        self._stdin_sent += len(data)
        self.send(line_of({"jsonrpc": "2.0", "method": "stdin", "params": params}))

    def _await(self, done: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + self._patience
        while not done():
            if self.closed:
                raise Violation(f"the daemon closed before {what} came; {self._so_far()}")
            try:
                readable, _ = self._wait(deadline)
            except TimeoutError:
                raise TimedOut(
                    f"{what} did not come within {self._patience:g} s; {self._so_far()}"
                ) from None
            if readable:
                self._receive()

    def _wait(
        self, deadline: float, *, reading: bool = True, writing: bool = False
    ) -> tuple[bool, bool]:
        receivers = [self._socket] if reading else []
        senders = [self._socket] if writing else []
        ours = [] if self._passed is None else self._passed.readers()
        left = max(0.0, deadline - time.monotonic())
        awaited: list[socket.socket | int] = [*receivers, *ours]
        readable, writable, _ = select.select(awaited, senders, [], left)
        if not readable and not writable:
            raise TimeoutError("the daemon neither reads nor writes nor closes")
        if self._passed is not None:
            self._passed.take()
        return self._socket in readable, bool(writable)

    def _receive(self) -> None:
        try:
            data = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return
        except ConnectionResetError:  # Linux, where the daemon closed with unread bytes of ours
            data = b""
        if data:
            self.received.feed(data)
        else:
            self.closed = True

    def _so_far(self) -> str:
        output = {name: bytes(data[-200:]) for name, data in self.received.output.items()}
        return f"so far: output {brief(output)}, response {self.received.response}"
