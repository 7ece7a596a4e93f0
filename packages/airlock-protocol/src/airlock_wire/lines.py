"""A line of a client, opened: what every message has, not looked into further.

A member that the protocol does not know must be JSON, and is otherwise skipped. `subject` is what a
fault calls the line: "the request".
"""

from typing import Final

import msgspec
from msgspec import Raw, Struct

from airlock_wire.error_object import ErrorObject
from airlock_wire.members import ABSENT, Fault, string_of

_VERSION: Final = Raw(b'"2.0"')


class Message(Struct, frozen=True):
    """A JSON object, with the members that a message may have."""

    jsonrpc: Raw = ABSENT
    id: Raw = ABSENT
    method: Raw = ABSENT
    params: Raw = ABSENT


_decode_message: Final = msgspec.json.Decoder(Message).decode


def require_utf8(line: bytes, subject: str) -> None:
    """Raise Fault where a line is not UTF-8: what msgspec skips, it does not look at."""
    try:
        if not line.isascii():
            str(line, "utf-8")
    except UnicodeDecodeError as error:
        raise Fault(
            ErrorObject.parse_error(f"{subject} is not UTF-8 (byte {error.start})")
        ) from None


def open_line(line: bytes, subject: str) -> Message:
    """Open a line of UTF-8, given without its newline.

    Raises Fault where it is no JSON object, and RecursionError where it is nested too deep.
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
    """The method of a message of JSON-RPC 2.0. Raises Fault where it is none."""
    if jsonrpc != _VERSION and string_of(jsonrpc) != "2.0":
        raise Fault(ErrorObject.invalid_request(f'{subject} must have "jsonrpc":"2.0"'))
    name = string_of(method)
    if name is None:
        raise Fault(ErrorObject.invalid_request(f"{subject}'s method must be a string"))
    return name
