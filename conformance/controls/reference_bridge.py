#!/usr/bin/env python3
"""A container end of a bridge that keeps to the protocol; each control changes one method."""

import contextlib
import os
import re
import select
import socket
import struct
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

HELLO, OPEN, DATA, END, CLOSE, CREDIT, PING, PONG = range(8)
WINDOW: Final = 262144
FIRST_CREDIT: Final = 8192
PIECE: Final = 32768
GREETING: Final = b"airlock-bridge 1"
_HEADER: Final = struct.Struct("<IHH")
_COUNT: Final = struct.Struct("<I")


class Fault(Exception):
    """What came is not what the protocol allows."""


@dataclass(slots=True)
class Stream:
    """A connection: `credit` is what may be sent to the daemon, `allowance` what it may send."""

    number: int
    client: socket.socket
    credit: int = FIRST_CREDIT
    allowance: int = WINDOW
    pending: bytearray = field(default_factory=bytearray)
    has_ended: bool = False
    has_closed: bool = False
    is_ended: bool = False
    is_closed: bool = False


class ReferenceBridge:
    """Serves in a directory; each method is one rule."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.listeners: dict[str, socket.socket] = {}
        self.streams: dict[int, Stream] = {}
        self.next_number = 1
        self.last_file = 0
        self.file: tuple[str, bytearray] | None = None
        self.is_greeted = False
        self.is_over = False
        self._received = bytearray()
        self._outgoing = bytearray()

    def run(self) -> int:
        """Serve until stdin ends or the daemon breaks the protocol."""
        os.set_blocking(1, False)
        self.begin()
        try:
            while not self.is_over:
                self._step()
        except Fault as fault:
            print(f"airlock: {fault}", file=sys.stderr)
            return 125
        return 0

    def begin(self) -> None:
        """Greet the daemon."""
        self.put(0, HELLO, GREETING)

    def put(self, number: int, kind: int, payload: bytes = b"") -> None:
        """Send a frame."""
        self._outgoing += _HEADER.pack(number, kind, len(payload)) + payload

    def _step(self) -> None:
        poll = select.poll()
        poll.register(0, select.POLLIN)
        if self._outgoing:
            poll.register(1, select.POLLOUT)
        owners: dict[int, str | Stream] = {}
        for name, listener in self.listeners.items():
            owners[listener.fileno()] = name
            poll.register(listener, select.POLLIN)
        for stream in self.streams.values():
            if not stream.has_closed and (events := self._find_events(stream)) is not None:
                owners[stream.client.fileno()] = stream
                poll.register(stream.client, events)
        for descriptor, events in poll.poll():
            owner = owners.get(descriptor)
            if descriptor == 0:
                self._receive()
            elif descriptor == 1:
                del self._outgoing[: os.write(1, self._outgoing)]
            elif isinstance(owner, Stream) and not owner.has_closed:
                self._advance(owner, events)
            elif isinstance(owner, str) and owner in self.listeners:
                self._accept(owner)

    def _find_events(self, stream: Stream) -> int | None:
        events = select.POLLOUT if stream.pending else 0
        if stream.has_ended:
            return events
        if self.may_send(stream):
            events |= select.POLLIN
        return events or None

    def _receive(self) -> None:
        data = os.read(0, 65536)
        if not data:
            self.stdin_ended()
        self._received += data
        while len(self._received) >= _HEADER.size:
            number, kind, length = _HEADER.unpack_from(self._received)
            self.check_frame(kind, length)
            if len(self._received) < _HEADER.size + length:
                return
            payload = bytes(self._received[_HEADER.size : _HEADER.size + length])
            del self._received[: _HEADER.size + length]
            self.obey(number, kind, payload)

    def stdin_ended(self) -> None:
        """The daemon has ended."""
        self.is_over = True

    def check_frame(self, kind: int, length: int) -> None:
        """Refuse what is no frame."""
        if kind > PONG or length > PIECE:
            raise Fault("what came is no frame")

    def obey(self, number: int, kind: int, payload: bytes) -> None:
        """Obey a frame."""
        if kind == HELLO:
            self.greet(payload)
        elif not self.is_greeted:
            self.too_early()
        elif kind == PING:
            self.put(0, PONG, self.answer(payload))
        elif kind == OPEN:
            self.open_file(number, payload.decode())
        elif number == self.last_file and self.file is not None:
            self.write_file(kind, payload)
        elif (number, kind) != (self.last_file, CLOSE):
            self.obey_stream(number, kind, payload)

    def too_early(self) -> None:
        """A frame came before the greeting."""
        raise Fault("a frame came before the greeting")

    def answer(self, payload: bytes) -> bytes:
        """Return the bytes of PONG."""
        return payload

    def greet(self, payload: bytes) -> None:
        """Listen where the daemon says."""
        self.check_version(payload)
        self.is_greeted = True
        names = payload.decode().split(" ")[2:]
        for name in names:
            self.check_socket(name)
        self.leave([name for name in self.listeners if name not in names])
        for name in names:
            if name not in self.listeners:
                self.listeners[name] = listener = socket.socket(socket.AF_UNIX)
                listener.bind(os.fspath(self.directory / name))
                listener.listen()

    def check_version(self, payload: bytes) -> None:
        """Refuse another protocol."""
        if not re.fullmatch(GREETING + b"(?: [^ ]+)*", payload):
            raise Fault("the greeting has another version")

    def check_socket(self, name: str) -> None:
        """Refuse a name of a socket that leads elsewhere."""
        self.check_name(name)

    def check_name(self, name: str) -> None:
        """Refuse a name that leads elsewhere, or is hidden."""
        if not re.fullmatch(r"[a-z][a-z0-9._-]{0,63}", name):
            raise Fault("a name is none")

    def leave(self, names: list[str]) -> None:
        """Listen at these sockets no more."""
        for name in names:
            self.listeners.pop(name).close()
            (self.directory / name).unlink()

    def _accept(self, name: str) -> None:
        client, _ = self.listeners[name].accept()
        client.setblocking(False)
        number = self.choose_number()
        self.streams[number] = Stream(number, client)
        self.put(number, OPEN, name.encode())

    def choose_number(self) -> int:
        """Return the number of a new stream."""
        self.next_number += 2
        return self.next_number - 2

    def _advance(self, stream: Stream, events: int) -> None:
        if stream.pending:
            self.deliver(stream)
        if stream.has_closed:
            return
        if stream.has_ended:
            if events & (select.POLLHUP | select.POLLERR) and not stream.pending:
                self.close(stream)
        elif self.may_send(stream) and events & (select.POLLIN | select.POLLHUP):
            self._read(stream)

    def _read(self, stream: Stream) -> None:
        data = self.take(stream, self.may_send(stream))
        stream.credit -= len(data)
        if data:
            self.put(stream.number, DATA, data)
        else:
            stream.has_ended = True
            self.put(stream.number, END)
            self.client_ended(stream)

    def may_send(self, stream: Stream) -> int:
        """Return how many bytes may be sent."""
        return min(PIECE, stream.credit)

    def take(self, stream: Stream, most: int) -> bytes:
        """Return bytes that a client has sent; its descriptors are dropped by the kernel."""
        return stream.client.recv(most)

    def client_ended(self, stream: Stream) -> None:
        """The client sends no more, and may still take."""

    def obey_stream(self, number: int, kind: int, payload: bytes) -> None:
        """Obey a frame of a stream."""
        stream = self.streams.get(number)
        if stream is None or stream.is_closed:
            return self.refuse_stream(number)
        if kind == DATA:
            self.check_data(stream, payload)
            stream.allowance -= len(payload)
            if stream.has_closed:
                return self.drop(stream)
            stream.pending += payload
        elif kind == END:
            stream.is_ended = True
        elif kind == CLOSE:
            stream.is_closed = True
            if stream.has_closed:
                del self.streams[number]
                return None
            self.other_closed(stream)
        elif kind == CREDIT:
            self.grant(stream, _COUNT.unpack(payload)[0])
        if not stream.has_closed:
            self.deliver(stream)
        return None

    def refuse_stream(self, number: int) -> None:
        """A frame came of a stream that is not open."""
        raise Fault(f"stream {number} is not open")

    def check_data(self, stream: Stream, payload: bytes) -> None:
        """Refuse more than the credit, and what comes after the end."""
        if not 0 < len(payload) <= stream.allowance or stream.is_ended:
            raise Fault("more came than was granted")

    def drop(self, stream: Stream) -> None:
        """Bytes came for a stream that this end has closed."""

    def other_closed(self, stream: Stream) -> None:
        """The daemon has closed; what waits is still delivered."""

    def grant(self, stream: Stream, count: int) -> None:
        """Add to the credit."""
        if not 0 < count <= WINDOW - stream.credit:
            raise Fault("a credit came that is not owed")
        stream.credit += count

    def deliver(self, stream: Stream) -> None:
        """Give the client what waits for it, as far as it takes that."""
        with contextlib.suppress(BlockingIOError):
            while stream.pending:
                count = stream.client.send(stream.pending)
                del stream.pending[:count]
                if not stream.is_ended and not stream.is_closed:
                    stream.allowance += count
                    self.put(stream.number, CREDIT, _COUNT.pack(count))
        if stream.pending:
            return
        if stream.is_closed:
            self.close(stream)
        elif stream.is_ended:
            stream.client.shutdown(socket.SHUT_WR)

    def close(self, stream: Stream) -> None:
        """End a stream for its client, and tell the daemon."""
        stream.client.close()
        stream.has_closed = True
        self.put(stream.number, CLOSE)
        if stream.is_closed:
            del self.streams[stream.number]

    def open_file(self, number: int, name: str) -> None:
        """Begin to receive a file."""
        if number != self.last_file + 2 or self.file is not None:
            raise Fault("a file has another number")
        self.check_name(name)
        self.last_file = number
        self.file = name, bytearray()

    def write_file(self, kind: int, payload: bytes) -> None:
        """Keep a file's bytes, and put it in its place when it is whole."""
        assert self.file is not None
        name, content = self.file
        if kind == DATA:
            content += payload
            self.put(self.last_file, CREDIT, _COUNT.pack(len(payload)))
            return
        if kind != END:
            raise Fault("a file is not whole")
        self.file = None
        self.place(name, bytes(content))
        self.put(self.last_file, CLOSE)

    def place(self, name: str, content: bytes) -> None:
        """Replace a file, or remove it."""
        path = self.directory / name
        if content:
            hidden = self.directory / f".{name}"
            hidden.write_bytes(content)
            hidden.replace(path)
        else:
            path.unlink(missing_ok=True)


def main(kind: type[ReferenceBridge] = ReferenceBridge) -> None:
    """Run one as the suite calls it."""
    sys.exit(kind(Path(sys.argv[2])).run())


if __name__ == "__main__":
    main()
