"""Patterns for paths and refs: `*` crosses neither `/` nor `%`, `**` crosses `/`."""

import re

_PLAIN = re.compile(r"[^\x00-\x20\x7f?\[\]{}\\]+")
_STARS = re.compile(r"(\*+)")
# In a ref, `%` begins options of some servers (refs/for/main%submit).
_MEANINGS = {"*": "[^/%]*", "**": "[^%]*"}


def is_pattern(text: str) -> bool:
    """Whether `text` has no blanks, no backslash, no three stars in a row, and none of ? [ ] { }.

    Those mean something in other patterns, and nothing in these.
    """
    return bool(_PLAIN.fullmatch(text)) and "***" not in text


def compile_pattern(text: str, *, ignore_case: bool = False) -> "re.Pattern[str]":
    """The regular expression, to be matched with `fullmatch`, of a text that `is_pattern`."""
    pieces = _STARS.split(text)
    expression = "".join(_MEANINGS.get(piece, re.escape(piece)) for piece in pieces)
    return re.compile(expression, re.IGNORECASE if ignore_case else 0)
