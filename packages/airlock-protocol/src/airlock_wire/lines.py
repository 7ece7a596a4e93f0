"""Opening a client's line: the members common to all messages, not yet decoded.

Unknown members must be valid JSON and are skipped. `subject` names the line in faults, such as "the
request".
"""

from typing import Final

import msgspec
from msgspec import Raw, Struct

from airlock_wire.error_object import ErrorObject
from airlock_wire.members import ABSENT, Fault, string_of

_VERSION: Final = Raw(b'"2.0"')


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
