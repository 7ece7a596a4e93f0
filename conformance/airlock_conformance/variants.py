"""Cases that differ in a few values only: written once, with what each of them has.

A case with `each`, a list of objects, stands for as many cases as that has entries. In all of its
text `@NAME@` is the entry's value of that name, and text that is nothing else is that value itself,
of whatever type.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Entry = Mapping[str, Any]


def spread(cases: list[Any]) -> Iterator[Any]:
    """Yield the cases, each with its own values; ValueError where `each` is not as above."""
    for case in cases:
        if not isinstance(case, dict) or "each" not in case:
            yield case
            continue
        written = {name: value for name, value in case.items() if name != "each"}
        for entry in _entries(case["each"]):
            unused = [name for name in entry if f"@{name}@" not in str(written)]
            if unused:
                raise ValueError(f"{case['id']}: nothing has @{unused[0]}@")
            yield _fill(written, entry)


def _entries(each: object) -> list[Entry]:
    entries = each if isinstance(each, list) else []
    if not entries or not all(isinstance(entry, dict) and entry for entry in entries):
        raise ValueError("each: must be a list of objects that have something")
    return entries


def _fill(value: Any, entry: Entry) -> Any:
    if isinstance(value, dict):
        return {name: _fill(part, entry) for name, part in value.items()}
    if isinstance(value, list):
        return [_fill(part, entry) for part in value]
    if not isinstance(value, str):
        return value
    for name, own in entry.items():
        if value == f"@{name}@":
            return own
        value = value.replace(f"@{name}@", str(own))
    return value
