"""Subset matching of messages against the patterns of the case files.

An object of a pattern matches an object that has at least its members; an array matches item by
item; any other value matches its equal, where ``true`` is not ``1``. What is not a plain value is
said by an object with one wildcard member:

========================  ==========================================================
``{"$any": true}``        any value, but there must be one
``{"$absent": true}``     the member is missing
``{"$contains": "text"}`` a string in which the text occurs
``{"$lacks": "text"}``    a string in which it does not
``{"$match": "regex"}``   a string that the regular expression matches as a whole
``{"$one_of": [...]}``    a value that one of these patterns matches
``{"$all_of": [...]}``    a value that each of these patterns matches
``{"$set": [...]}``       a list of these items, each once, in any order
``{"$includes": [...]}``  a list in which each of these items occurs
``{"$at_least": n}``      a number that is not smaller
========================  ==========================================================
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final


class _Missing:
    """What a pattern is held against where the message has no such member."""

    def __repr__(self) -> str:
        return "nothing"


_MISSING: Final = _Missing()


def differences(pattern: Any, value: Any, *, at: str = "message") -> list[str]:
    """Return what keeps a value from matching a pattern, one line each; none if it matches."""
    if isinstance(pattern, Mapping) and len(pattern) == 1:
        name = next(iter(pattern))
        if name in _WILDCARDS:
            return _WILDCARDS[name](pattern[name], value, at)
        if name.startswith("$"):
            raise ValueError(f"{at}: {name} is not a wildcard of this suite")
    if isinstance(value, _Missing):
        return [f"{at}: missing, expected {brief(pattern)}"]
    if isinstance(pattern, Mapping):
        return _object_differences(pattern, value, at)
    if isinstance(pattern, list):
        return _array_differences(pattern, value, at)
    if _equal(pattern, value):
        return []
    return [f"{at}: expected {brief(pattern)}, got {brief(value)}"]


def _object_differences(pattern: Mapping[str, Any], value: Any, at: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{at}: expected an object, got {brief(value)}"]
    found: list[str] = []
    for name, part in pattern.items():
        found += differences(part, value.get(name, _MISSING), at=f"{at}.{name}")
    return found


def _array_differences(pattern: list[Any], value: Any, at: str) -> list[str]:
    if not isinstance(value, list) or len(value) != len(pattern):
        return [f"{at}: expected an array of {len(pattern)}, got {brief(value)}"]
    found: list[str] = []
    for index, part in enumerate(pattern):
        found += differences(part, value[index], at=f"{at}[{index}]")
    return found


def _equal(pattern: Any, value: Any) -> bool:
    # Python takes True for 1; JSON does not. 1 and 1.0 are the same number in both.
    if isinstance(pattern, bool) or isinstance(value, bool):
        return pattern is value
    return bool(pattern == value)


def brief(value: Any) -> str:
    """Return a value for a message, its middle left out if it is long."""
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:300]}... ({len(text)} characters)"


def _any(_: Any, value: Any, at: str) -> list[str]:
    return [f"{at}: missing"] if isinstance(value, _Missing) else []


def _absent(_: Any, value: Any, at: str) -> list[str]:
    return [] if isinstance(value, _Missing) else [f"{at}: must be absent, got {brief(value)}"]


def _contains(text: str, value: Any, at: str) -> list[str]:
    if isinstance(value, str) and text in value:
        return []
    return [f"{at}: expected a string with {text!r} in it, got {brief(value)}"]


def _lacks(text: str, value: Any, at: str) -> list[str]:
    if isinstance(value, str) and text not in value:
        return []
    return [f"{at}: expected a string without {text!r}, got {brief(value)}"]


def _match(expression: str, value: Any, at: str) -> list[str]:
    if isinstance(value, str) and re.fullmatch(expression, value, re.DOTALL):
        return []
    return [f"{at}: expected a string like {expression!r}, got {brief(value)}"]


def _one_of(patterns: list[Any], value: Any, at: str) -> list[str]:
    if any(not differences(pattern, value, at=at) for pattern in patterns):
        return []
    return [f"{at}: expected one of {patterns!r}, got {brief(value)}"]


def _all_of(patterns: list[Any], value: Any, at: str) -> list[str]:
    return [line for pattern in patterns for line in differences(pattern, value, at=at)]


def _set(items: list[Any], value: Any, at: str) -> list[str]:
    if isinstance(value, list) and sorted(map(repr, value)) == sorted(map(repr, items)):
        return []
    return [f"{at}: expected {items!r} in any order, got {brief(value)}"]


def _includes(items: list[Any], value: Any, at: str) -> list[str]:
    if isinstance(value, list) and all(item in value for item in items):
        return []
    return [f"{at}: expected a list with {items!r} in it, got {brief(value)}"]


def _at_least(least: int, value: Any, at: str) -> list[str]:
    if type(value) in (int, float) and value >= least:
        return []
    return [f"{at}: expected a number of at least {least}, got {brief(value)}"]


_WILDCARDS: Final[Mapping[str, Callable[[Any, Any, str], list[str]]]] = {
    "$any": _any,
    "$absent": _absent,
    "$contains": _contains,
    "$lacks": _lacks,
    "$match": _match,
    "$one_of": _one_of,
    "$all_of": _all_of,
    "$set": _set,
    "$includes": _includes,
    "$at_least": _at_least,
}
