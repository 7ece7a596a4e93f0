"""Patterns for paths and refs: `*` crosses neither `/` nor `%`, `**` crosses `/`."""

import re
import unicodedata
from collections.abc import Mapping

_PLAIN = re.compile(r"[^\x00-\x20\x7f?\[\]{}\\]+")
_STARS = re.compile(r"(\*+)")
# In a ref, `%` begins options of some servers (refs/for/main%submit).
_MEANINGS = {"*": "[^/%]*", "**": "[^%]*"}
_ALL = {"*": "[^/]*", "**": ".*"}


def is_pattern(text: str) -> bool:
    """Whether `text` has no blanks, no backslash, no three stars in a row, and none of ? [ ] { }.

    Those mean something in other patterns, and nothing in these.
    """
    return bool(_PLAIN.fullmatch(text)) and "***" not in text


def compile_pattern(text: str) -> "re.Pattern[str]":
    """The regular expression, to be matched with `fullmatch`, of a text that `is_pattern`."""
    return _compile(text, _MEANINGS)


def compile_protection(text: str) -> "re.Pattern[str]":
    """As `compile_pattern`, to be matched with what `fold` makes of a name; stars cross `%` too."""
    return _compile(fold(text), _ALL)


def fold(text: str) -> str:
    """What all names have in common that a file system may take for one: case and composition."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())


def _compile(text: str, meanings: Mapping[str, str]) -> "re.Pattern[str]":
    pieces = _STARS.split(text)
    return re.compile("".join(meanings.get(piece, re.escape(piece)) for piece in pieces))
