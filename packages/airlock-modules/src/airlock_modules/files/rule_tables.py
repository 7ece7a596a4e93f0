"""The `[deny]` or `[allow]` of a module: which requests it refuses.

`[deny] args` lists rules for what to block, `[allow] args` for what alone to permit. With a
`[syntax]` the rules are read with the grammar of the tool, and there is a second form of allowing:
`[allow.commands]`, which lists for each subcommand the flags that it may have, beside
`[allow] flags` for the flags that any of them may have and `[allow] except` with rules for what is
blocked though it is listed.
"""

from collections.abc import Callable
from typing import TypeVar

from airlock_modules.errors import RuleError
from airlock_modules.files.syntax import read_syntax
from airlock_modules.files.toml_reader import TableReader
from airlock_modules.quoting import quote
from airlock_modules.reading.option_table import OptionTable, add_unsure_flags
from airlock_modules.rules.grammar_rules import (
    GrammarRule,
    RuleList,
    named_flags,
    parse_grammar_rule,
)
from airlock_modules.rules.judgement import GrammarRules
from airlock_modules.rules.permissions import (
    AllowList,
    Permission,
    parse_command_pattern,
    parse_permission,
)
from airlock_modules.rules.plain_rules import Rules, parse_rule

_Parsed = TypeVar("_Parsed")


def read_rules(reader: TableReader, *, tool: str) -> Rules | GrammarRules:
    """Read the rules of a module file, with the grammar of its tool if it has a `[syntax]`."""
    has_deny, has_allow = reader.has("deny"), reader.has("allow")
    if has_deny and has_allow:
        reader.fault("allow", "stands beside [deny]", "keep one of the two tables")
    elif not has_deny and not has_allow:
        reader.fault("deny", "is missing", "add [deny] or [allow] with args = [...]")
    if reader.has("syntax"):
        return _read_grammar_rules(reader, read_syntax(reader.table("syntax"), tool=tool))
    deny = _read_args(reader, "deny", parse_rule, required=has_deny)
    allow = _read_args(reader, "allow", parse_rule, required=has_allow)
    for key in ("flags", "except", "commands"):
        reader.table("allow").refuse(key, "needs a [syntax]", "add that table, or write args")
    mode, rules = ("allow", allow) if has_allow else ("deny", deny)
    return Rules(mode="allow" if mode == "allow" else "deny", rules=rules)


def _read_grammar_rules(reader: TableReader, table: OptionTable) -> GrammarRules:
    def parse(text: str) -> GrammarRule:
        return parse_grammar_rule(text, table)

    allow = reader.table("allow")
    lists_commands = allow.has("commands")
    denied = _read_args(reader, "deny", parse, required=reader.has("deny"))
    allowed = _read_args(
        reader, "allow", parse, required=reader.has("allow") and not lists_commands
    )
    exceptions = _read_list(allow, "except", parse)
    permitted = _read_permitted(allow, table) if lists_commands else None
    if lists_commands and allow.has("args"):
        allow.fault("args", "stands beside [allow.commands]", "keep one of the two")
    elif not lists_commands:
        allow.refuse("flags", "needs an [allow.commands]", "add that table, or remove the key")
    return GrammarRules(
        mode="allow" if reader.has("allow") else "deny",
        rules=RuleList(allowed if reader.has("allow") else denied),
        table=add_unsure_flags(table, named_flags((*denied, *allowed, *exceptions))),
        permitted=permitted,
        exceptions=RuleList(exceptions),
    )


def _read_args(
    reader: TableReader, key: str, parse: Callable[[str], _Parsed], *, required: bool
) -> tuple[_Parsed, ...]:
    return _read_list(reader.table(key), "args", parse, required=required)


def _read_list(
    table: TableReader, key: str, parse: Callable[[str], _Parsed], *, required: bool = False
) -> tuple[_Parsed, ...]:
    rules = []
    for number, text in enumerate(table.strings(key, required=required), start=1):
        try:
            rules.append(parse(text))
        except RuleError as error:
            table.fault(key, f"item {number}: {error}", "correct or remove the rule")
    return tuple(rules)


def _read_permitted(allow: TableReader, table: OptionTable) -> AllowList:
    commands: dict[str, Permission] = {}
    patterns = []
    reader = allow.table("commands")
    for key in reader.names():
        permission = _read_permission(reader, key, table)
        try:
            pattern = parse_command_pattern(key)
        except RuleError as error:
            reader.fault(key, str(error), "correct the name of the subcommand")
            continue
        if pattern is None:
            commands[key] = permission
        else:
            patterns.append((pattern, permission))
        depth = len(key.split(" ")) if key else 0
        if depth > table.depth:
            problem = f"{quote(key)} has {depth} words, and the option table says {table.depth}"
            reader.fault(key, problem, "correct the name of the subcommand")
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
