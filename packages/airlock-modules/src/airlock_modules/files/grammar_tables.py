"""Reading the rules of a module with a `[syntax]`, which use the tool's grammar."""

from msgspec.structs import replace

from airlock_modules.files.option_files import read_syntax
from airlock_modules.files.rule_tables import read_each, read_list, read_reason
from airlock_modules.files.toml_reader import TableReader
from airlock_modules.reading.option_table import OptionTable, add_unsure_flags
from airlock_modules.rules.grammar_rules import (
    AllowList,
    Exclusion,
    Facts,
    GrammarRules,
    Permission,
    named_flags,
    parse_command_pattern,
    parse_exclusion,
    parse_grammar_rule,
    parse_permission,
)
from airlock_modules.rules.rule import Rule, RuleError, RuleList
from airlock_wire.text import quote

_KEY_SEPARATOR = ", "


def read_grammar_rules(reader: TableReader, *, tool: str) -> GrammarRules:
    """As `rule_tables.read_rules`, for a file with a `[syntax]`."""
    table = read_syntax(reader.table("syntax"), tool=tool)

    def parse(text: str, reason: str | None) -> Rule[Facts]:
        return parse_grammar_rule(text, table, reason)

    deny, allow = reader.table("deny"), reader.table("allow")
    has_allow, lists_commands = reader.has("allow"), allow.has("commands")
    denied = read_list(deny, "args", parse, required=reader.has("deny"))
    allowed = read_list(allow, "args", parse, required=has_allow and not lists_commands)
    exceptions = read_list(allow, "except", parse)
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
        reason=read_reason(allow),
    )


def narrow_grammar_rules(rules: GrammarRules, reader: TableReader, key: str) -> GrammarRules:
    """As `rule_tables.narrow_rules`."""
    table = rules.table
    more = read_list(reader, key, lambda text, why: parse_grammar_rule(text, table, why))
    return replace(
        rules, narrowing=RuleList(more), table=add_unsure_flags(table, named_flags(more))
    )


def _read_exclusions(allow: TableReader, table: OptionTable) -> tuple[Exclusion, ...]:
    def parse(text: str, reason: str | None) -> Exclusion:
        if reason is None:
            raise RuleError(f"{quote(text)} has no reason")
        return parse_exclusion(text, table, reason)

    return tuple(read_each(allow, "unlisted", parse, names=("name", "names")))


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
        # Record one fault: a module copied from one with a deeper table has dozens of such keys.
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
