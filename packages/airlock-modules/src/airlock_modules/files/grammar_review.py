"""Finding rules that can never match.

Their option table lacks what they name, or git-remote, which sees no flags, is never asked it.
"""

from collections.abc import Iterable, Iterator

from airlock_modules.files.toml_reader import Fault, join_key
from airlock_modules.reading.option_table import OptionTable, normalise
from airlock_modules.reading.parsed import read_plain
from airlock_modules.rules.grammar_rules import (
    EVERYTHING,
    CommandPart,
    FlagPart,
    GrammarRule,
    GrammarRules,
    Permission,
    WordPart,
    read_facts,
)
from airlock_modules.rules.rule import Part, PlainRules, Read, Rule, TextPart
from airlock_wire.text import quote


def find_unknown(source: str, rules: GrammarRules) -> Iterator[Fault]:
    """Yield faults for rules, flags and subcommands that the option table does not have."""
    for key, listed in (
        (f"{rules.mode}.args", rules.rules.rules),
        ("allow.except", rules.exceptions.rules),
    ):
        for rule in listed:
            yield from find_unmatchable(source, key, rule, rules)
    if rules.permitted is not None:
        yield from _find_unknown(source, "allow.flags", rules.permitted.flags, rules.table)
        for name, permission in rules.permitted.commands.items():
            yield from _find_unknown_command(source, name, permission, rules.table)


def find_unmatchable(
    source: str, key: str, rule: GrammarRule, rules: GrammarRules
) -> Iterator[Fault]:
    """Yield faults for parts of a rule whose flag or subcommand the option table does not have."""
    table = rules.table
    for part in rule.parts:
        known = True
        if isinstance(part, FlagPart):
            known = part.pattern is not None or any(
                name in scope.flags.exact for scope in table.scopes() for name in part.names
            )
        elif isinstance(part, CommandPart):
            known = _knows_words(part, table)
        if not known:
            problem = f"the rule {quote(rule.text)} cannot match: {_say_unknown(part.text, table)}"
            yield Fault(source, key, problem, "correct or remove it")


def _knows_words(part: CommandPart, table: OptionTable) -> bool:
    if not table.is_closed:
        return True
    return any(
        scope.key[: len(part.words)] == part.words
        or (len(part.words) == 1 and part.words[0] in scope.key)
        for scope in table.commands.values()
    )


def _find_unknown_command(
    source: str, name: str, permission: Permission, table: OptionTable
) -> Iterator[Fault]:
    key = join_key(("allow", "commands", name))
    if name and table.is_closed and name not in table.commands:
        yield Fault(source, key, _say_unknown(name, table), "correct or remove it")
    else:
        yield from _find_unknown(source, key, permission, table, command=name)


def _find_unknown(
    source: str, key: str, permission: Permission, table: OptionTable, *, command: str = ""
) -> Iterator[Fault]:
    scope = table.root if not command else table.commands.get(command, table.elsewhere)
    if scope is None or scope.is_open:
        return
    for entry in permission.entries:
        name = normalise(entry.partition("=")[0], scope.style)
        if entry != EVERYTHING and name not in scope.flags.exact:
            yield Fault(source, key, _say_unknown(name, table), "correct or remove it")


def _say_unknown(text: str, table: OptionTable) -> str:
    version = f" {table.version}" if table.version else ""
    return f"the option table of {table.tool}{version} does not know {quote(text)} there"


_URL, _REF = "ssh://host/path", "refs/heads/main"
_ASKED = (("fetch", _URL), ("push", _URL, _REF), ("push", "--delete", _URL, _REF))


def list_unseen(rules: PlainRules | GrammarRules) -> tuple[str, ...]:
    """Return the refusing rules of module and profile that no git-remote request can match.

    Rules of mode `allow` are not considered.
    """
    if isinstance(rules, PlainRules):
        readings = [read_plain(args) for args in _ASKED]
        own = rules.rules.rules if rules.mode == "deny" else ()
        return tuple(_list((*own, *rules.narrowing.rules), readings))
    facts = [read_facts(rules, args) for args in _ASKED]
    refusing = rules.rules.rules if rules.mode == "deny" else rules.exceptions.rules
    return tuple(_list((*refusing, *rules.narrowing.rules), facts, WordPart))


def _list(rules: Iterable[Rule[Read]], asked: Iterable[Read], *open_parts: type) -> Iterable[str]:
    """Yield the rules that match none of the requests; parts of types `open_parts` always match."""
    readings = tuple(asked)
    for rule in rules:
        if not any(
            all(_may_match(part, each, open_parts) for part in rule.parts) for each in readings
        ):
            yield rule.text


def _may_match(part: Part[Read], asked: Read, open_parts: tuple[type, ...]) -> bool:
    """Whether a part matches a request like this one for some URL and ref."""
    if isinstance(part, open_parts):
        return True
    if isinstance(part, TextPart) and ("://" in part.text or part.text.startswith("refs/")):
        return True
    return part.find(asked, certain=False) is not None
