"""Rules about arguments that were read by their form alone, as v0.4 reads them.

A part is a word (`credential`, `--exec`), or a flag with a pattern for its value (`--network=host`,
`-v=/*:*`).
"""

from msgspec import Struct

from airlock_modules.reading.plain import PlainReading
from airlock_modules.rules.globs import Glob, parse_glob
from airlock_modules.rules.rule import Part, Rule, parse_parts

PlainRule = Rule[PlainReading]


class TextPart(Struct, frozen=True):
    """A part that names a subcommand, another positional, or a flag whatever its value."""

    text: str

    @property
    def anchors(self) -> tuple[str, ...]:
        """The text itself: an argument, or a flag."""
        return (self.text,)

    def find(self, reading: PlainReading, *, certain: bool) -> tuple[str, ...] | None:
        """Return the argument that matches, or None.

        A text that starts with `-` matches the same argument anywhere, after `--` too, or the same
        flag. Another one matches a positional with the same text.
        """
        del certain
        if not self.text.startswith("-"):
            return (self.text,) if self.text in reading.positionals else None
        if self.text in reading.raw:
            return (self.text,)
        numbers = reading.flags.get(self.text)
        return (reading.arguments[numbers[0]].raw,) if numbers else None


class ValuePart(Struct, frozen=True):
    """A part that names a flag and a pattern for its value."""

    text: str
    flag: str
    pattern: Glob

    @property
    def anchors(self) -> tuple[str, ...]:
        """The flag and, where only one value matches, the argument that joins them."""
        return (self.flag,) if self.pattern.literal is None else (self.flag, self._joined)

    @property
    def _joined(self) -> str:
        return f"{self.flag}={self.pattern.literal}"

    def find(self, reading: PlainReading, *, certain: bool) -> tuple[str, ...] | None:
        """Return the arguments that match, or None.

        The value may be joined to the flag or be the next argument. A pattern without wildcards
        also matches the exact text `flag=pattern` anywhere, after `--` too.
        """
        describes = self.pattern.permits if certain else self.pattern.matches
        for number in reading.flags.get(self.flag, ()):
            flag, *behind = reading.arguments[number : number + 2]
            if flag.value is not None:
                if describes(flag.value):
                    return (flag.raw,)
            elif behind and behind[0].raw != "--" and describes(behind[0].raw):
                return (flag.raw, behind[0].raw)
        if self.pattern.literal is not None and self._joined in reading.raw:
            return (self._joined,)
        return None


def parse_plain_rule(text: str, reason: str | None = None) -> PlainRule:
    """Read the text of one rule. Raises `RuleError` for an empty part or an invalid pattern."""
    return Rule(text, parse_parts(text, _parse_part), reason)


def _parse_part(text: str) -> Part[PlainReading]:
    if not text.startswith("-") or "=" not in text:
        return TextPart(text)
    flag, _, pattern = text.partition("=")
    return ValuePart(text, flag, parse_glob(pattern))
