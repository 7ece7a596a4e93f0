"""Decoding the members of a message one by one, so that a refusal can name the faulty one.

An object is opened as a struct of `Raw`, JSON not yet decoded. A path such as `params.tty.rows`
locates a member. The `read` functions raise Fault if it is missing or wrong.
"""

from collections.abc import Callable
from typing import Final, TypeVar

import msgspec
from msgspec import Raw

from airlock_wire.error_object import ErrorObject
from airlock_wire.terminal import MAX_SIZE, Rows

T = TypeVar("T")

ABSENT: Final = Raw(b"")
"""Stands for a missing member."""

NULL: Final = Raw(b"null")
"""Stands for a missing member that means the same as null."""

decode_string: Final = msgspec.json.Decoder(str).decode
_decode_boolean: Final = msgspec.json.Decoder(bool).decode
_decode_size: Final = msgspec.json.Decoder[int](Rows).decode


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
        return decode_string(raw)
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
    return read(raw, path, decode_string, "a string")


def read_boolean(raw: Raw, path: str) -> bool:
    """Return a boolean."""
    return read(raw, path, _decode_boolean, "true or false")


def read_size(raw: Raw, path: str) -> int:
    """Return the rows or columns of a terminal."""
    return read(raw, path, _decode_size, f"an integer from 0 to {MAX_SIZE}")
