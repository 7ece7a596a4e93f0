"""Target: what the other end of a bridge sends.

The first byte chooses the end under test, the second seeds the cutting into pieces. However the
bytes come, the events are the same and obey the rules of the module, and what an end keeps is
bounded by what has not been taken.
"""

from collections.abc import Iterable

from airlock_wire import (
    NEED_DATA,
    BridgeEnd,
    BridgeHello,
    Pinged,
    RemoteProtocolError,
    StreamClosed,
    StreamData,
    StreamEnded,
    StreamOpened,
)
from fuzz.pieces import cut, measure
from fuzz.target import BrokenPromiseError, Target

_MAX_LENGTH = 4096
_FIRST_CREDITS = (8 * 1024, 256 * 1024)
"""That of a container's end, and of a daemon."""
_ROOM = 64 * 1024
"""What an end keeps beside bytes that are not a whole frame yet."""


def _check(data: bytes) -> None:
    if len(data) < 2:
        return
    is_daemon, seed, stream = data[0] % 2 == 1, data[1], data[2:]
    at_once = _read(_make(is_daemon=is_daemon), [stream])
    in_pieces = _read(_make(is_daemon=is_daemon), cut(stream, seed))
    if at_once != in_pieces:
        raise BrokenPromiseError(f"in pieces: {in_pieces!a}, at once: {at_once!a}")


def _make(*, is_daemon: bool) -> BridgeEnd:
    end = BridgeEnd("daemon" if is_daemon else "container")
    end.send_hello(("airlock.sock", "https.sock") if is_daemon else ())
    for _ in range(2):
        end.send_open("ca.pem" if is_daemon else "airlock.sock")
    return end


def _read(end: BridgeEnd, pieces: Iterable[bytes]) -> list[object]:
    """Take all events, and answer each at once as an end does."""
    events: list[object] = []
    seen = _Seen()
    for piece in pieces:
        end.receive_data(piece)
        try:
            while (event := end.next_event()) is not NEED_DATA:
                seen.take(event)
                events.append(event)
                _answer(end, event)
        except RemoteProtocolError as fault:
            events.append(str(fault))
            if end.streams:
                raise BrokenPromiseError("streams are open on a broken bridge") from fault
            break
    if measure(end) > _ROOM + 2 * _MAX_LENGTH:
        raise BrokenPromiseError(f"an end keeps {measure(end)} bytes")
    return events


def _answer(end: BridgeEnd, event: object) -> None:
    """Do with an event what every end does."""
    if isinstance(event, StreamData):
        end.send_credit(event.stream, len(event.data))
    elif isinstance(event, StreamClosed):
        end.send_close(event.stream)
    elif isinstance(event, Pinged):
        end.send_pong(event.payload)
    elif isinstance(event, StreamOpened) and end.credit(event.stream) not in _FIRST_CREDITS:
        raise BrokenPromiseError(f"stream {event.stream} begins with {end.credit(event.stream)}")


class _Seen:
    """What has come before, and so may not come again."""

    def __init__(self) -> None:
        self._opened: set[int] = set()
        self._ended: set[int] = set()
        self._closed: set[int] = set()
        self._is_greeted = False

    def take(self, event: object) -> None:
        """Raise BrokenPromiseError for an event that is out of place."""
        if not self._is_greeted and not isinstance(event, BridgeHello):
            raise BrokenPromiseError(f"{event!a} came before the greeting")
        self._is_greeted = True
        number = getattr(event, "stream", None)
        if number in self._closed:
            raise BrokenPromiseError(f"{event!a} came on a closed stream")
        if isinstance(event, StreamOpened):
            if event.stream in self._opened:
                raise BrokenPromiseError(f"stream {event.stream} was opened twice")
            self._opened.add(event.stream)
        elif isinstance(event, StreamData) and (number in self._ended or not event.data):
            raise BrokenPromiseError(f"{event!a} came after the end, or is empty")
        elif isinstance(event, StreamEnded):
            self._ended.add(event.stream)
        elif isinstance(event, StreamClosed):
            self._closed.add(event.stream)


_GREETING = b"\0\0\0\0\0\0\x10\0airlock-bridge 1"
_LISTENING = b"\0\0\0\0\0\0\x1d\0airlock-bridge 1 airlock.sock"
_OPENING = b"\1\0\0\0\1\0\x0c\0airlock.sock"
_FILE = b"\2\0\0\0\1\0\6\0ca.pem"
_DATA = b"\1\0\0\0\2\0\4\0text"
_END = b"\1\0\0\0\3\0\0\0"
_CLOSE = b"\1\0\0\0\4\0\0\0"
_CREDIT = b"\1\0\0\0\5\0\4\0\4\0\0\0"
_PING = b"\0\0\0\0\6\0\2\0ab"

TARGET = Target(
    check=_check,
    seeds=(
        b"\1\1" + _GREETING + _OPENING + _DATA + _END + _CLOSE + _PING,
        b"\0\1" + _LISTENING + _DATA + _FILE + b"\2" + _DATA[1:] + b"\2" + _END[1:] + _CLOSE,
        b"\1\2" + _GREETING + _OPENING + _CREDIT,
        b"\1\3HTTP/1.1 400 Bad Request\r\n",
    ),
    words=(
        _GREETING,
        _LISTENING,
        _OPENING,
        _FILE,
        _DATA,
        _END,
        _CLOSE,
        _CREDIT,
        _PING,
        b"\0\0\0\0",
    ),
    longest=_MAX_LENGTH,
)
"""Frames of a bridge."""
