"""Strict JSON for the engine's API: what is read has one meaning, and what is sent is written anew.

The engine is a Go program. Its decoder matches keys in any case, takes the last of two equal ones,
and ignores keys that it does not know, so that two readers of one body may see different requests.
Here a body is read by a schema that lists every key with its values, and the result is serialised
again: nothing of the client's spelling reaches the engine.

A schema is a tree of *readers*. A reader takes a decoded value and its place in the body, and
returns the value to send, or raises Refused. A key that no schema lists passes only with a value
that means nothing in Go (null, false, 0, "", [], {}), and is dropped.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping

from msgspec import Struct

from airlock_wire.text import quote

Value = object
Reader = Callable[[object, str], Value]

MAX_BODY = 1 << 18
"""Maximum bytes of a body that is read."""
_DEEPEST = 16
_MAX_TEXT = 64 * 1024
_MAX_ITEMS = 1000
_LARGEST = (1 << 63) - 1
_MAX_SHOWN = 80
_PLAIN = re.compile("[A-Za-z0-9_-]{1,80}")
_NUL_OR_SURROGATE = re.compile("[\x00\ud800-\udfff]")
_HTTP_FORBIDDEN = 403
_HTTP_BAD_REQUEST = 400


class Refused(Exception):
    """A call that is not made. `status` is of HTTP, `hint` the remedy, `rule` for the log."""

    def __init__(
        self, message: str, *, hint: str, status: int = _HTTP_FORBIDDEN, rule: str = "call"
    ) -> None:
        super().__init__(message)
        self.rule = rule
        self.message = message
        self.hint = hint
        self.status = status


class Reference(Struct, frozen=True):
    """A client's name or id of an object, to be replaced by the full id that the engine gives.

    `kind` is "container", "network", "volume", "image" or "exec"; or "root", whose text is a
    workspace's path on the host, and its id the name of the volume that contains it. `before` is
    written before the id.
    """

    kind: str
    text: str
    before: str = ""


def malformed(problem: str) -> Refused:
    """The refusal of a call that cannot be read in one way only."""
    return Refused(
        f"the call cannot be read: {problem}",
        hint="send what the engine's API documents, in its spelling",
        status=_HTTP_BAD_REQUEST,
        rule="malformed",
    )


def not_granted(place: str, value: object) -> Refused:
    """The refusal of a value at `place` that no profile grants."""
    shown = json.dumps(value, ensure_ascii=True)
    shown = shown if len(shown) <= _MAX_SHOWN else f"{shown[:_MAX_SHOWN]}..."
    return Refused(
        f"{place} = {shown} is not granted",
        hint=f"leave {place} out; on the host, airlock show docker --security lists the grants",
        rule="field",
    )


def decode(body: bytes) -> object:
    """Decode JSON. Raises Refused if it is ambiguous, too deep or too long."""
    if len(body) > MAX_BODY:
        raise malformed(f"its body is longer than {MAX_BODY} bytes")
    try:
        value: object = json.loads(
            body.decode(), object_pairs_hook=_read_pairs, parse_constant=_refuse_constant
        )
    except UnicodeDecodeError:
        raise malformed("its body is no UTF-8") from None
    except (ValueError, RecursionError):
        raise malformed("its body is no JSON") from None
    _check_depth(value, 0)
    return value


def encode(value: object) -> bytes:
    """Serialise what a reader returned. It must have no `Reference` left."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode()


def _read_pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise malformed("a key is there twice")
    return found


def _refuse_constant(name: str) -> object:
    raise malformed(f"{name} is no number of JSON")


def _check_depth(value: object, depth: int) -> None:
    if depth > _DEEPEST:
        raise malformed(f"its body is nested deeper than {_DEEPEST}")
    inner: Iterator[object] = iter(())
    if isinstance(value, dict):
        inner = iter(value.values())
    elif isinstance(value, list):
        inner = iter(value)
    for each in inner:
        _check_depth(each, depth + 1)


def is_zero(value: object) -> bool:
    """Whether Go's decoder gives a field the same value as without it."""
    return value is None or value is False or value in ("", [], {}) or _is_zero_number(value)


def _is_zero_number(value: object) -> bool:
    return type(value) is int and value == 0


def record(fields: Mapping[str, Reader]) -> Reader:
    """An object with `fields`, whose nulls are left out.

    Other keys pass and are dropped if their value is zero and they are no key in another case.
    """
    folded = {name.casefold() for name in fields}

    def read(value: object, place: str) -> Value:
        if not isinstance(value, dict):
            raise malformed(f"{place or 'the body'} is no object")
        found: dict[str, Value] = {}
        for name, inner in value.items():
            where = _join(place, name)
            if name in fields:
                read_value = None if inner is None else fields[name](inner, where)
                if read_value is not None:
                    found[name] = read_value
            elif name.casefold() in folded:
                raise malformed(f"{where} is a key in another case")
            elif not is_zero(inner):
                raise not_granted(where, inner)
        return found

    return read


def _join(place: str, name: str) -> str:
    shown = name if _PLAIN.fullmatch(name) else quote(name, limit=80)
    return f"{place}.{shown}" if place else shown


def flag(value: object, place: str) -> Value:
    """A boolean."""
    if not isinstance(value, bool):
        raise malformed(f"{place} is no boolean")
    return value


def number(lowest: int, highest: int = _LARGEST) -> Reader:
    """An integer from `lowest` to `highest`, inclusive."""

    def read(value: object, place: str) -> Value:
        if type(value) is not int:
            raise malformed(f"{place} is no integer")
        if not lowest <= value <= highest:
            raise not_granted(place, value)
        return value

    return read


def text(pattern: str | None = None, *, limit: int = _MAX_TEXT) -> Reader:
    """A text without NUL and of at most `limit` characters; with `pattern`, one that matches it."""
    expression = None if pattern is None else re.compile(pattern)

    def read(value: object, place: str) -> Value:
        if not isinstance(value, str) or _NUL_OR_SURROGATE.search(value):
            raise malformed(f"{place} is no text")
        if len(value) > limit:
            raise malformed(f"{place} is longer than {limit} characters")
        if expression is not None and not expression.fullmatch(value):
            raise not_granted(place, value)
        return value

    return read


def one_of(*values: object) -> Reader:
    """One of `values`, of the same type."""

    def read(value: object, place: str) -> Value:
        if not any(type(each) is type(value) and each == value for each in values):
            raise not_granted(place, value)
        return value

    return read


def unused(reader: Reader) -> Reader:
    """What `reader` reads; the engine does not use it, and it is not sent."""

    def read(value: object, place: str) -> Value:
        reader(value, place)
        return None

    return read


def dropped(*values: object) -> Reader:
    """One of `values`, which is the engine's default and is not sent."""
    return unused(one_of(*values))


def items(reader: Reader, *, limit: int = _MAX_ITEMS) -> Reader:
    """A list of at most `limit` values."""

    def read(value: object, place: str) -> Value:
        if not isinstance(value, list):
            raise malformed(f"{place} is no list")
        if len(value) > limit:
            raise malformed(f"{place} has more than {limit} items")
        return [reader(each, f"{place}[{index}]") for index, each in enumerate(value)]

    return read


def mapping(key: Reader, reader: Reader, *, limit: int = _MAX_ITEMS) -> Reader:
    """An object whose keys `key` reads, and whose values `reader` reads."""

    def read(value: object, place: str) -> Value:
        if not isinstance(value, dict):
            raise malformed(f"{place} is no object")
        if len(value) > limit:
            raise malformed(f"{place} has more than {limit} members")
        return {
            key(name, f"a key of {place}"): reader(inner, f"{place}.{quote(name, limit=80)}")
            for name, inner in value.items()
        }

    return read


def either(kind: type, reader: Reader, other: Reader) -> Reader:
    """`reader` for a value of this type, else `other`."""

    def read(value: object, place: str) -> Value:
        return (reader if isinstance(value, kind) else other)(value, place)

    return read


_ID_OR_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


def reference(kind: str) -> Reader:
    """A name or id of an object."""

    def read(value: object, place: str) -> Value:
        if not isinstance(value, str):
            raise malformed(f"{place} is no text")
        return read_reference(kind, value, place)

    return read


def read_reference(kind: str, value: str, place: str) -> Reference:
    """A reference as the engine would accept it. Raises Refused for a path, or an odd letter."""
    value = value.removeprefix("/") if kind == "container" else value
    if not _ID_OR_NAME.fullmatch(value):
        raise malformed(f"{place} {quote(value, limit=80)} is no name or id")
    return Reference(kind, value)


def list_references(value: object) -> Iterator[Reference]:
    """The references in a value that a reader returned."""
    if isinstance(value, Reference):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from list_references(name)
            yield from list_references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from list_references(inner)


def resolve(value: object, found: Mapping[Reference, str]) -> object:
    """The value with each reference replaced by its id, which must be in `found`."""
    if isinstance(value, Reference):
        return value.before + found[value]
    if isinstance(value, dict):
        return {resolve(name, found): resolve(inner, found) for name, inner in value.items()}
    if isinstance(value, list):
        return [resolve(inner, found) for inner in value]
    return value
