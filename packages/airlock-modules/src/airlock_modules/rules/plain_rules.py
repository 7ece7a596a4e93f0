"""The rules of a module: their text, and which arguments they match.

A rule is a word (`credential`, `--exec`), a flag with a pattern for its value (`--network=host`,
`-v=/*:*`), or several of these joined by ` & `, all of which must be there, in any order.
"""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct, field
from msgspec.structs import force_setattr

from airlock_modules.errors import RuleError
from airlock_modules.reading.plain import Reading
from airlock_modules.rules.globs import Glob, parse_glob

SET_SEPARATOR = " & "
"""What joins the parts of a rule."""


class Word(Struct, frozen=True):
    """A rule part that names a subcommand, another positional, or a flag whatever its value."""

    text: str

    @property
    def keys(self) -> tuple[str, ...]:
        """The texts and flags of which one must be in a reading for this part to match."""
        return (self.text,)

    def find(self, reading: Reading) -> int | None:
        """Return the place of an argument that matches, or None.

        A word that starts with `-` matches the same raw text anywhere, after `--` too, or the same
        flag. Another word matches a positional with the same text.
        """
        if not self.text.startswith("-"):
            return reading.positional.get(self.text)
        place = reading.raw.get(self.text)
        if place is None and (places := reading.flags.get(self.text)):
            place = places[0]
        return place


class FlagPattern(Struct, frozen=True):
    """A rule part that names a flag and a pattern for its value."""

    text: str
    flag: str
    pattern: Glob

    @property
    def keys(self) -> tuple[str, ...]:
        """The texts and flags of which one must be in a reading for this part to match."""
        if self.pattern.literal is None:
            return (self.flag,)
        return (self.flag, f"{self.flag}={self.pattern.literal}")

    def find(self, reading: Reading) -> int | None:
        """Return the place of an argument that matches, or None.

        The value may be joined to the flag or be the next argument. A pattern without wildcards
        also matches the exact text `flag=pattern` anywhere, after `--` too.
        """
        for place in reading.flags.get(self.flag, ()):
            value = reading.arguments[place].value
            if value is None:
                value = _next_word(reading, place)
            if value is not None and self.pattern.matches(value):
                return place
        if self.pattern.literal is not None:
            return reading.raw.get(f"{self.flag}={self.pattern.literal}")
        return None


class Rule(Struct, frozen=True):
    """One rule: its text as written in the module, and the parts that must all match."""

    text: str
    parts: tuple[Word | FlagPattern, ...]

    def find(self, reading: Reading) -> tuple[int, ...] | None:
        """Return the place of an argument for each part, or None where the rule does not match."""
        places = []
        for part in self.parts:
            place = part.find(reading)
            if place is None:
                return None
            places.append(place)
        return tuple(places)


class Rules(Struct, frozen=True, kw_only=True):
    """A module's rules. Mode `deny` blocks what they match, `allow` blocks everything else.

    `index` gives, by the keys of each rule's first part, the numbers of the rules to look at. It is
    always made from `rules`, whatever is passed for it.
    """

    mode: Literal["deny", "allow"]
    rules: tuple[Rule, ...]
    index: dict[str, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the index. An index that did not fit its rules would let things pass."""
        index: dict[str, list[int]] = {}
        for number, rule in enumerate(self.rules):
            for key in rule.parts[0].keys:
                index.setdefault(key, []).append(number)
        force_setattr(self, "index", index)

    def find(self, reading: Reading) -> tuple[Rule, tuple[int, ...]] | None:
        """Return the first rule that matches with the places of its arguments, or None."""
        keys = self.index.keys() & (reading.raw.keys() | reading.flags.keys())
        for number in sorted({number for key in keys for number in self.index[key]}):
            places = self.rules[number].find(reading)
            if places is not None:
                return self.rules[number], places
        return None


def parse_rule(text: str) -> Rule:
    """Read the text of one rule. Raises `RuleError` for an empty part or an invalid pattern."""
    parts: Sequence[str] = text.split(SET_SEPARATOR)
    return Rule(text, tuple(_parse_part(part) for part in parts))


def _parse_part(text: str) -> Word | FlagPattern:
    if not text:
        raise RuleError("a rule, and each part of one, must have text")
    if not text.startswith("-") or "=" not in text:
        return Word(text)
    flag, _, pattern = text.partition("=")
    return FlagPattern(text, flag, parse_glob(pattern))


def _next_word(reading: Reading, place: int) -> str | None:
    if place + 1 >= len(reading.arguments):
        return None
    raw = reading.arguments[place + 1].raw
    return None if raw == "--" else raw
