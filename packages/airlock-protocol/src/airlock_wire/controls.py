"""Decoding a client's line while its command runs: stdin, a signal, a new size."""

import binascii
from typing import Final, Literal, get_args

import msgspec
from msgspec import Raw, Struct

from airlock_wire.error_object import ErrorObject
from airlock_wire.events import Resize, Signal
from airlock_wire.features import SignalName
from airlock_wire.lines import open_line, read_method, require_utf8
from airlock_wire.members import (
    ABSENT,
    NULL,
    Fault,
    read,
    read_boolean,
    read_size,
    read_string,
    string_of,
    wrong,
)
from airlock_wire.text import quote

_SUBJECT: Final = "the message"
_SIGNALS: Final[dict[str | None, SignalName]] = {name: name for name in get_args(SignalName)}
_FEATURES: Final = {"stdin": "stdin", "signal": "signals", "resize": "tty"}


class Stdin(Struct, frozen=True, kw_only=True):
    """The next bytes of stdin, maybe none, and whether they are the last."""

    data: bytes
    is_last: bool


Control = Stdin | Signal | Resize


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


def decode_control(line: bytes, *, features: frozenset[str]) -> Control | None:
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


def _open(line: bytes, features: frozenset[str]) -> Control | None:
    message = open_line(line, _SUBJECT)
    method = read_method(message.jsonrpc, message.method, _SUBJECT)
    if _FEATURES.get(method) not in features:
        return None
    params = read(message.params, "params", _decode_params, "an object")
    if method == "stdin":
        return _read_stdin(params)
    return _read_signal(params.name) if method == "signal" else _read_resize(params)


def _read_stdin(params: _Params | _StdinParams) -> Stdin:
    is_last = params.eof != NULL and read_boolean(params.eof, "params.eof")
    is_encoded = params.encoding != NULL
    if is_encoded and string_of(params.encoding) != "base64":
        raise wrong("params.encoding", 'must be "base64", or absent where the data is text')
    data = params.data
    if data == NULL:
        if not is_last:
            raise wrong("params", "has neither data nor an eof that is true")
        return Stdin(data=b"", is_last=True)
    text = data if isinstance(data, str) else read_string(data, "params.data")
    if not is_encoded:
        return Stdin(data=text.encode(), is_last=is_last)
    try:
        return Stdin(data=binascii.a2b_base64(text, strict_mode=True), is_last=is_last)
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
