"""A line of the client while its command runs, decoded: stdin, a signal, another size.

Pieces of stdin are the many, so they are decoded in one go by their type; what that does not take
is read member by member, to say what is wrong. Both ways read the same line alike.
"""

import binascii
from typing import Final, get_args

import msgspec
from msgspec import UNSET, Struct, UnsetType

from airlock_wire.error_object import ErrorObject
from airlock_wire.events import Resize, Signal
from airlock_wire.features import SignalName
from airlock_wire.members import (
    Fault,
    Members,
    find,
    is_given,
    open_object,
    parse,
    read_boolean,
    read_integer,
    read_object,
    string_of,
    wrong,
)
from airlock_wire.notifications import StdinMessage
from airlock_wire.terminal import MAX_SIZE
from airlock_wire.text import quote

_STDIN: Final = msgspec.json.Decoder(StdinMessage)
_SIGNALS: Final[tuple[SignalName, ...]] = get_args(SignalName)
_FEATURES: Final = {"stdin": "stdin", "signal": "signals", "resize": "tty"}


class Stdin(Struct, frozen=True, kw_only=True):
    """The next bytes of stdin, which may be none, and whether nothing follows them."""

    data: bytes
    is_last: bool


Control = Stdin | Signal | Resize


def decode_control(line: bytes, *, features: frozenset[str]) -> Control | None:
    """The message in `line`, given without its newline; None for one that is to be ignored.

    Those are messages that the protocol does not know, and of features that are not in `features`.
    Raises Fault where the line is no message.
    """
    try:
        text = str(line, "utf-8")
    except UnicodeDecodeError as error:
        raise Fault(
            ErrorObject.parse_error(f"the message is not UTF-8 (byte {error.start})")
        ) from None
    try:
        control = _decode_stdin(text) if "stdin" in features else None
        return control or _examine(text, features)
    except RecursionError:
        raise Fault(ErrorObject.parse_error("the message is nested too deep")) from None


def _decode_stdin(text: str) -> Stdin | None:
    """Decode a piece of stdin without a fault; None for any other line."""
    try:
        params = _STDIN.decode(text).params
        if params.data is UNSET and params.eof is not True:
            return None
        return Stdin(data=_to_bytes(params.data, params.encoding), is_last=params.eof is True)
    except (ValueError, RecursionError):
        return None


def _to_bytes(data: str | UnsetType, encoding: str | UnsetType | None) -> bytes:
    """The bytes of `data`. Raises ValueError where it is not the base64 that it should be."""
    if data is UNSET:
        return b""
    if encoding != "base64":
        return data.encode()
    return binascii.a2b_base64(data, strict_mode=True)


def _examine(text: str, features: frozenset[str]) -> Control | None:
    whole = parse(text, subject="the message")
    if not whole.startswith(b"{"):
        raise Fault(ErrorObject.invalid_request("the message is not an object"))
    members = open_object(whole)
    if string_of(members.get("jsonrpc")) != "2.0":
        raise Fault(ErrorObject.invalid_request('the message must have "jsonrpc":"2.0"'))
    method = string_of(members.get("method"))
    if method is None:
        raise Fault(ErrorObject.invalid_request("the message's method must be a string"))
    if _FEATURES.get(method) not in features:
        return None
    params = read_object(members, "params")
    if method == "stdin":
        return _read_stdin(params)
    return _read_signal(params) if method == "signal" else _read_resize(params)


def _read_stdin(params: Members) -> Stdin:
    is_last = is_given(params, "params.eof") and read_boolean(params, "params.eof")
    encoding = None
    if is_given(params, "params.encoding"):
        encoding = string_of(params["encoding"])
        if encoding != "base64":
            raise wrong("params.encoding", 'must be "base64", or absent where the data is text')
    if not is_given(params, "params.data"):
        if not is_last:
            raise wrong("params", "has neither data nor an eof that is true")
        return Stdin(data=b"", is_last=True)
    data = string_of(params["data"])
    if data is None:
        raise wrong("params.data", "must be a string")
    try:
        return Stdin(data=_to_bytes(data, encoding), is_last=is_last)
    except ValueError as error:
        raise wrong("params.data", f"is not base64: {error}") from None


def _read_signal(params: Members) -> Signal:
    name = string_of(find(params, "params.name"))
    for known in _SIGNALS:
        if name == known:
            return Signal(name=known)
    shown = "what is no string" if name is None else quote(name)
    raise wrong("params.name", f"is {shown}, and must be one of {', '.join(_SIGNALS)}")


def _read_resize(params: Members) -> Resize:
    return Resize(
        rows=read_integer(params, "params.rows", most=MAX_SIZE),
        cols=read_integer(params, "params.cols", most=MAX_SIZE),
    )
