"""One end of a bridge, as a state machine without I/O.

A bridge carries the connections of an agent's containers where no unix socket of the host reaches
them: many streams of bytes over the standard input and output of one program in a container. A
frame is a header of 8 bytes (little endian: u32 stream, u16 kind, u16 length) and `length` bytes.

Each end begins with HELLO. The daemon's lists the sockets at which the container's end listens, and
may be sent again with others. For each connection the container's end opens a stream with an odd
number; for each file beside the sockets the daemon opens one with an even number. Numbers count up
and are never used twice. An end sends at most the stream's credit, END after its last byte, and
CLOSE once it neither sends nor takes more. CLOSE follows what was sent before it, is the end's last
frame of the stream, and is answered by CLOSE; the second one ends the stream.

Theory of operation: pass received bytes to `receive_data`, call `next_event` until it returns
NEED_DATA, and write the bytes that the `send_` methods return, in order. Of received bytes an end
keeps those that were not yet returned as events.
"""

import re
import struct
from enum import IntEnum
from typing import Final, Literal

from msgspec import Struct

from airlock_wire.errors import ErrorObject, LocalProtocolError, RemoteProtocolError
from airlock_wire.events import NEED_DATA, NeedData

BRIDGE_VERSION: Final = 1
WINDOW: Final = 262_144
"""The credit of the daemon on a new stream, in bytes, and the most that any ever is."""
FIRST_CREDIT: Final = 8192
"""The credit of the container's end on a new stream."""
MAX_PIECE: Final = 32_768
"""The most bytes of a frame with data."""
MAX_STREAMS: Final = 1024
"""The most streams that an end keeps open for the other."""
MAX_PING: Final = 8

_HEADER: Final = struct.Struct("<IHH")
_COUNT: Final = struct.Struct("<I")
_LAST_NUMBER: Final = 2**32 - 1
_GREETING: Final = b"airlock-bridge"
_MAX_HELLO: Final = 1024
_NAME: Final = re.compile(r"[a-z][a-z0-9._-]{0,63}", re.ASCII)

Side = Literal["container", "daemon"]


class _Kind(IntEnum):
    HELLO = 0
    OPEN = 1
    DATA = 2
    END = 3
    CLOSE = 4
    CREDIT = 5
    PING = 6
    PONG = 7


_MAX_LENGTHS: Final = {
    _Kind.HELLO: _MAX_HELLO,
    _Kind.OPEN: 64,
    _Kind.DATA: MAX_PIECE,
    _Kind.END: 0,
    _Kind.CLOSE: 0,
    _Kind.CREDIT: _COUNT.size,
    _Kind.PING: MAX_PING,
    _Kind.PONG: MAX_PING,
}


class BridgeHello(Struct, frozen=True):
    """The other end is there. From the daemon: `sockets` are the names to listen at from now on."""

    sockets: tuple[str, ...]


class StreamOpened(Struct, frozen=True):
    """A connection to the socket `name`; from the daemon, the contents of the file `name`."""

    stream: int
    name: str


class StreamData(Struct, frozen=True):
    """The next bytes of a stream, at least one; once delivered, they are owed back as credit."""

    stream: int
    data: bytes


class StreamEnded(Struct, frozen=True):
    """The other end sends no more bytes on this stream; it may still take some."""

    stream: int


class StreamClosed(Struct, frozen=True):
    """The other end sends and takes nothing more: deliver what came before, and send CLOSE."""

    stream: int


class StreamCredit(Struct, frozen=True):
    """More bytes may be sent on this stream; `BridgeEnd.credit` says how many."""

    stream: int


class Pinged(Struct, frozen=True):
    """The other end asks for a sign of life: `send_pong` with this payload."""

    payload: bytes


class Ponged(Struct, frozen=True):
    """The answer to a ping with this payload."""

    payload: bytes


BridgeEvent = (
    BridgeHello
    | StreamOpened
    | StreamData
    | StreamEnded
    | StreamClosed
    | StreamCredit
    | Pinged
    | Ponged
)


class _Stream:
    """The state of a stream: `credit` is what we may send, `allowance` what the other end may."""

    __slots__ = ("allowance", "credit", "has_closed", "has_ended", "other_closed", "other_ended")

    def __init__(self, side: Side) -> None:
        is_container = side == "container"
        self.credit = FIRST_CREDIT if is_container else WINDOW
        self.allowance = WINDOW if is_container else FIRST_CREDIT
        self.has_ended = False
        self.has_closed = False
        self.other_ended = False
        self.other_closed = False


class BridgeEnd:
    """One end of a bridge; see the module for its rules."""

    def __init__(self, side: Side) -> None:
        self._side = side
        self._buffer = bytearray()
        self._start = 0
        self._fault: RemoteProtocolError | None = None
        self._streams: dict[int, _Stream] = {}
        self._is_greeted = False
        self._has_greeted = False
        self._asked: frozenset[str] = frozenset()
        container, daemon = 1, 2
        # How many of the streams this end has opened.
        self._own = 0
        self._next_own = container if side == "container" else daemon
        self._next_other = daemon if side == "container" else container

    @property
    def streams(self) -> int:
        """The number of streams that are not over; 0 once the other end has broken the protocol."""
        return 0 if self._fault else len(self._streams)

    def credit(self, stream: int) -> int:
        """How many bytes may be sent on this stream now; 0 if it takes none."""
        state = self._streams.get(stream)
        if state is None or state.has_ended or state.has_closed or state.other_closed:
            return 0
        return state.credit

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Add bytes from the other end."""
        if self._fault is None:
            self._buffer += data

    def next_event(self) -> BridgeEvent | NeedData:
        """Return the next event, or NEED_DATA.

        Raises RemoteProtocolError, on every call, once the other end has broken the protocol: the
        bridge is of no more use then.
        """
        if self._fault is not None:
            raise self._fault
        try:
            while (frame := self._next_frame()) is not None:
                event = self._obey(*frame)
                if event is not None:
                    return event
        except RemoteProtocolError as fault:
            self._fault = fault
            self._buffer = bytearray()
            # Tasks may still end the streams that are open.
            raise
        return NEED_DATA

    def send_hello(self, sockets: tuple[str, ...] = ()) -> bytes:
        """Return the greeting; the daemon's names the sockets to listen at, and may be repeated."""
        if self._side == "container" and (sockets or self._has_greeted):
            raise LocalProtocolError("a container's end greets once, and names no sockets")
        for name in sockets:
            _require_name(name)
        words = [_GREETING, str(BRIDGE_VERSION).encode(), *(name.encode() for name in sockets)]
        text = b" ".join(words)
        if len(text) > _MAX_HELLO:
            raise LocalProtocolError(f"these are too many sockets for one greeting: {len(sockets)}")
        self._has_greeted = True
        self._asked |= frozenset(sockets)
        return _frame(0, _Kind.HELLO, text)

    def send_open(self, name: str) -> tuple[int, bytes]:
        """Return the number of a new stream, and the frame that opens it."""
        _require_name(name)
        if not self._has_greeted:
            raise LocalProtocolError("the greeting comes before the first stream")
        if self._next_own > _LAST_NUMBER:
            raise LocalProtocolError("the numbers of streams are used up")
        number = self._next_own
        self._next_own += 2
        self._streams[number] = _Stream(self._side)
        self._own += 1
        return number, _frame(number, _Kind.OPEN, name.encode())

    def send_data(self, stream: int, data: bytes | memoryview) -> bytes:
        """Return the frame for the next bytes: at least one, at most MAX_PIECE and the credit."""
        if not 0 < len(data) <= min(MAX_PIECE, self.credit(stream)):
            raise LocalProtocolError(
                f"{len(data)} bytes for stream {stream}, whose credit is {self.credit(stream)}"
            )
        self._streams[stream].credit -= len(data)
        return _frame(stream, _Kind.DATA, data)

    def send_end(self, stream: int) -> bytes:
        """Return the frame that no bytes follow on this stream; nothing if that is known."""
        state = self._require(stream)
        if state.has_ended or state.other_closed:
            return b""
        state.has_ended = True
        return _frame(stream, _Kind.END)

    def send_close(self, stream: int) -> bytes:
        """Return the frame that this end neither sends nor takes more; nothing if that is known."""
        state = self._streams.get(stream)
        if state is None or state.has_closed:
            return b""
        state.has_closed = True
        self._forget(stream, state)
        return _frame(stream, _Kind.CLOSE)

    def send_credit(self, stream: int, count: int) -> bytes:
        """Return the frame that takes `count` more bytes, as many as were delivered, or of the
        daemon more, up to WINDOW.

        Nothing if the other end sends none any more.
        """
        state = self._require(stream)
        if count < 1 or state.allowance + count > WINDOW:
            raise LocalProtocolError(f"{count} bytes of stream {stream} are not owed")
        state.allowance += count
        if state.other_ended or state.other_closed:
            return b""
        return _frame(stream, _Kind.CREDIT, _COUNT.pack(count))

    def send_ping(self, payload: bytes) -> bytes:
        """Return the request for a sign of life, of at most 8 bytes."""
        return _frame(0, _Kind.PING, _require_ping(payload))

    def send_pong(self, payload: bytes) -> bytes:
        """Return the answer to a ping."""
        return _frame(0, _Kind.PONG, _require_ping(payload))

    def _require(self, stream: int) -> _Stream:
        state = self._streams.get(stream)
        if state is None or state.has_closed:
            raise LocalProtocolError(f"stream {stream} is closed")
        return state

    def _forget(self, stream: int, state: _Stream) -> None:
        if state.has_closed and state.other_closed:
            del self._streams[stream]
            self._own -= stream % 2 == self._next_own % 2

    def _next_frame(self) -> tuple[int, _Kind, bytes] | None:
        """Take the next whole frame; None while it is incomplete."""
        available = len(self._buffer) - self._start
        if available >= _HEADER.size:
            stream, kind, length = _HEADER.unpack_from(self._buffer, self._start)
            # A greeting of another program is refused at once, and not waited for.
            known = _read_kind(kind)
            if length > _MAX_LENGTHS[known]:
                raise _broken(f"a frame {known.name} of {length} bytes is too long")
            end = self._start + _HEADER.size + length
            if end <= len(self._buffer):
                payload = bytes(memoryview(self._buffer)[end - length : end])
                self._start = end
                return stream, known, payload
        del self._buffer[: self._start]
        self._start = 0
        return None

    def _obey(self, stream: int, kind: _Kind, payload: bytes) -> BridgeEvent | None:
        if kind == _Kind.HELLO:
            return self._greet(stream, payload)
        if not self._is_greeted:
            raise _broken(f"{kind.name} came before HELLO")
        if kind in (_Kind.PING, _Kind.PONG):
            if stream != 0:
                raise _broken(f"{kind.name} came on stream {stream}")
            return Pinged(payload) if kind == _Kind.PING else Ponged(payload)
        if kind == _Kind.OPEN:
            return self._open(stream, payload)
        state = self._streams.get(stream)
        if state is None or state.other_closed:
            raise _broken(f"{kind.name} came on stream {stream}, which is not open")
        return self._continue(stream, state, kind, payload)

    def _greet(self, stream: int, payload: bytes) -> BridgeHello:
        words = payload.split(b" ")
        if stream != 0 or words[0] != _GREETING:
            raise _broken("the greeting is not that of a bridge")
        if words[1:2] != [str(BRIDGE_VERSION).encode()]:
            raise _broken("the bridge has another version of the protocol")
        if self._side == "daemon" and (self._is_greeted or len(words) > 2):
            raise _broken("the container's end greets once, and names no sockets")
        self._is_greeted = True
        return BridgeHello(tuple(_read_name(word) for word in words[2:]))

    def _open(self, stream: int, payload: bytes) -> StreamOpened:
        if stream != self._next_other or stream > _LAST_NUMBER:
            raise _broken(f"stream {stream} was opened, where {self._next_other} is next")
        if len(self._streams) - self._own >= MAX_STREAMS:
            raise _broken(f"more than {MAX_STREAMS} streams are open")
        name = _read_name(payload)
        if self._side == "daemon" and name not in self._asked:
            raise _broken(f"a connection to {name} came, which was not asked for")
        self._next_other += 2
        self._streams[stream] = _Stream(self._side)
        return StreamOpened(stream, name)

    def _continue(
        self, stream: int, state: _Stream, kind: _Kind, payload: bytes
    ) -> BridgeEvent | None:
        """Obey a frame of an open stream; None if our own CLOSE made it void."""
        event: BridgeEvent
        if kind == _Kind.DATA:
            if state.other_ended:
                raise _broken(f"DATA came after END on stream {stream}")
            if not payload or len(payload) > state.allowance:
                raise _broken(
                    f"{len(payload)} bytes came on stream {stream}, of {state.allowance} allowed"
                )
            state.allowance -= len(payload)
            event = StreamData(stream, payload)
        elif kind == _Kind.END:
            if state.other_ended:
                raise _broken(f"END came twice on stream {stream}")
            state.other_ended = True
            event = StreamEnded(stream)
        elif kind == _Kind.CREDIT:
            count = _COUNT.unpack(payload)[0] if len(payload) == _COUNT.size else 0
            if not 0 < count <= WINDOW - state.credit:
                raise _broken(f"a credit came on stream {stream} that is not owed")
            state.credit += count
            event = StreamCredit(stream)
        else:
            state.other_closed = True
            event = StreamClosed(stream)
        is_void = state.has_closed
        self._forget(stream, state)
        return None if is_void else event


def _frame(stream: int, kind: _Kind, payload: bytes | memoryview = b"") -> bytes:
    return b"".join((_HEADER.pack(stream, kind, len(payload)), payload))


def _read_kind(number: int) -> _Kind:
    try:
        return _Kind(number)
    except ValueError:
        raise _broken(f"a frame has the unknown kind {number}") from None


def _read_name(payload: bytes) -> str:
    name = payload.decode("ascii", "replace")
    if not _NAME.fullmatch(name):
        raise _broken("a name is not one of a socket or file")
    return name


def _require_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise LocalProtocolError(f"{name!a} is not a name of a socket or file")


def _require_ping(payload: bytes) -> bytes:
    if len(payload) > MAX_PING:
        raise LocalProtocolError(f"a ping has at most {MAX_PING} bytes, not {len(payload)}")
    return payload


def _broken(message: str) -> RemoteProtocolError:
    hint = "the image of the bridge may be of another version than the daemon"
    return RemoteProtocolError(ErrorObject.parse_error(message, hint=hint))
