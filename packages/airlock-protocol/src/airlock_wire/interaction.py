"""The client's messages while its command runs: stdin, a signal, a new size of its terminal.

An `Interaction` exists once a `start` has listed features. Lines are decoded one at a time, in
order, so chunking makes no difference. It counts credit: bytes of stdin granted but not yet
received.
"""

import binascii
from typing import Final, Literal, get_args

import msgspec
from msgspec import Raw, Struct

from airlock_wire.errors import ErrorObject
from airlock_wire.events import (
    NEED_DATA,
    HalfClosed,
    NeedData,
    Resize,
    Signal,
    SignalName,
    StdinData,
    StdinEnd,
)
from airlock_wire.grammar import (
    ABSENT,
    NULL,
    Fault,
    LineReader,
    LineTooLong,
    open_line,
    read,
    read_boolean,
    read_method,
    read_size,
    read_string,
    require_utf8,
    string_of,
    wrong,
)
from airlock_wire.text import quote

_SUBJECT: Final = "the message"
_SIGNALS: Final[dict[str | None, SignalName]] = {name: name for name in get_args(SignalName)}
_FEATURES: Final = {"stdin": "stdin", "signal": "signals", "resize": "tty"}

Event = StdinData | StdinEnd | Signal | Resize | HalfClosed


class _Stdin(Struct, frozen=True, kw_only=True):
    """The next bytes of stdin, maybe none, and whether they are the last."""

    data: bytes
    is_last: bool


_Control = _Stdin | Signal | Resize


class _Params(Struct, frozen=True):
    data: Raw = NULL
    encoding: Raw = NULL
    eof: Raw = NULL
    name: Raw = ABSENT
    rows: Raw = ABSENT
    cols: Raw = ABSENT


class _StdinParams(Struct, frozen=True):
    data: str
    encoding: Raw = NULL
    eof: Raw = NULL


class _StdinMessage(Struct, frozen=True):
    jsonrpc: Literal["2.0"]
    method: Literal["stdin"]
    params: _StdinParams


_decode_params: Final = msgspec.json.Decoder(_Params).decode
_decode_stdin: Final = msgspec.json.Decoder(_StdinMessage).decode


class Interaction:
    """The client's messages after `start`, from an empty `reader`."""

    def __init__(self, reader: LineReader, *, features: frozenset[str], credit: int) -> None:
        self.credit = credit
        # `stdin` is removed at its end: later stdin messages are ignored.
        self._features = features
        self._reader = reader
        self._end_follows = False
        self._is_closed = False
        self._has_said_so = False

    def receive(self, data: bytes | bytearray) -> None:
        """Add the next bytes; empty means the end of the stream."""
        if data:
            self._reader.receive(data)
        else:
            self._is_closed = True

    def next_event(self) -> Event | NeedData:
        """Return the client's next message, HalfClosed once after the last one, or NEED_DATA.

        Raises Fault if the client broke the protocol.
        """
        if self._end_follows:
            self._end_follows = False
            return StdinEnd()
        while (line := self._next_line()) is not None:
            control = _decode_control(line, features=self._features)
            event = self._take(control) if isinstance(control, _Stdin) else control
            if event is not None:
                return event
        return self._end() if self._is_closed and not self._has_said_so else NEED_DATA

    def _take(self, stdin: _Stdin) -> StdinData | StdinEnd | None:
        if len(stdin.data) > self.credit:
            raise Fault(
                ErrorObject.invalid_request(
                    f"{len(stdin.data)} bytes of stdin were sent, and {self.credit} granted",
                    hint="wait for credit before you send more",
                )
            )
        self.credit -= len(stdin.data)
        if stdin.is_last:
            self._features = self._features - {"stdin"}
        if stdin.data:
            self._end_follows = stdin.is_last
            return StdinData(data=stdin.data)
        return StdinEnd() if stdin.is_last else None

    def _end(self) -> StdinEnd | HalfClosed:
        if not self._reader.is_empty:
            raise Fault(ErrorObject.parse_error("the message ended before its newline"))
        if "stdin" in self._features:
            self._features = self._features - {"stdin"}
            return StdinEnd()
        self._has_said_so = True
        return HalfClosed()

    def _next_line(self) -> bytes | None:
        try:
            return self._reader.next_line()
        except LineTooLong:
            raise Fault(
                ErrorObject.parse_error(f"the message is longer than {self._reader.limit} bytes")
            ) from None


def _decode_control(line: bytes, *, features: frozenset[str]) -> _Control | None:
    """Return the message in `line`, without its newline; None for one to ignore.

    Unknown messages and those of features not in `features` are ignored. Raises Fault if the line
    is no message.
    """
    require_utf8(line, _SUBJECT)
    try:
        if "stdin" in features:
            try:
                # Decode stdin directly: skipping over its long data first would double the time.
                return _read_stdin(_decode_stdin(line).params)
            except ValueError:
                pass
        return _open(line, features)
    except RecursionError:
        raise Fault(ErrorObject.parse_error(f"{_SUBJECT} is nested too deep")) from None


def _open(line: bytes, features: frozenset[str]) -> _Control | None:
    message = open_line(line, _SUBJECT)
    method = read_method(message.jsonrpc, message.method, _SUBJECT)
    if _FEATURES.get(method) not in features:
        return None
    params = read(message.params, "params", _decode_params, "an object")
    if method == "stdin":
        return _read_stdin(params)
    return _read_signal(params.name) if method == "signal" else _read_resize(params)


def _read_stdin(params: _Params | _StdinParams) -> _Stdin:
    is_last = params.eof != NULL and read_boolean(params.eof, "params.eof")
    is_encoded = params.encoding != NULL
    if is_encoded and string_of(params.encoding) != "base64":
        raise wrong("params.encoding", 'must be "base64", or absent where the data is text')
    data = params.data
    if data == NULL:
        if not is_last:
            raise wrong("params", "has neither data nor an eof that is true")
        return _Stdin(data=b"", is_last=True)
    text = data if isinstance(data, str) else read_string(data, "params.data")
    if not is_encoded:
        return _Stdin(data=text.encode(), is_last=is_last)
    try:
        return _Stdin(data=binascii.a2b_base64(text, strict_mode=True), is_last=is_last)
    except ValueError as error:
        raise wrong("params.data", f"is not base64: {error}") from None


def _read_signal(raw: Raw) -> Signal:
    name = string_of(raw)
    if name in _SIGNALS:
        return Signal(name=_SIGNALS[name])
    if raw is ABSENT:
        raise wrong("params.name", "is missing")
    shown = "what is no string" if name is None else quote(name)
    raise wrong("params.name", f"is {shown}, and must be one of {', '.join(get_args(SignalName))}")


def _read_resize(params: _Params) -> Resize:
    return Resize(
        rows=read_size(params.rows, "params.rows"), cols=read_size(params.cols, "params.cols")
    )
