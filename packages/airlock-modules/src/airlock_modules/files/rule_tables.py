"""Reading `[deny]` or `[allow]` of a module, what they refuse and why, and `[[examples]]` of it.

`[deny] args` lists rules that refuse, `[allow] args` the only rules that permit, and `[allow]
reason` says why everything else is refused. A rule is a text, or a table with one or several texts
and their common reason:

    args = ["credential", { rule = "push & --force", reason = "it overwrites the work of others" }]

With a `[syntax]` rules use the tool's grammar, and `[allow]` has a second form: `[allow.commands]`
lists the flags of each subcommand (`"push, remote add"` is a key for two), `[allow] flags` those of
every subcommand, `[allow] except` rules that refuse even what is listed, and `[allow] unlisted` the
reasons why some things are not listed.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from airlock_modules.files.toml_reader import Fault, TableReader
from airlock_modules.rules.rule import (
    PlainRules,
    Read,
    Rule,
    RuleError,
    RuleList,
    parse_plain_rule,
)
from airlock_wire.text import quote

if TYPE_CHECKING:
    from airlock_modules.rules.grammar_rules import GrammarRules

_Made = TypeVar("_Made")

Example = tuple[tuple[str, ...], str]
"""The arguments of one of `[[examples]]`, and the decision to expect."""


def read_rules(
    reader: TableReader, *, tool: str, is_optional: bool = False
) -> "PlainRules | GrammarRules":
    """Read the rules of a module file, with the tool's grammar if it has a `[syntax]`.

    If they are optional, a file without rules refuses nothing.
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
    """Return the rules with further refusing ones from the array `key`.

    They are written as in `[deny] args`, parsed like the module's own, and checked last.
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
    """Return the rules of the array `key`."""
    return tuple(read_each(table, key, parse, names=("rule", "rules"), required=required))


def read_each(
    table: TableReader,
    key: str,
    parse: Callable[[str, str | None], _Made],
    *,
    names: tuple[str, str],
    required: bool = False,
) -> Iterator[_Made]:
    """Yield the parsed texts of an array. A table has one or several texts and their reason."""
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
    """Return the `reason` of a table, one line of text."""
    reason = table.string("reason", required=True) if required else table.string("reason")
    if reason is not None and not reason.isprintable():
        table.fault("reason", "is more than one line of text", "write one line")
    return reason


def read_examples(reader: TableReader) -> Iterator[Example]:
    """Yield the `[[examples]]` of a module file."""
    for number, example in enumerate(reader.entries("examples"), start=1):
        if isinstance(example, str):
            remedy = 'write { args = ["..."], expect = "denied" }'
            reader.fault("examples", f"item {number}: must be a table", remedy)
            continue
        args = example.strings("args", required=True)
        expected = example.choice("expect", ("allowed", "denied"), default="")
        if not example.has("expect"):
            example.fault("expect", "is missing", 'write "allowed" or "denied"')
        yield args, expected


def check_examples(
    examples: Iterable[Example], rules: "PlainRules | GrammarRules", source: str
) -> Iterator[Fault]:
    """Find the examples in `source` that the rules decide otherwise."""
    for number, (args, expected) in enumerate(examples, start=1):
        verdict = rules.judge(args)
        found = "allowed" if verdict.allowed else "denied"
        if found != expected:
            shown = " ".join(map(quote, args))
            problem = f"{shown} is {found}, not {expected}: {verdict.detail}"
            yield Fault(source, f"examples.{number}", problem, "correct the example or the rules")
