"""Members of a message, each decoded by its own type, so that a refusal can name the faulty one.

An object is opened as a struct of `Raw`: JSON that has not been looked into. A path such as
`params.tty.rows` says where a member is. What reads one raises Fault where it is missing or wrong.
"""

from collections.abc import Callable
from typing import Final, TypeVar

import msgspec
from msgspec import Raw

from airlock_wire.error_object import ErrorObject
from airlock_wire.terminal import MAX_SIZE, Rows

T = TypeVar("T")

ABSENT: Final = Raw(b"")
"""In place of a member that is not there."""

NULL: Final = Raw(b"null")
"""In place of one that is not there, where that means the same as null."""

decode_string: Final = msgspec.json.Decoder(str).decode
_decode_boolean: Final = msgspec.json.Decoder(bool).decode
_decode_size: Final = msgspec.json.Decoder[int](Rows).decode


class Fault(Exception):
    """What is wrong with a message, as the error that says so."""

    def __init__(self, error: ErrorObject) -> None:
        super().__init__(error.message)
        self.error = error


def wrong(path: str, problem: str) -> Fault:
    """The fault of one member."""
    return Fault(ErrorObject.invalid_params(f"{path} {problem}", path=path))


def unlike(raw: Raw, path: str, expected: str) -> Fault:
    """The fault of a member that is missing, or is not `expected`, such as "a string"."""
    return wrong(path, "is missing" if raw is ABSENT else f"must be {expected}")


def string_of(raw: Raw) -> str | None:
    """The string that a member holds; None where it holds something else, or is not there."""
    try:
        return decode_string(raw)
    except ValueError:
        return None


def read(raw: Raw, path: str, decode: Callable[[Raw], T], expected: str) -> T:
    """A member that `decode` takes; it raises ValueError for what is not `expected`."""
    try:
        return decode(raw)
    except ValueError:
        raise unlike(raw, path, expected) from None


def read_string(raw: Raw, path: str) -> str:
    """A string."""
    return read(raw, path, decode_string, "a string")


def read_boolean(raw: Raw, path: str) -> bool:
    """True or false."""
    return read(raw, path, _decode_boolean, "true or false")


def read_size(raw: Raw, path: str) -> int:
    """The rows or columns of a terminal."""
    return read(raw, path, _decode_size, f"an integer from 0 to {MAX_SIZE}")
