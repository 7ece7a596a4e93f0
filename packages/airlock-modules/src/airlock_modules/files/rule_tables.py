"""The `[deny]` or `[allow]` of a module: which requests it refuses, and why.

`[deny] args` lists rules for what to block, `[allow] args` for what alone to permit, and `[allow]
reason` says why nothing else is. A rule is its text, or a table with the text and its reason, or
with several that are there for one reason:

    args = ["credential", { rule = "push & --force", reason = "it overwrites the work of others" }]

With a `[syntax]` the rules are read with the grammar of the tool, and there is a second form of
allowing: `[allow.commands]`, which lists the flags that subcommands may have (`"push, remote add"`
is a key for two), beside
`[allow] flags` for the flags that any of them may have, `[allow] except` with rules for what is
blocked though it is listed, and `[allow] unlisted`, which says why some things are not listed.
"""

from collections.abc import Callable, Iterator
from typing import TypeVar

from msgspec.structs import replace

from airlock_modules.files.option_files import read_syntax
from airlock_modules.files.toml_reader import TableReader
from airlock_modules.reading.option_table import OptionTable, RuleError, add_unsure_flags
from airlock_modules.rules.grammar_rules import (
    AllowList,
    Exclusion,
    Facts,
    Permission,
    named_flags,
    parse_command_pattern,
    parse_exclusion,
    parse_grammar_rule,
    parse_permission,
)
from airlock_modules.rules.judgement import GrammarRules, PlainRules
from airlock_modules.rules.rule import Read, Rule, RuleList, parse_plain_rule
from airlock_wire.text import quote

_Made = TypeVar("_Made")
_KEY_SEPARATOR = ", "


def read_rules(
    reader: TableReader, *, tool: str, is_optional: bool = False
) -> PlainRules | GrammarRules:
    """Read the rules of a module file, with the grammar of its tool if it has a `[syntax]`.

    Where they are optional, a file without rules refuses nothing.
    """
    has_deny, has_allow = reader.has("deny"), reader.has("allow")
    if has_deny and has_allow:
        reader.fault("allow", "stands beside [deny]", "keep one of the two tables")
    elif not has_deny and not has_allow and not is_optional:
        reader.fault("deny", "is missing", "add [deny] or [allow] with args = [...]")
    if reader.has("syntax"):
        return _read_grammar_rules(reader, read_syntax(reader.table("syntax"), tool=tool))
    deny, allow = reader.table("deny"), reader.table("allow")
    denied = _read_list(deny, "args", parse_plain_rule, required=has_deny)
    allowed = _read_list(allow, "args", parse_plain_rule, required=has_allow)
    for key in ("flags", "except", "commands", "unlisted"):
        allow.refuse(key, "needs a [syntax]", "add that table, or write args")
    return PlainRules(
        mode="allow" if has_allow else "deny",
        rules=RuleList(allowed if has_allow else denied),
        reason=_read_reason(allow),
    )


def narrow_rules(
    rules: PlainRules | GrammarRules, reader: TableReader, key: str
) -> PlainRules | GrammarRules:
    """Return the rules with further ones that refuse: those of the array `key`.

    They are written as in `[deny] args`, read as the module's own are, and asked last.
    """
    if isinstance(rules, PlainRules):
        return replace(rules, narrowing=RuleList(_read_list(reader, key, parse_plain_rule)))
    table = rules.table
    more = _read_list(reader, key, lambda text, why: parse_grammar_rule(text, table, why))
    return replace(
        rules, narrowing=RuleList(more), table=add_unsure_flags(table, named_flags(more))
    )


def _read_grammar_rules(reader: TableReader, table: OptionTable) -> GrammarRules:
    def parse(text: str, reason: str | None) -> Rule[Facts]:
        return parse_grammar_rule(text, table, reason)

    deny, allow = reader.table("deny"), reader.table("allow")
    has_allow, lists_commands = reader.has("allow"), allow.has("commands")
    denied = _read_list(deny, "args", parse, required=reader.has("deny"))
    allowed = _read_list(allow, "args", parse, required=has_allow and not lists_commands)
    exceptions = _read_list(allow, "except", parse)
    if lists_commands and allow.has("args"):
        allow.fault("args", "stands beside [allow.commands]", "keep one of the two")
    elif not lists_commands:
        for key in ("flags", "unlisted"):
            allow.refuse(key, "needs an [allow.commands]", "add that table, or remove the key")
    return GrammarRules(
        mode="allow" if has_allow else "deny",
        rules=RuleList(allowed if has_allow else denied),
        table=add_unsure_flags(table, named_flags((*denied, *allowed, *exceptions))),
        permitted=_read_permitted(allow, table) if lists_commands else None,
        exceptions=RuleList(exceptions),
        exclusions=_read_exclusions(allow, table) if lists_commands else (),
        reason=_read_reason(allow),
    )


def _read_list(
    table: TableReader,
    key: str,
    parse: Callable[[str, str | None], Rule[Read]],
    *,
    required: bool = False,
) -> tuple[Rule[Read], ...]:
    return tuple(_read_each(table, key, parse, names=("rule", "rules"), required=required))


def _read_exclusions(allow: TableReader, table: OptionTable) -> tuple[Exclusion, ...]:
    def parse(text: str, reason: str | None) -> Exclusion:
        if reason is None:
            raise RuleError(f"{quote(text)} has no reason")
        return parse_exclusion(text, table, reason)

    return tuple(_read_each(allow, "unlisted", parse, names=("name", "names")))


def _read_each(
    table: TableReader,
    key: str,
    parse: Callable[[str, str | None], _Made],
    *,
    names: tuple[str, str],
    required: bool = False,
) -> Iterator[_Made]:
    """Yield what each text of an array says. A table has one or several texts, and their reason."""
    for number, entry in enumerate(table.entries(key, required=required), start=1):
        texts: tuple[str, ...] = ()
        reason = None
        if isinstance(entry, str):
            texts = (entry,)
        else:
            one, several = names
            if entry.has(one) == entry.has(several):
                entry.fault("", f"must have either {one} or {several}", "write one of the two")
            text = entry.string(one)
            texts = entry.strings(several) if text is None else (text,)
            reason = _read_reason(entry, required=True)
        for text in texts:
            try:
                yield parse(text, reason)
            except RuleError as error:
                table.fault(key, f"item {number}: {error}", "correct or remove it")


def _read_reason(table: TableReader, *, required: bool = False) -> str | None:
    reason = table.string("reason", required=True) if required else table.string("reason")
    if reason is not None and not reason.isprintable():
        table.fault("reason", "is more than one line of text", "write one line")
    return reason


def _read_permitted(allow: TableReader, table: OptionTable) -> AllowList:
    commands: dict[str, Permission] = {}
    patterns = []
    too_deep = []
    reader = allow.table("commands")
    remedy = "correct the name of the subcommand"
    for key in reader.names():
        permission = _read_permission(reader, key, table)
        for name in key.split(_KEY_SEPARATOR):
            depth = len(name.split(" ")) if name else 0
            if depth > table.depth:
                too_deep.append(name)
            elif name in commands:
                reader.fault(key, f"{quote(name)} is listed twice", "list it once")
            try:
                pattern = parse_command_pattern(name)
            except RuleError as error:
                reader.fault(key, str(error), remedy)
                continue
            if pattern is None:
                commands[name] = permission
            else:
                patterns.append((pattern, permission))
    if too_deep:
        # One fault: a copy of a module whose table counted more words has dozens.
        more = f" and {len(too_deep) - 1} more have" if len(too_deep) > 1 else " has"
        problem = f"{quote(too_deep[0])}{more} more words than the option table says, {table.depth}"
        allow.fault("commands", problem, "list them by their beginnings, or write rules in args")
    return AllowList(
        flags=_read_permission(allow, "flags", table),
        commands=commands,
        patterns=tuple(patterns),
    )


def _read_permission(reader: TableReader, key: str, table: OptionTable) -> Permission:
    try:
        return parse_permission(reader.strings(key), table)
    except RuleError as error:
        reader.fault(key, str(error), "correct or remove the entry")
        return Permission()
