"""Target: whatever a client says while its command runs, in whatever pieces.

The first byte chooses the features in use, the second seeds the cutting, the third chooses the
credit. Only RemoteProtocolError is raised, the pieces do not change what is understood, no event
belongs to a feature that is not in use, input is never more than was granted and ends once, and
nothing is gathered.
"""

import base64
from collections.abc import Iterator
from contextlib import suppress

from airlock_wire import (
    NEED_DATA,
    HalfClosed,
    Limits,
    RemoteProtocolError,
    Request,
    Resize,
    ServerSession,
    Signal,
    StdinData,
    StdinEnd,
    Terminal,
)
from fuzz.pieces import cut, measure
from fuzz.target import BrokenPromiseError, Target

_MAX_LENGTH = 4096
_LIMITS = Limits(request_bytes=1024)
_FEATURES = ("stdin", "signals", "tty", "base64", "exit-signal", "env")
_REQUEST = Request(
    id=1,
    method="exec",
    command="cat",
    args=(),
    features=_FEATURES,
    terminal=Terminal(stdin=True, stdout=True, stderr=True, rows=24, cols=80),
)
_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH")
_CODES = (-32700, -32600, -32602)

_FLOOD = b'{"jsonrpc":"2.0","method":"nothing"}\n' * 100
_FLOODS = 4
_FIXED = 16_384

Found = list[object]
"""The events of a session in their order; the last one may be the code of an error."""


def _check(data: bytes) -> None:
    if len(data) < 3:
        return
    features = {name for bit, name in enumerate(_FEATURES) if data[0] >> bit & 1}
    credit = 1 + data[2] * data[2] // 16 if "stdin" in features else 0
    stream = data[3:]
    for grants in (False, True):
        whole = _Conversation(features, credit=credit, grants=grants)
        pieces = _Conversation(features, credit=credit, grants=grants)
        expected = whole.hear(iter([stream] if stream else []))
        found = pieces.hear(cut(stream, data[1]))
        # A line that is too long may be noticed before an earlier one has been taken.
        if found != expected and -32700 not in (*expected[-1:], *found[-1:]):
            raise BrokenPromiseError(f"at once {expected!a}, in pieces {found!a}")
    _check_memory(features, credit, stream)


class _Conversation:
    """A daemon's side of a session that has started. With `grants` all input is granted anew."""

    def __init__(self, features: set[str], *, credit: int, grants: bool) -> None:
        self._features = features
        self._grants = grants
        self._granted = credit
        self._received = 0
        self.session = ServerSession(limits=_LIMITS)
        self.session.receive_data(_REQUEST.encode())
        self.session.next_event()
        self.session.send_start(features, stdin_credit=credit)

    def hear(self, pieces: Iterator[bytes]) -> Found:
        """Give the session everything, and return what it made of it."""
        found: Found = []
        if not self._features:
            return found
        try:
            for piece in (*pieces, b""):
                self.session.receive_data(piece)
                while (event := self.session.next_event()) is not NEED_DATA:
                    self._judge(event, found)
                    found.append(event)
            if not isinstance(found[-1], HalfClosed):
                raise BrokenPromiseError(f"the end was not told: {found!a}")
        except RemoteProtocolError as error:
            found.append(error.error.code)
            self._judge_refusal(error)
        return found

    def _judge(self, event: object, found: Found) -> None:
        ended = any(isinstance(one, StdinEnd) for one in found)
        match event:
            case StdinData(data=data):
                self._received += len(data)
                is_wanted = bool(data) and "stdin" in self._features and not ended
                is_wanted = is_wanted and self._received <= self._granted
                self._grant(len(data))
            case StdinEnd():
                is_wanted = "stdin" in self._features and not ended
            case Signal(name=name):
                is_wanted = "signals" in self._features and name in _SIGNALS
            case Resize(rows=rows, cols=cols):
                is_wanted = "tty" in self._features and min(rows, cols) >= 0
                is_wanted = is_wanted and max(rows, cols) <= 65_535
            case HalfClosed():
                is_wanted = ended or "stdin" not in self._features
            case _:
                is_wanted = False
        if not is_wanted or any(isinstance(one, HalfClosed) for one in found):
            raise BrokenPromiseError(f"{event!a} after {found!a}, of {self._features!a}")

    def _grant(self, count: int) -> None:
        if self._grants and count:
            self.session.send_credit(count)
            self._granted += count
        if self.session.credit != self._granted - self._received:
            raise BrokenPromiseError(f"the credit is {self.session.credit}")

    def _judge_refusal(self, first: RemoteProtocolError) -> None:
        if first.error.code not in _CODES:
            raise BrokenPromiseError(f"refused by {first.error!a}")
        try:
            self.session.next_event()
        except RemoteProtocolError as second:
            if second.error != first.error:
                raise BrokenPromiseError(f"{first.error!a}, then {second.error!a}") from second
        else:
            raise BrokenPromiseError("a fault was told once only")
        self.session.send_error(first.error)


def _check_memory(features: set[str], credit: int, stream: bytes) -> None:
    session = _Conversation(features, credit=credit, grants=False).session
    most = _FIXED + 2 * _LIMITS.request_bytes + 2 * max(len(stream), len(_FLOOD))
    for piece in (stream, *[_FLOOD] * _FLOODS):
        if not piece:
            continue
        session.receive_data(piece)
        with suppress(RemoteProtocolError):
            while session.next_event() is not NEED_DATA:
                pass
    held = measure(session)
    if held > most:
        raise BrokenPromiseError(f"{held} bytes are held")


def _line(method: bytes, params: bytes) -> bytes:
    return b'{"jsonrpc":"2.0","method":"%b","params":%b}\n' % (method, params)


_SEEDS = (
    _line(b"stdin", b'{"data":"yes\\n"}') + _line(b"stdin", b'{"eof":true}'),
    _line(b"stdin", b'{"data":"%b","encoding":"base64"}' % base64.b64encode(b"\xff\x00")),
    _line(b"stdin", b'{"data":"xy"}') + _line(b"stdin", b'{"data":"z"}'),
    _line(b"stdin", b'{"data":"x","eof":true}') + _line(b"stdin", b'{"data":"more"}'),
    _line(b"signal", b'{"name":"SIGINT"}') + _line(b"signal", b'{"name":"SIGWINCH"}'),
    _line(b"resize", b'{"rows":50,"cols":120}') + _line(b"resize", b'{"rows":0,"cols":65535}'),
    _line(b"nothing", b"[[1]]") + b"[]\n",
)

_WORDS = (
    *(_line(b"stdin", b'{"data":"x"}'), _line(b"stdin", b'{"eof":true}')),
    *(b'"%s":' % name for name in (b"jsonrpc", b"method", b"params", b"data", b"encoding")),
    *(b'"%s":' % name for name in (b"eof", b"name", b"rows", b"cols", b"id")),
    *(b'"stdin"', b'"signal"', b'"resize"', b'"base64"', b'"2.0"', b'"SIGUSR1"', b'"SIGKILL"'),
    *(b"\n", b"{}", b"[]", b"null", b"true", b"-1", b"65536", b"1.0", b"\\ud800", b"\\u0000"),
    *(b"\xff", b'"/w=="', b'"/w="', b"9" * 30),
)

TARGET = Target(
    check=_check,
    seeds=tuple(
        b"\x3f\x01" + credit + seed for seed in _SEEDS for credit in (b"\x00", b"\x04", b"\xff")
    ),
    words=_WORDS,
    longest=_MAX_LENGTH,
)
"""Messages of a client to a command that runs."""
