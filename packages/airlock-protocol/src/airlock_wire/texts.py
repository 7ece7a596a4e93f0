"""Decoding texts of a request: strings without NUL, or `{"base64": ...}` for non-UTF-8 bytes.

Results are in the form of `os.fsdecode`.
"""

from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Raw, Struct

from airlock_wire.error_object import ErrorObject
from airlock_wire.members import ABSENT, Fault, decode_string, read, string_of, unlike, wrong
from airlock_wire.text import decode_base64, quote


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
    try:
        text = decode_string(raw)
    except ValueError:
        raise unlike(raw, path, "a string") from None
    if "\0" in text:
        raise wrong(path, _NUL)
    return text


def read_text(raw: Raw, path: str) -> str:
    """Return a string without NUL, also from `{"base64": ...}`."""
    try:
        value = _decode_text(raw)
    except ValueError:
        raise unlike(raw, path, _TEXT) from None
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
