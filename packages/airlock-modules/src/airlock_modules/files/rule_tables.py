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
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from airlock_modules.files.toml_reader import TableReader
from airlock_modules.reading.option_table import RuleError
from airlock_modules.rules.judgement import PlainRules
from airlock_modules.rules.rule import Read, Rule, RuleList, parse_plain_rule

if TYPE_CHECKING:
    from airlock_modules.rules.parsed_judgement import GrammarRules

_Made = TypeVar("_Made")


def read_rules(
    reader: TableReader, *, tool: str, is_optional: bool = False
) -> "PlainRules | GrammarRules":
    """Read the rules of a module file, with the grammar of its tool if it has a `[syntax]`.

    Where they are optional, a file without rules refuses nothing.
    """
    has_deny, has_allow = reader.has("deny"), reader.has("allow")
    if has_deny and has_allow:
        reader.fault("allow", "stands beside [deny]", "keep one of the two tables")
    elif not has_deny and not has_allow and not is_optional:
        reader.fault("deny", "is missing", "add [deny] or [allow] with args = [...]")
    if reader.has("syntax"):
        from airlock_modules.files.grammar_tables import read_grammar_rules  # noqa: PLC0415

        return read_grammar_rules(reader, tool=tool)
    deny, allow = reader.table("deny"), reader.table("allow")
    denied = read_list(deny, "args", parse_plain_rule, required=has_deny)
    allowed = read_list(allow, "args", parse_plain_rule, required=has_allow)
    for key in ("flags", "except", "commands", "unlisted"):
        allow.refuse(key, "needs a [syntax]", "add that table, or write args")
    return PlainRules(
        mode="allow" if has_allow else "deny",
        rules=RuleList(allowed if has_allow else denied),
        reason=read_reason(allow),
    )


def narrow_rules(
    rules: "PlainRules | GrammarRules", reader: TableReader, key: str
) -> "PlainRules | GrammarRules":
    """Return the rules with further ones that refuse: those of the array `key`.

    They are written as in `[deny] args`, read as the module's own are, and asked last.
    """
    if isinstance(rules, PlainRules):
        return replace(rules, narrowing=RuleList(read_list(reader, key, parse_plain_rule)))
    from airlock_modules.files.grammar_tables import narrow_grammar_rules  # noqa: PLC0415

    return narrow_grammar_rules(rules, reader, key)


def read_list(
    table: TableReader,
    key: str,
    parse: Callable[[str, str | None], Rule[Read]],
    *,
    required: bool = False,
) -> tuple[Rule[Read], ...]:
    """The rules of the array `key`."""
    return tuple(read_each(table, key, parse, names=("rule", "rules"), required=required))


def read_each(
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
            reason = read_reason(entry, required=True)
        for text in texts:
            try:
                yield parse(text, reason)
            except RuleError as error:
                table.fault(key, f"item {number}: {error}", "correct or remove it")


def read_reason(table: TableReader, *, required: bool = False) -> str | None:
    """The `reason` of a table, one line of text."""
    reason = table.string("reason", required=True) if required else table.string("reason")
    if reason is not None and not reason.isprintable():
        table.fault("reason", "is more than one line of text", "write one line")
    return reason
