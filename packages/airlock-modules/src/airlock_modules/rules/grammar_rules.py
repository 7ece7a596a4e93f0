"""Rules that are read with the grammar of the tool: they see what the tool would see.

The text is that of every rule: parts joined by ` & `, all of which must be there, in any order. A
part is

- a flag, `--exec`, or a flag with a pattern for its value, `--network=host`. It matches whatever
  spelling the tool takes for that flag. Its name may have wildcards too: `--*=file://*`.
- a subcommand, `push` or `remote add`, where the tool has subcommands;
- a pattern for another word: `+*`. Where the tool has no subcommands every word is such a pattern.
"""

from collections.abc import Iterator

from msgspec import Struct, field
from msgspec.structs import force_setattr

from airlock_modules.errors import RuleError
from airlock_modules.quoting import quote
from airlock_modules.reading.option_table import OptionTable
from airlock_modules.reading.parsed import Flag, Parsed
from airlock_modules.rules.globs import Glob, parse_glob
from airlock_modules.rules.plain_rules import SET_SEPARATOR

_WILDCARDS = frozenset("*?[{\\")


class Facts(Struct, frozen=True):
    """What rules ask about a reading: its flags by each of their names, and its command's words."""

    parsed: Parsed
    flags: dict[str, list[Flag]]

    @classmethod
    def of(cls, parsed: Parsed) -> "Facts":
        """Gather the facts of a reading."""
        flags: dict[str, list[Flag]] = {}
        for flag in (*parsed.globals, *parsed.flags):
            for name in flag.names:
                flags.setdefault(name, []).append(flag)
        return cls(parsed, flags)


class FlagPart(Struct, frozen=True):
    """A flag by its `names`, or by a `pattern` of names, with or without a pattern of values."""

    text: str
    names: tuple[str, ...]
    pattern: Glob | None = None
    value: Glob | None = None

    @property
    def anchors(self) -> tuple[str, ...]:
        """The names and command words of which one must be there for this part to match."""
        return () if self.pattern else self.names

    def find(self, facts: Facts, *, certain: bool) -> tuple[str, ...] | None:
        """Return the texts that match, or None.

        It is enough that the tool could read them so, unless `certain` asks that it must.
        """
        for flag in self._find_named(facts):
            if certain and len(flag.specs) > 1:
                continue
            if self.value is None:
                return (flag.text,)
            matches = [value for value in flag.values if self.value.matches(value)]
            if matches and not (certain and (not flag.sure or len(matches) < len(flag.values))):
                return (flag.text, matches[0])
        return None

    def _find_named(self, facts: Facts) -> Iterator[Flag]:
        pattern = self.pattern
        if pattern is None:
            for name in self.names:
                yield from facts.flags.get(name, ())
            return
        for flag in (*facts.parsed.globals, *facts.parsed.flags):
            if any(map(pattern.matches, flag.names)):
                yield flag


class CommandPart(Struct, frozen=True):
    """A word of the subcommand, or several that it begins with."""

    text: str
    words: tuple[str, ...]

    @property
    def anchors(self) -> tuple[str, ...]:
        """The names and command words of which one must be there for this part to match."""
        return self.words[:1]

    def find(self, facts: Facts, *, certain: bool) -> tuple[str, ...] | None:
        """Return the words if they match, or None. They are always certain."""
        del certain
        command = facts.parsed.command
        matches = command[: len(self.words)] == self.words
        if matches or (len(self.words) == 1 and self.words[0] in command):
            return self.words
        return None


class WordPart(Struct, frozen=True):
    """A pattern for a word that is neither a flag nor of the subcommand."""

    text: str
    pattern: Glob

    @property
    def anchors(self) -> tuple[str, ...]:
        """Nothing that could be looked up."""
        return ()

    def find(self, facts: Facts, *, certain: bool) -> tuple[str, ...] | None:
        """Return the first word that matches, or None. It is always certain."""
        del certain
        for word in facts.parsed.words:
            if self.pattern.matches(word.text):
                return (word.text,)
        return None


Part = FlagPart | CommandPart | WordPart


class GrammarRule(Struct, frozen=True):
    """One rule: its text as written in the module, and the parts that must all match."""

    text: str
    parts: tuple[Part, ...]

    def find(self, facts: Facts, *, certain: bool = False) -> tuple[str, ...] | None:
        """Return the texts of the arguments that match, or None where the rule does not."""
        found: tuple[str, ...] = ()
        for part in self.parts:
            texts = part.find(facts, certain=certain)
            if texts is None:
                return None
            found += texts
        return found


class RuleList(Struct, frozen=True):
    """Rules, and by what must be there which of them to look at.

    `index` and `always` are made from `rules`, whatever is passed for them.
    """

    rules: tuple[GrammarRule, ...] = ()
    index: dict[str, list[int]] = field(default_factory=dict)
    always: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Make the index. An index that did not fit its rules would let things pass."""
        index: dict[str, list[int]] = {}
        always = []
        for number, rule in enumerate(self.rules):
            anchors = next((part.anchors for part in rule.parts if part.anchors), ())
            for anchor in anchors:
                index.setdefault(anchor, []).append(number)
            if not anchors:
                always.append(number)
        force_setattr(self, "index", index)
        force_setattr(self, "always", tuple(always))

    def find(
        self, facts: Facts, *, certain: bool = False
    ) -> tuple[GrammarRule, tuple[str, ...]] | None:
        """Return the first rule that matches and the texts of its arguments, or None."""
        numbers = set(self.always)
        if self.index:
            for key in self.index.keys() & {*facts.flags, *facts.parsed.command}:
                numbers.update(self.index[key])
        for number in sorted(numbers):
            texts = self.rules[number].find(facts, certain=certain)
            if texts is not None:
                return self.rules[number], texts
        return None


def parse_grammar_rule(text: str, table: OptionTable) -> GrammarRule:
    """Read the text of one rule. Raises `RuleError` for an empty part or an invalid pattern."""
    return GrammarRule(text, tuple(_parse_part(part, table) for part in text.split(SET_SEPARATOR)))


def named_flags(rules: tuple[GrammarRule, ...]) -> tuple[str, ...]:
    """Return the names of all flags that rules name without wildcards, as they are written."""
    return tuple(
        part.text.partition("=")[0]
        for rule in rules
        for part in rule.parts
        if isinstance(part, FlagPart) and part.pattern is None
    )


def _parse_part(text: str, table: OptionTable) -> Part:
    if not text:
        raise RuleError("a rule, and each part of one, must have text")
    if text.startswith("-"):
        return _parse_flag_part(text, table)
    if table.depth and not _WILDCARDS.intersection(text):
        return CommandPart(text, tuple(text.split(" ")))
    return WordPart(text, parse_glob(text))


def _parse_flag_part(text: str, table: OptionTable) -> FlagPart:
    name, equals, pattern = text.partition("=")
    if name in ("-", "--"):
        raise RuleError(f"{quote(name)} is not the name of a flag")
    return FlagPart(
        text,
        table.spell(name),
        parse_glob(_any_of(table.spell(name))) if _WILDCARDS.intersection(name) else None,
        parse_glob(pattern) if equals else None,
    )


def _any_of(patterns: tuple[str, ...]) -> str:
    return patterns[0] if len(patterns) == 1 else "{" + ",".join(patterns) + "}"
