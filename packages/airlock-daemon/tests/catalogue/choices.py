"""Which branches of the code texts stand in, and which of them can go together."""

from collections.abc import Mapping
from typing import NamedTuple

Block = tuple[tuple[object, str], ...]
"""The module and the branches around something, from the outermost on: a line, and which branch."""


class Template(NamedTuple):
    """A text and what it holds under: of blocks and conditions whether, of functions which call.

    Under None it is no text but a None.
    """

    text: str
    choices: Mapping[object, object] = {}


def merge(*templates: Template) -> dict[object, object] | None:
    """What several templates hold under, or None where they exclude each other."""
    merged: dict[object, object] = {}
    for template in templates:
        for key, choice in template.choices.items():
            if merged.setdefault(key, choice) != choice:
                return None
    blocks = [key for key, choice in merged.items() if isinstance(key, tuple) and choice]
    exclude = any(are_exclusive(one, other) for one in blocks for other in blocks)
    return None if exclude else merged


def is_around(outer: Block, inner: Block) -> bool:
    """Whether `inner` is `outer` or stands in it."""
    return inner[: len(outer)] == outer


def are_exclusive(one: Block, other: Block) -> bool:
    """Whether two blocks are different branches of one statement."""
    first = next(((a, b) for a, b in zip(one, other, strict=False) if a != b), None)
    return first is not None and first[0][0] == first[1][0]
