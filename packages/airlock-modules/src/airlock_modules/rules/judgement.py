"""What the rules of a module with an option table say about a reading of the arguments."""

from typing import Literal

from msgspec import Struct

from airlock_modules.quoting import quote
from airlock_modules.reading.option_table import OptionTable
from airlock_modules.reading.parsed import Flag, Parsed
from airlock_modules.rules.grammar_rules import Facts, RuleList
from airlock_modules.rules.permissions import AllowList

UNKNOWN_COMMAND = "command"
"""What stands for a rule where the subcommand is unknown or not listed."""
UNKNOWN_FLAG = "unknown-flag"
"""What stands for a rule where the option table does not know a flag."""


class GrammarRules(Struct, frozen=True, kw_only=True):
    """A module's rules, read with the grammar of its tool, which is in `table`.

    Mode `deny` blocks what `rules` match. Mode `allow` blocks what `permitted` does not list or,
    where there is no such list, what no rule of `rules` matches. In both, arguments that the option
    table cannot explain are refused, and so is what `exceptions` match.
    """

    mode: Literal["deny", "allow"]
    table: OptionTable
    rules: RuleList = RuleList()
    permitted: AllowList | None = None
    exceptions: RuleList = RuleList()

    @property
    def texts(self) -> tuple[str, ...]:
        """The text of every rule and exception."""
        return tuple(rule.text for rule in (*self.rules.rules, *self.exceptions.rules))


class Verdict(Struct, frozen=True, kw_only=True):
    """What was found: whether it may run, the `rule` that decided, if one did, and why.

    `problem` continues a sentence that begins with the command's name; `detail` is for a person on
    the host.
    """

    allowed: bool
    detail: str
    rule: str | None = None
    problem: str = ""


def judge(rules: GrammarRules, parsed: Parsed) -> Verdict:
    """Decide about a reading, which was made with the table of the rules."""
    if not parsed.knows_command:
        return _refuse_command(parsed, "known to its module")
    facts = Facts.of(parsed)
    refused_by = rules.exceptions if rules.mode == "allow" else rules.rules
    found = refused_by.find(facts)
    if found is not None:
        rule, texts = found
        shown = _show(texts)
        return Verdict(
            allowed=False,
            rule=rule.text,
            problem=f"with {shown} is refused by the rule {quote(rule.text)} of its module",
            detail=f"{quote(rule.text)} matches {shown}",
        )
    if parsed.unknown:
        return _refuse_unknown(rules.table, parsed)
    if rules.permitted is not None:
        return _judge_permitted(rules.permitted, rules.table, parsed)
    if rules.mode == "deny":
        return Verdict(allowed=True, detail="no deny rule matches")
    return _judge_allowed(rules.rules, facts, parsed)


def _judge_allowed(rules: RuleList, facts: Facts, parsed: Parsed) -> Verdict:
    found = rules.find(facts, certain=True)
    if found is None:
        problem = f"{_show_start(parsed)} is refused: no rule of its module allows it"
        return Verdict(allowed=False, problem=problem, detail="no allow rule matches")
    rule, texts = found
    detail = f"allow {quote(rule.text)} matches {_show(texts)}"
    return Verdict(allowed=True, rule=rule.text, detail=detail)


def _judge_permitted(permitted: AllowList, table: OptionTable, parsed: Parsed) -> Verdict:
    if permitted.find_command(parsed.command) is None:
        return _refuse_command(parsed, "one that its module allows")
    flag = permitted.find_refused(table, parsed)
    if flag is None:
        detail = f"allow.commands lists {quote(' '.join(parsed.command))} and each of its flags"
        return Verdict(allowed=True, detail=detail)
    shown = _show_flag(flag)
    return Verdict(
        allowed=False,
        rule=flag.name,
        problem=f"{_show_start(parsed)} is refused: its module does not allow {shown} there",
        detail=f"{shown} is not listed for it",
    )


def _refuse_command(parsed: Parsed, wanted: str) -> Verdict:
    if not parsed.command:
        return Verdict(
            allowed=False,
            rule=UNKNOWN_COMMAND,
            problem="without a subcommand is refused: its module does not allow that",
            detail="no subcommand is given, and allow.commands does not list that",
        )
    shown = quote(" ".join(parsed.command))
    return Verdict(
        allowed=False,
        rule=UNKNOWN_COMMAND,
        problem=f"{shown} is refused: this subcommand is not {wanted}",
        detail=f"the subcommand {shown} is not {wanted}",
    )


def _refuse_unknown(table: OptionTable, parsed: Parsed) -> Verdict:
    shown = quote(parsed.unknown[0].text)
    version = f" ({table.tool} {table.version})" if table.version else ""
    return Verdict(
        allowed=False,
        rule=UNKNOWN_FLAG,
        problem=(
            f"{_show_start(parsed)} is refused: {shown} there is unknown to its option table"
            f"{version}, or could mean several things"
        ),
        detail=f"{shown} is not in the option table{version}, or could mean several things",
    )


def _show(texts: tuple[str, ...]) -> str:
    return ", ".join(map(quote, texts))


def _show_flag(flag: Flag) -> str:
    shown = quote(flag.text)
    if flag.name not in (flag.text, flag.text[1:]):
        shown += f" ({flag.name})"
    return shown if flag.value is None else f"{shown} with {quote(flag.value)}"


def _show_start(parsed: Parsed) -> str:
    if parsed.command:
        return quote(" ".join(parsed.command))
    return "with these arguments" if parsed.words or parsed.flags else "without a subcommand"
