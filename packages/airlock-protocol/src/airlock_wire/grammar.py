"""The grammar of a client's messages: bytes to lines, lines to members, members to values.

Lines are newline-delimited JSON of bounded length. An object is opened as a struct of `Raw`, JSON
not yet decoded; its members are decoded one by one, so that a refusal can name the faulty one.
Unknown members must be valid JSON and are skipped. `subject` names a line in faults, such as "the
request"; a path such as `params.tty.rows` locates a member. The `read` functions raise Fault if it
is missing or wrong.

Texts are strings without NUL, or `{"base64": ...}` for non-UTF-8 bytes, and are returned in the
form of `os.fsdecode`.
"""

from collections.abc import Callable
from typing import Final, TypeVar

import msgspec
from msgspec import Raw, Struct

from airlock_wire.errors import ErrorObject
from airlock_wire.events import MAX_SIZE, Rows
from airlock_wire.text import decode_base64, quote

T = TypeVar("T")

ABSENT: Final = Raw(b"")
"""Stands for a missing member."""

NULL: Final = Raw(b"null")
"""Stands for a missing member that means the same as null."""

_decode_string: Final = msgspec.json.Decoder(str).decode
_decode_boolean: Final = msgspec.json.Decoder(bool).decode
_decode_size: Final = msgspec.json.Decoder[int](Rows).decode
_VERSION: Final = Raw(b'"2.0"')


class LineTooLong(Exception):
    """The current line exceeds the limit."""


class LineReader:
    """Splits a stream of bytes into lines.

    Each byte is searched once, however small the chunks. A line of more than `limit` bytes (without
    its newline) is an error as soon as the limit is exceeded, even before its newline; later bytes
    are dropped, so a peer that continues costs no memory.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._buffer = bytearray()
        self._end = -1
        self._is_too_long = False

    @property
    def has_line(self) -> bool:
        """Whether a complete line is available."""
        return self._end >= 0

    @property
    def is_empty(self) -> bool:
        """Whether the buffer is empty, without even a partial line."""
        return not self._buffer and not self._is_too_long

    def receive(self, data: bytes | bytearray) -> None:
        """Add the next bytes of the stream."""
        if self._is_too_long:
            return
        seen = len(self._buffer)
        self._buffer += data
        if self._end < 0:
            self._search(seen)

    def next_line(self) -> bytes | None:
        """Return the next line, without its newline; None while it is incomplete.

        Raises LineTooLong, and again on every later call before `discard`.
        """
        if self._is_too_long:
            raise LineTooLong
        if self._end < 0:
            return None
        line = bytes(memoryview(self._buffer)[: self._end])
        del self._buffer[: self._end + 1]
        self._end = -1
        if self._buffer:
            self._search(0)
        return line

    def discard(self) -> None:
        """Drop all buffered bytes, also of a line that is too long."""
        self._buffer = bytearray()
        self._end = -1
        self._is_too_long = False

    def _search(self, start: int) -> None:
        self._end = self._buffer.find(b"\n", start)
        length = len(self._buffer) if self._end < 0 else self._end
        if length > self.limit:
            self.discard()
            self._is_too_long = True


class Fault(Exception):
    """A fault of a message, with the error to send."""

    def __init__(self, error: ErrorObject) -> None:
        super().__init__(error.message)
        self.error = error


def wrong(path: str, problem: str) -> Fault:
    """Return the fault of one member."""
    return Fault(ErrorObject.invalid_params(f"{path} {problem}", path=path))


def unlike(raw: Raw, path: str, expected: str) -> Fault:
    """Return the fault of a member that is missing or not `expected`, such as "a string"."""
    return wrong(path, "is missing" if raw is ABSENT else f"must be {expected}")


def string_of(raw: Raw) -> str | None:
    """Return a member's string; None if it is missing or not a string."""
    try:
        return _decode_string(raw)
    except ValueError:
        return None


def read(raw: Raw, path: str, decode: Callable[[Raw], T], expected: str) -> T:
    """Return a decoded member; `decode` raises ValueError if it is not `expected`."""
    try:
        return decode(raw)
    except ValueError:
        raise unlike(raw, path, expected) from None


def read_string(raw: Raw, path: str) -> str:
    """Return a string."""
    return read(raw, path, _decode_string, "a string")


def read_boolean(raw: Raw, path: str) -> bool:
    """Return a boolean."""
    return read(raw, path, _decode_boolean, "true or false")


def read_size(raw: Raw, path: str) -> int:
    """Return the rows or columns of a terminal."""
    return read(raw, path, _decode_size, f"an integer from 0 to {MAX_SIZE}")


class Message(Struct, frozen=True):
    """A JSON object with the members of a message."""

    jsonrpc: Raw = ABSENT
    id: Raw = ABSENT
    method: Raw = ABSENT
    params: Raw = ABSENT


_decode_message: Final = msgspec.json.Decoder(Message).decode


def require_utf8(line: bytes, subject: str) -> None:
    """Raise Fault if a line is not UTF-8: msgspec does not validate what it skips."""
    try:
        if not line.isascii():
            str(line, "utf-8")
    except UnicodeDecodeError as error:
        raise Fault(
            ErrorObject.parse_error(f"{subject} is not UTF-8 (byte {error.start})")
        ) from None


def open_line(line: bytes, subject: str) -> Message:
    """Open a line of UTF-8, without its newline.

    Raises Fault if it is no JSON object, and RecursionError if it is nested too deep.
    """
    try:
        whole = bytes(msgspec.json.decode(line, type=Raw))
    except ValueError as error:
        raise Fault(ErrorObject.parse_error(f"{subject} is not JSON: {error}")) from None
    if whole.startswith(b"["):
        raise Fault(
            ErrorObject.invalid_request(
                "batches are not supported",
                hint="send one object a line, and one request a connection",
            )
        )
    if not whole.startswith(b"{"):
        raise Fault(ErrorObject.invalid_request(f"{subject} is not an object"))
    return _decode_message(whole)


def read_method(jsonrpc: Raw, method: Raw, subject: str) -> str:
    """Return the method of a JSON-RPC 2.0 message. Raises Fault if it is no such message."""
    if jsonrpc != _VERSION and string_of(jsonrpc) != "2.0":
        raise Fault(ErrorObject.invalid_request(f'{subject} must have "jsonrpc":"2.0"'))
    name = string_of(method)
    if name is None:
        raise Fault(ErrorObject.invalid_request(f"{subject}'s method must be a string"))
    return name


class _Encoded(Struct, frozen=True):
    base64: Raw = ABSENT


_TEXT: Final = 'a string, or {"base64": ...} of one'
_NAMES: Final = {
    "params.args": "arguments",
    "params.features": "features",
    "params.env": "variables",
}
_NUL: Final = "holds a NUL, which no argument, path or variable can"

_decode_text: Final = msgspec.json.Decoder[str | _Encoded](str | _Encoded).decode
_decode_items: Final = msgspec.json.Decoder(list[Raw]).decode
_decode_members: Final = msgspec.json.Decoder(dict[str, Raw]).decode


def read_c_string(raw: Raw, path: str) -> str:
    """Return a string without NUL."""
    text = read_string(raw, path)
    if "\0" in text:
        raise wrong(path, _NUL)
    return text


def read_text(raw: Raw, path: str) -> str:
    """Return a string without NUL, also from `{"base64": ...}`."""
    value = read(raw, path, _decode_text, _TEXT)
    text = value if isinstance(value, str) else _decode_bytes(value, path)
    if "\0" in text:
        raise wrong(path, _NUL)
    return text


def read_list(
    raw: Raw, path: str, read_one: Callable[[Raw, str], str], limit: int
) -> tuple[str, ...]:
    """Return a list of at most `limit` texts, each decoded by `read_one`."""
    items = read(raw, path, _decode_items, "a list")
    if len(items) > limit:
        raise _too_many(len(items), path, limit)
    return tuple(read_one(item, f"{path}[{index}]") for index, item in enumerate(items))


def read_variables(raw: Raw, path: str, limit: int) -> dict[str, str]:
    """Return an object of at most `limit` texts, with valid variable names."""
    members = read(raw, path, _decode_members, "an object")
    if len(members) > limit:
        raise _too_many(len(members), path, limit)
    return {name: _read_variable(name, member, path) for name, member in members.items()}


def _read_variable(name: str, raw: Raw, path: str) -> str:
    path = f"{path}[{quote(name)}]"
    if name == "" or "=" in name or "\0" in name:
        raise wrong(path, "is no name of a variable: it is empty, or holds = or a NUL")
    return read_text(raw, path)


def _decode_bytes(value: _Encoded, path: str) -> str:
    encoded = string_of(value.base64)
    if encoded is None:
        raise wrong(path, f"must be {_TEXT}")
    try:
        return decode_base64(encoded)
    except ValueError as error:
        raise wrong(path, f"is {error}") from None


def _too_many(count: int, path: str, limit: int) -> Fault:
    name = _NAMES[path]
    return Fault(
        ErrorObject.denied(
            f"the request has {count} {name}, and {limit} are allowed",
            layer="limit",
            rule=name,
            hint=f"split the call into several with fewer {name}",
        )
    )
