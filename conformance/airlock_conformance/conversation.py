"""The client's end of one connection to a daemon under test."""

import array
import fcntl
import select
import socket
import termios
import time
from collections.abc import Callable
from pathlib import Path

from airlock_conformance.received import Received, Stream
from airlock_conformance.violation import Violation

_CHUNK = 65_536
_TICK_S = 0.002


class Conversation:
    """Sends bytes and takes what comes back at the same time, so that neither side can block.

    `patience` is how many seconds the daemon has for each thing that is awaited. Closing it is
    the client's hang-up; every user does it.
    """

    def __init__(self, path: Path, *, patience: float) -> None:
        self.received = Received()
        self.closed = False
        self._patience = patience
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(patience)
        self._socket.connect(str(path))
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

    def send(self, data: bytes) -> None:
        """Send all of the data, or as much as the daemon takes before it closes."""
        rest = memoryview(data)
        deadline = time.monotonic() + self._patience
        while rest and not self.closed:
            try:
                readable, writable = self._wait(deadline, writing=True)
            except TimeoutError as error:
                raise Violation(f"{error} for {self._patience:g} s; {self._so_far()}") from None
            if readable:
                self._receive()
            if writable:
                try:
                    rest = rest[self._socket.send(rest) :]
                except BlockingIOError:
                    continue
                except (BrokenPipeError, ConnectionResetError):
                    break  # what the daemon had to say may still be in our queue

    def send_each_byte(self, data: bytes) -> None:
        """Send byte by byte, each after the daemon took the one before."""
        for byte in data:
            self.send(bytes([byte]))
            await_drained(self._socket, patience=self._patience)

    def await_output(self, stream: Stream, text: str) -> None:
        """Return when a stream brought exactly this text so far."""
        self._await(lambda: self.received.output[stream] == text, f"{stream} {text!r}")

    def await_close(self) -> None:
        """Return when the daemon has closed the connection."""
        self._await(lambda: self.closed, "the end of the connection")
        self.received.finish()

    def _await(self, done: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + self._patience
        while not done():
            if self.closed:
                raise Violation(f"the daemon closed before {what} came; {self._so_far()}")
            try:
                self._wait(deadline, writing=False)
            except TimeoutError:
                raise Violation(
                    f"{what} did not come within {self._patience:g} s; {self._so_far()}"
                ) from None
            self._receive()

    def _wait(self, deadline: float, *, writing: bool) -> tuple[bool, bool]:
        senders = [self._socket] if writing else []
        left = max(0.0, deadline - time.monotonic())
        readable, writable, _ = select.select([self._socket], senders, [], left)
        if not readable and not writable:
            raise TimeoutError("the daemon neither reads nor writes nor closes")
        return bool(readable), bool(writable)

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
        output = {name: text[-200:] for name, text in self.received.output.items()}
        return f"so far: output {output}, response {self.received.response}"


def await_drained(connection: socket.socket, *, patience: float) -> None:
    """Return when the peer has read all that was sent, so that chunks arrive as they were sent.

    The kernel offers no event for this, only a count of unread bytes (SIOCOUTQ, unix(7)), so it
    is asked again and again. A peer that has not read within `patience` seconds, or has gone, is
    left alone: the checks on what it answers tell more.
    """
    unread = array.array("i", [0])
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        try:
            fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, unread)
        except OSError:
            return
        if unread[0] == 0:
            return
        select.select([], [], [], _TICK_S)
