"""Rules matched with the tool's own argument grammar, and judging a request by them.

A part of a rule is

- a flag, `--exec`, or a flag with a pattern for its value, `--network=host`; with `!=` it matches a
  value that the pattern does not match. It matches every spelling of the flag that the tool
  accepts. Its name may have wildcards too: `--*=file://*`.
- a subcommand, `push` or `remote add`, if the tool has subcommands; words beyond the depth of the
  option table are compared with the operands;
- a pattern for an operand: `+*`. If the tool has no subcommands every word is such a pattern.

A module may also list what it permits: subcommands, and the flags of each. Anything unlisted is
refused. A flag is listed by any of its names, or by a name with a pattern, `--push-option=ci.*`,
which every value must match. Listing a flag also permits its negation, `--no-NAME`. `*` lists all
of the subcommand's own flags. An exclusion gives the reason why a subcommand or flag is not listed
(`credential`, `* delete-*`, `config --list`); it does not affect the decision.
"""

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from airlock_modules.reading.grammar import MAX_LETTERS, parse
from airlock_modules.reading.option_table import FlagSpec, OptionTable
from airlock_modules.reading.parsed import Flag, Parsed, Piece
from airlock_modules.rules.glob import Glob, parse_pattern
from airlock_modules.rules.rule import (
    Mode,
    Part,
    Rule,
    RuleError,
    RuleList,
    Verdict,
    allow,
    narrow,
    parse_parts,
    refuse,
    refuse_matched,
    refuse_unmatched,
)
from airlock_wire.text import quote

_WILDCARDS = frozenset("*?[{\\")


class Facts(Struct, frozen=True):
    """Parsed arguments with their flags indexed by each of their names."""

    parsed: Parsed
    flags: dict[str, list[Flag]]

    @classmethod
    def of(cls, parsed: Parsed) -> "Facts":
        """Index parsed arguments."""
        flags: dict[str, list[Flag]] = {}
        for flag in (*parsed.globals, *parsed.flags):
            for name in flag.names:
                flags.setdefault(name, []).append(flag)
        return cls(parsed, flags)

    @property
    def keys(self) -> frozenset[str]:
        """The names of flags and the words of the subcommand."""
        return frozenset((*self.flags, *self.parsed.command))


GrammarRule = Rule[Facts]


class FlagPart(Struct, frozen=True):
    """A flag by its `names`, or by a `pattern` of names, with or without a pattern of values.

    With `negated` a value matches if the pattern does not.
    """

    text: str
    names: tuple[str, ...]
    pattern: Glob | None = None
    value: Glob | None = None
    negated: bool = False

    @property
    def anchors(self) -> tuple[str, ...]:
        """The names of the flag, () for a pattern."""
        return () if self.pattern else self.names

    def find(self, reading: Facts, *, certain: bool) -> tuple[str, ...] | None:
        """Return the flag as written and the matching value, or None."""
        for flag in self._find_named(reading):
            texts = self._match(flag, certain=certain)
            if texts is not None:
                return texts
        return None

    def _match(self, flag: Flag, *, certain: bool) -> tuple[str, ...] | None:
        """Compare a flag of the right name; return its text and the matching value, or None."""
        if certain and len(flag.specs) > 1:
            return None
        if self.value is None:
            return (flag.text,)
        # The wildcards of an allowing rule match no control character.
        matches = [
            value.text
            for value in flag.values
            if self.value.matches(value.text) is not self.negated
            and (not certain or self.value.spells_out(value.text))
        ]
        if not matches or (certain and (not flag.sure or len(matches) < len(flag.values))):
            return None
        return (flag.text, matches[0])

    def describes(self, flag: Flag) -> bool:
        """Return whether a flag may be the named one, with a matching value."""
        return self._names(flag) and self._match(flag, certain=False) is not None

    def _names(self, flag: Flag) -> bool:
        if self.pattern is None:
            return any(name in self.names for name in flag.names)
        return any(map(self.pattern.matches, flag.names))

    def _find_named(self, reading: Facts) -> Iterator[Flag]:
        if self.pattern is None:
            for name in self.names:
                yield from reading.flags.get(name, ())
            return
        for flag in (*reading.parsed.globals, *reading.parsed.flags):
            if (self.value is None or flag.values) and self._names(flag):
                yield flag


class CommandPart(Struct, frozen=True):
    """A word of the subcommand, or its first several words."""

    text: str
    words: tuple[str, ...]

    @property
    def anchors(self) -> tuple[str, ...]:
        """The first of the words."""
        return self.words[:1]

    def find(self, reading: Facts, *, certain: bool) -> tuple[str, ...] | None:
        """Return the words if they match, or None."""
        command = reading.parsed.command
        length = min(len(self.words), len(command))
        matches = bool(length) and command[:length] == self.words[:length]
        if matches and _follow(self.words[length:], reading.parsed, certain=certain):
            return self.words
        return self.words if len(self.words) == 1 and self.words[0] in command else None


def _follow(expected: tuple[str, ...], parsed: Parsed, *, certain: bool) -> bool:
    """Return whether these words directly follow the subcommand, ignoring flags and their values.

    A word that may be a flag's value is skipped, unless `certain`.
    """
    values = {value.argument for flag in parsed.flags if not flag.sure for value in flag.values}
    wanted = list(reversed(expected))
    for word in parsed.words:
        if wanted and word.text == wanted[-1]:
            wanted.pop()
        elif certain or word.argument not in values:
            break
    return not wanted


class WordPart(Struct, frozen=True):
    """A pattern for an operand."""

    text: str
    pattern: Glob

    @property
    def anchors(self) -> tuple[str, ...]:
        """Always (): a pattern has no key."""
        return ()

    def find(self, reading: Facts, *, certain: bool) -> tuple[str, ...] | None:
        """Return the first matching operand, or None."""
        describes = self.pattern.permits if certain else self.pattern.matches
        for word in reading.parsed.words:
            if describes(word.text):
                return (word.text,)
        return None


def parse_grammar_rule(text: str, table: OptionTable, reason: str | None = None) -> GrammarRule:
    """Parse one rule. Raises `RuleError` for an empty part or an invalid pattern."""

    def parse_part(text: str) -> Part[Facts]:
        if text.startswith("-"):
            return parse_flag_part(text, table)
        if table.depth and not _WILDCARDS.intersection(text):
            return CommandPart(text, tuple(text.split(" ")))
        return WordPart(text, parse_pattern(text))

    return Rule(text, parse_parts(text, parse_part), reason)


def parse_flag_part(text: str, table: OptionTable) -> FlagPart:
    """Parse a part that begins with a dash. Raises `RuleError` if it names no flag."""
    name, equals, pattern = text.partition("=")
    negated = bool(equals) and name.endswith("!")
    name = name.removesuffix("!") if negated else name
    if name in ("-", "--"):
        raise RuleError(f"{quote(name)} is not the name of a flag")
    names = table.spell(name)
    any_of = names[0] if len(names) == 1 else "{" + ",".join(names) + "}"
    return FlagPart(
        text,
        names,
        parse_pattern(any_of) if _WILDCARDS.intersection(name) else None,
        parse_pattern(pattern) if equals else None,
        negated,
    )


def named_flags(rules: Iterable[GrammarRule]) -> tuple[str, ...]:
    """Return the canonical names of all flags that rules name without wildcards."""
    return tuple(
        name
        for rule in rules
        for part in rule.parts
        if isinstance(part, FlagPart) and part.pattern is None
        for name in part.names
    )


class Exclusion(Struct, frozen=True):
    """The reason why a subcommand, or a flag of one, is not listed."""

    words: tuple[Glob, ...]
    flag: FlagPart | None
    reason: str

    def covers(self, command: Sequence[str], flag: Flag | None) -> bool:
        """Return whether this applies to a subcommand or, with `flag`, to a flag given to it."""
        if len(self.words) > len(command) or (self.flag is None) != (flag is None):
            return False
        if self.flag is not None and flag is not None and not self.flag.describes(flag):
            return False
        return all(glob.matches(word) for glob, word in zip(self.words, command, strict=False))


def parse_exclusion(text: str, table: OptionTable, reason: str) -> Exclusion:
    """Parse one entry. Raises `RuleError` for no text, an invalid pattern or an invalid flag."""
    if not text:
        raise RuleError("an entry must have text")
    words: list[Glob] = []
    rest = text
    while rest and not rest.startswith("-"):
        word, _, rest = rest.partition(" ")
        words.append(parse_pattern(word))
    return Exclusion(tuple(words), parse_flag_part(rest, table) if rest else None, reason)


EVERYTHING = "*"


class Permission(Struct, frozen=True):
    """The flags permitted for one subcommand: by name, or by name and value."""

    entries: tuple[str, ...] = ()
    everything: bool = False
    names: frozenset[str] = frozenset()
    patterns: dict[str, tuple[Glob, ...]] = {}

    def permits(self, spec: FlagSpec, flag: Flag) -> bool:
        """Return whether the flag is listed, interpreted as `spec`."""
        if any(name in self.names for name in (*spec.names, *spec.negates)):
            return True
        if not self.patterns:
            return False
        if any(name in self.patterns for name in spec.negates):
            return True
        globs = [glob for name in spec.names for glob in self.patterns.get(name, ())]
        return (
            flag.sure
            and bool(flag.values)
            and all(any(glob.permits(value.text) for glob in globs) for value in flag.values)
        )


class AllowList(Struct, frozen=True, kw_only=True):
    """The flags permitted for any subcommand, and those of each subcommand.

    `commands` has the subcommands without wildcards, `patterns` those with wildcards, by word.
    """

    flags: Permission
    commands: dict[str, Permission]
    patterns: tuple[tuple[tuple[Glob, ...], Permission], ...] = ()

    def find_command(self, command: tuple[str, ...]) -> Permission | None:
        """Return the permission of a subcommand, or None if it is not listed.

        An exact entry precedes patterns, which are tried in order.
        """
        permission = self.commands.get(" ".join(command))
        if permission is not None:
            return permission
        for globs, permission in self.patterns:
            if len(globs) == len(command) and all(
                glob.permits(word) for glob, word in zip(globs, command, strict=True)
            ):
                return permission
        return None

    def find_refused(self, table: OptionTable, parsed: Parsed) -> Flag | None:
        """Return the first flag of which not every possible meaning is permitted, or None."""
        home = self.find_command(parsed.command) or Permission()
        is_bare = not parsed.command
        for flag in (*parsed.globals, *parsed.flags):
            own = home
            if table.commands and flag.command != parsed.command:
                own = self.find_command(flag.command) or Permission()
            for spec in flag.specs:
                if spec.origin == "command" or is_bare:
                    permitted = own.everything or own.permits(spec, flag)
                else:
                    permitted = spec.origin == "everywhere" and home.permits(spec, flag)
                if not (permitted or self.flags.permits(spec, flag)):
                    return flag
        return None


def parse_permission(entries: Sequence[str], table: OptionTable) -> Permission:
    """Parse a list of flags. Raises `RuleError` for an invalid flag or pattern."""
    names: set[str] = set()
    patterns: dict[str, tuple[Glob, ...]] = {}
    for entry in entries:
        if entry == EVERYTHING:
            continue
        name, equals, pattern = entry.partition("=")
        if not name.startswith("-") or name in ("-", "--"):
            raise RuleError(f"{quote(entry)} is not a flag, a flag with a pattern, or *")
        if not equals:
            names.update(table.spell(name))
            continue
        for spelling in table.spell(name):
            patterns[spelling] = (*patterns.get(spelling, ()), parse_pattern(pattern))
    return Permission(tuple(entries), EVERYTHING in entries, frozenset(names), patterns)


def parse_command_pattern(key: str) -> tuple[Glob, ...] | None:
    """Return a pattern for each word of a listed subcommand, or None if it has no wildcards.

    Raises `RuleError` for an invalid pattern.
    """
    globs = tuple(parse_pattern(word) for word in key.split(" "))
    return globs if any(glob.literal is None for glob in globs) else None


UNKNOWN_COMMAND = "command"
"""The `rule` of a refusal whose subcommand is unknown or not listed."""
UNKNOWN_FLAG = "unknown-flag"
"""The `rule` of a refusal whose flag is not in the option table."""
TOO_MANY_FLAGS = "too-many-flags"
"""The `rule` of a refusal whose arguments were not parsed to their end."""


class GrammarRules(Struct, frozen=True, kw_only=True):
    """The rules of a module whose arguments are parsed with the option table `table`.

    Mode `deny` refuses what `rules` match. Mode `allow` refuses what `exceptions` match, and what
    `permitted` does not list or, without that list, what no rule of `rules` matches. Both refuse
    arguments that the table cannot explain. The reason for refusing
    something unlisted is that of the first of `exclusions` that covers it, else `reason`.
    `narrowing`, the rules of an agent's profile, then refuses what it matches.
    """

    mode: Mode
    table: OptionTable
    rules: RuleList[Facts] = RuleList()
    permitted: AllowList | None = None
    exceptions: RuleList[Facts] = RuleList()
    exclusions: tuple[Exclusion, ...] = ()
    reason: str | None = None
    narrowing: RuleList[Facts] = RuleList()

    def judge(self, args: Sequence[str]) -> Verdict:
        """As `PlainRules.judge`."""
        parsed = parse(self.table, args)
        if parsed.excess is not None:
            return _refuse_excess(parsed, parsed.excess)
        if not parsed.knows_command:
            return _refuse_command(self, parsed)
        facts = Facts.of(parsed)
        return narrow(_judge_parsed(self, facts), self.narrowing, facts)


def read_facts(rules: GrammarRules, args: Sequence[str]) -> Facts:
    """Parse and index these arguments."""
    return Facts.of(parse(rules.table, args))


def _judge_parsed(rules: GrammarRules, facts: Facts) -> Verdict:
    parsed = facts.parsed
    found = (rules.exceptions if rules.mode == "allow" else rules.rules).find(facts)
    if found is not None:
        return refuse_matched(parsed, *found)
    if parsed.unknown:
        return _refuse_unknown(rules, parsed, parsed.unknown[0])
    if rules.mode == "deny":
        return Verdict(reading=parsed, allowed=True, detail="no deny rule matches")
    if rules.permitted is not None:
        return _judge_permitted(rules, rules.permitted, parsed)
    return _judge_allowed(rules, facts)


def _judge_allowed(rules: GrammarRules, facts: Facts) -> Verdict:
    found = rules.rules.find(facts, certain=True)
    if found is None:
        return refuse_unmatched(facts.parsed, _show_command(facts.parsed), rules.reason)
    return allow(facts.parsed, *found)


def _judge_permitted(rules: GrammarRules, permitted: AllowList, parsed: Parsed) -> Verdict:
    if permitted.find_command(parsed.command) is None:
        return _refuse_command(rules, parsed)
    flag = permitted.find_refused(rules.table, parsed)
    if flag is None:
        detail = f"allow.commands lists {quote(' '.join(parsed.command))} and each of its flags"
        return Verdict(reading=parsed, allowed=True, detail=detail)
    return refuse(
        parsed,
        _show_with(parsed, _show_flag(flag)),
        rule=flag.name,
        reason=_find_reason(rules, parsed.command, flag) or rules.reason,
        why="its module does not list that flag there",
    )


def _refuse_command(rules: GrammarRules, parsed: Parsed) -> Verdict:
    command = parsed.command
    if not parsed.knows_command:  # words after an unknown one may belong to the subcommand too
        command += parsed.rest[: rules.table.depth - len(command)]
    return refuse(
        parsed,
        _show_command(parsed),
        rule=UNKNOWN_COMMAND,
        reason=_find_reason(rules, command) or rules.reason,
        why="its module does not list that",
    )


def _refuse_unknown(rules: GrammarRules, parsed: Parsed, piece: Piece) -> Verdict:
    table = rules.table
    version = f" ({table.tool} {table.version})" if table.version else ""
    why = f"the option table{version} does not know that, or it could mean several things"
    flag = Flag(text=piece.text, argument=piece.argument, specs=(FlagSpec(names=(piece.text,)),))
    reason = _find_reason(rules, parsed.command, flag) or why
    shown = _show_with(parsed, quote(piece.text))
    return refuse(parsed, shown, rule=UNKNOWN_FLAG, reason=reason, why=why)


def _refuse_excess(parsed: Parsed, piece: Piece) -> Verdict:
    why = f"more than {MAX_LETTERS:,} flags stand behind the dashes of others"
    shown = _show_with(parsed, quote(piece.text))
    return refuse(parsed, shown, rule=TOO_MANY_FLAGS, reason=why, why=why)


def _find_reason(
    rules: GrammarRules, command: Sequence[str], flag: Flag | None = None
) -> str | None:
    return next((each.reason for each in rules.exclusions if each.covers(command, flag)), None)


def _show_command(parsed: Parsed) -> str:
    if parsed.command:
        return quote(" ".join(parsed.command))
    return "with these arguments" if parsed.words or parsed.flags else "without a subcommand"


def _show_with(parsed: Parsed, shown: str) -> str:
    return f"{quote(' '.join(parsed.command))} with {shown}" if parsed.command else f"with {shown}"


def _show_flag(flag: Flag) -> str:
    shown = quote(flag.text)
    if flag.name not in (flag.text, flag.text[1:]):
        shown += f" ({flag.name})"
    return shown if flag.value is None else f"{shown} {quote(flag.value)}"
