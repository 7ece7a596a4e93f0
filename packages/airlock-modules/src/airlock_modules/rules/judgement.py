"""Judging a request by a module's rules, and finding rules that git-remote can never match."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from msgspec.structs import replace

from airlock_modules.reading.parsed import Parsed, PlainReading, read_plain
from airlock_modules.rules.rule import Part, Read, Rule, RuleList, TextPart
from airlock_wire.text import quote

if TYPE_CHECKING:
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

    reading: PlainReading | Parsed
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
    reading: PlainReading | Parsed,
    rule: Rule[Read],
    texts: tuple[str, ...],
    *,
    owner: str = "its module",
) -> Verdict:
    """Return the refusal by a rule for the `texts` that it matched."""
    shown = f"with {', '.join(map(quote, texts))}"
    why = f"{owner} has the rule {quote(rule.text)}"
    return refuse(reading, shown, rule=rule.text, reason=rule.reason, why=why)


def refuse_unmatched(reading: PlainReading | Parsed, shown: str, reason: str | None) -> Verdict:
    """Return the refusal of a request that no rule allows."""
    return refuse(reading, shown, rule=None, reason=reason, why="no rule of its module allows it")


def refuse(
    reading: PlainReading | Parsed, shown: str, *, rule: str | None, reason: str | None, why: str
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


def allow(reading: PlainReading | Parsed, rule: Rule[Read], texts: tuple[str, ...]) -> Verdict:
    """Return the permission by a rule for the `texts` that it matched."""
    detail = f"allow {quote(rule.text)} matches {', '.join(map(quote, texts))}"
    return Verdict(reading=reading, allowed=True, rule=rule.text, reason=rule.reason, detail=detail)


def _show_arguments(reading: PlainReading) -> str:
    if not reading.arguments:
        return "without arguments"
    more = " ..." if len(reading.arguments) > 3 else ""
    return "with " + " ".join(quote(each.raw) for each in reading.arguments[:3]) + more


_URL, _REF = "ssh://host/path", "refs/heads/main"
_ASKED = (("fetch", _URL), ("push", _URL, _REF), ("push", "--delete", _URL, _REF))


def list_unseen(rules: "PlainRules | GrammarRules") -> tuple[str, ...]:
    """Return the refusing rules of module and profile that no git-remote request can match.

    Rules of mode `allow` are not considered.
    """
    if isinstance(rules, PlainRules):
        readings = [read_plain(args) for args in _ASKED]
        own = rules.rules.rules if rules.mode == "deny" else ()
        return tuple(_list((*own, *rules.narrowing.rules), readings))
    from airlock_modules.rules.grammar_rules import WordPart  # noqa: PLC0415
    from airlock_modules.rules.parsed_judgement import read_facts  # noqa: PLC0415

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
