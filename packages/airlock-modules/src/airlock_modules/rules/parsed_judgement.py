"""Judging arguments that are parsed with an option table."""

from collections.abc import Sequence

from msgspec import Struct

from airlock_modules.reading.grammar import MAX_LETTERS, parse
from airlock_modules.reading.option_table import FlagSpec, OptionTable
from airlock_modules.reading.parsed import Flag, Parsed, Piece
from airlock_modules.rules.grammar_rules import AllowList, Exclusion, Facts
from airlock_modules.rules.judgement import (
    Mode,
    Verdict,
    allow,
    narrow,
    refuse,
    refuse_matched,
    refuse_unmatched,
)
from airlock_modules.rules.rule import RuleList
from airlock_wire.text import quote

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


def judge_parsed(rules: GrammarRules, args: Sequence[str]) -> Verdict:
    """Judge arguments as `judgement.judge` does."""
    parsed = parse(rules.table, args)
    if parsed.excess is not None:
        return _refuse_excess(parsed, parsed.excess)
    if not parsed.knows_command:
        return _refuse_command(rules, parsed)
    facts = Facts.of(parsed)
    verdict = _judge_parsed(rules, facts)
    return narrow(verdict, rules.narrowing, facts) if verdict.allowed else verdict


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
