"""Judging a request by a module's rules."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from msgspec.structs import replace

from airlock_modules.reading.plain import PlainReading, read_plain
from airlock_modules.rules.rule import Read, Rule, RuleList
from airlock_wire.text import quote

if TYPE_CHECKING:
    from airlock_modules.reading.parsed import Parsed
    from airlock_modules.rules.parsed_judgement import GrammarRules

Mode = Literal["deny", "allow"]


class PlainRules(Struct, frozen=True, kw_only=True):
    """The rules of a module without an option table, whose arguments are parsed by form.

    Mode `deny` refuses what `rules` match; mode `allow` refuses everything else, for `reason`.
    `narrowing`, the rules of an agent's profile, then refuses what it matches.
    """

    mode: Mode
    rules: RuleList[PlainReading] = RuleList()
    reason: str | None = None
    narrowing: RuleList[PlainReading] = RuleList()


class Verdict(Struct, frozen=True, kw_only=True):
    """Whether the arguments are allowed, and why.

    `reading` has the parsed arguments, `rule` the deciding rule, if any, and `reason` the module's
    reason for it. `problem` continues a sentence that begins with the command's name, and ends with
    the reason. `detail` explains the decision to people on the host. `is_narrowing` means that the
    rule is the profile's.
    """

    reading: "PlainReading | Parsed"
    allowed: bool
    detail: str
    rule: str | None = None
    reason: str | None = None
    problem: str = ""
    is_narrowing: bool = False


def judge(rules: "PlainRules | GrammarRules", args: Sequence[str]) -> Verdict:
    """Parse and judge the arguments of a request. Raises nothing."""
    if isinstance(rules, PlainRules):
        reading = read_plain(args)
        verdict = _judge_plain(rules, reading)
        return narrow(verdict, rules.narrowing, reading) if verdict.allowed else verdict
    from airlock_modules.rules.parsed_judgement import judge_parsed  # noqa: PLC0415

    return judge_parsed(rules, args)


def narrow(verdict: Verdict, narrowing: RuleList[Read], asked: Read) -> Verdict:
    """Apply the profile's rules to a request that the module allows."""
    found = narrowing.find(asked)
    if found is None:
        return verdict
    refusal = refuse_matched(verdict.reading, *found, owner="the profile of this agent")
    return replace(refusal, is_narrowing=True)


def _judge_plain(rules: PlainRules, reading: PlainReading) -> Verdict:
    found = rules.rules.find(reading, certain=rules.mode == "allow")
    if found is not None:
        return (allow if rules.mode == "allow" else refuse_matched)(reading, *found)
    if rules.mode == "deny":
        return Verdict(reading=reading, allowed=True, detail="no deny rule matches")
    return refuse_unmatched(reading, _show_arguments(reading), rules.reason)


def refuse_matched(
    reading: "PlainReading | Parsed",
    rule: Rule[Read],
    texts: tuple[str, ...],
    *,
    owner: str = "its module",
) -> Verdict:
    """Return the refusal by a rule for the `texts` that it matched."""
    shown = f"with {', '.join(map(quote, texts))}"
    why = f"{owner} has the rule {quote(rule.text)}"
    return refuse(reading, shown, rule=rule.text, reason=rule.reason, why=why)


def refuse_unmatched(reading: "PlainReading | Parsed", shown: str, reason: str | None) -> Verdict:
    """Return the refusal of a request that no rule allows."""
    return refuse(reading, shown, rule=None, reason=reason, why="no rule of its module allows it")


def refuse(
    reading: "PlainReading | Parsed", shown: str, *, rule: str | None, reason: str | None, why: str
) -> Verdict:
    """Return the refusal of `shown`, with the module's `reason`, else `why`."""
    return Verdict(
        reading=reading,
        allowed=False,
        rule=rule,
        reason=reason,
        problem=f"{shown} is refused: {reason or why}",
        detail=f"{shown}: {why}",
    )


def allow(reading: "PlainReading | Parsed", rule: Rule[Read], texts: tuple[str, ...]) -> Verdict:
    """Return the permission by a rule for the `texts` that it matched."""
    detail = f"allow {quote(rule.text)} matches {', '.join(map(quote, texts))}"
    return Verdict(reading=reading, allowed=True, rule=rule.text, reason=rule.reason, detail=detail)


def _show_arguments(reading: PlainReading) -> str:
    if not reading.arguments:
        return "without arguments"
    more = " ..." if len(reading.arguments) > 3 else ""
    return "with " + " ".join(quote(each.raw) for each in reading.arguments[:3]) + more
