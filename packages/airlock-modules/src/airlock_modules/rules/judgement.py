"""What the rules of a module say of a request, and which of them git-remote cannot see."""

from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from airlock_modules.reading.grammar import MOST_LETTERS, parse
from airlock_modules.reading.option_table import FlagSpec, OptionTable
from airlock_modules.reading.parsed import Flag, Malformed, Parsed, Piece, PlainReading, read_plain
from airlock_modules.rules.grammar_rules import AllowList, Exclusion, Facts, WordPart
from airlock_modules.rules.rule import Part, Read, Rule, RuleList, TextPart
from airlock_wire.text import quote

UNKNOWN_COMMAND = "command"
"""What stands for a rule where the subcommand is unknown or not listed."""
UNKNOWN_FLAG = "unknown-flag"
"""What stands for a rule where the option table does not know a flag."""
MALFORMED = "form"
"""What stands for a rule where a word or value has not the form that the table prescribes."""
TOO_MANY_FLAGS = "too-many-flags"
"""What stands for a rule where the arguments were not read to their end."""

Mode = Literal["deny", "allow"]


class PlainRules(Struct, frozen=True, kw_only=True):
    """The rules of a module without an option table, whose arguments are read by their form.

    Mode `deny` blocks what `rules` match, `allow` blocks everything else, for `reason`. Of what
    is left `narrowing`, the rules of an agent's profile, blocks what they match.
    """

    mode: Mode
    rules: RuleList[PlainReading] = RuleList()
    reason: str | None = None
    narrowing: RuleList[PlainReading] = RuleList()


class GrammarRules(Struct, frozen=True, kw_only=True):
    """The rules of a module whose arguments are read with the grammar of its tool, by `table`.

    Mode `deny` blocks what `rules` match. Mode `allow` blocks what `permitted` does not list or,
    where there is no such list, what no rule of `rules` matches. In both, arguments that the option
    table cannot explain, or that have another form than it prescribes, are refused, and so is what
    `exceptions` match. What is refused because it
    is not listed is refused for the reason of the first of `exclusions` that is about it, else for
    `reason`. Of what is left `narrowing`, the rules of an agent's profile, blocks what they match.
    """

    mode: Mode
    table: OptionTable
    rules: RuleList[Facts] = RuleList()
    permitted: AllowList | None = None
    exceptions: RuleList[Facts] = RuleList()
    exclusions: tuple[Exclusion, ...] = ()
    reason: str | None = None
    narrowing: RuleList[Facts] = RuleList()


class Verdict(Struct, frozen=True, kw_only=True):
    """What was found: how the arguments were read, and whether they are allowed.

    `rule` is the rule that decided, if one did, and `reason` why the module has it. `problem`
    continues a sentence that begins with the command's name, and ends with the reason. `detail`
    says what in the module decided, for a person on the host. `is_narrowing` says that the rule is
    one of the profile.
    """

    reading: PlainReading | Parsed
    allowed: bool
    detail: str
    rule: str | None = None
    reason: str | None = None
    problem: str = ""
    is_narrowing: bool = False


def judge(rules: PlainRules | GrammarRules, args: Sequence[str]) -> Verdict:
    """Read the arguments of a request and decide about them. Nothing is raised."""
    if isinstance(rules, PlainRules):
        reading = read_plain(args)
        verdict = _judge_plain(rules, reading)
        return _narrow(verdict, rules.narrowing, reading) if verdict.allowed else verdict
    parsed = parse(rules.table, args)
    if parsed.excess is not None:
        return _refuse_excess(parsed, parsed.excess)
    if not parsed.knows_command:
        return _refuse_command(rules, parsed)
    facts = Facts.of(parsed)
    verdict = _judge_parsed(rules, facts)
    return _narrow(verdict, rules.narrowing, facts) if verdict.allowed else verdict


def _narrow(verdict: Verdict, narrowing: RuleList[Read], asked: Read) -> Verdict:
    """Refuse what the module allows and the profile does not."""
    found = narrowing.find(asked)
    if found is None:
        return verdict
    refusal = _refuse_matched(verdict.reading, *found, owner="the profile of this agent")
    return replace(refusal, is_narrowing=True)


def _judge_plain(rules: PlainRules, reading: PlainReading) -> Verdict:
    found = rules.rules.find(reading, certain=rules.mode == "allow")
    if found is not None:
        return (_allow if rules.mode == "allow" else _refuse_matched)(reading, *found)
    if rules.mode == "deny":
        return Verdict(reading=reading, allowed=True, detail="no deny rule matches")
    return _refuse_unmatched(reading, _show_arguments(reading), rules.reason)


def _judge_parsed(rules: GrammarRules, facts: Facts) -> Verdict:
    parsed = facts.parsed
    found = (rules.exceptions if rules.mode == "allow" else rules.rules).find(facts)
    if found is not None:
        return _refuse_matched(parsed, *found)
    if parsed.unknown:
        return _refuse_unknown(rules, parsed, parsed.unknown[0])
    if parsed.malformed:
        return _refuse_malformed(parsed, parsed.malformed[0])
    if rules.mode == "deny":
        return Verdict(reading=parsed, allowed=True, detail="no deny rule matches")
    if rules.permitted is not None:
        return _judge_permitted(rules, rules.permitted, parsed)
    return _judge_allowed(rules, facts)


def _judge_allowed(rules: GrammarRules, facts: Facts) -> Verdict:
    found = rules.rules.find(facts, certain=True)
    if found is None:
        return _refuse_unmatched(facts.parsed, _show_command(facts.parsed), rules.reason)
    return _allow(facts.parsed, *found)


def _judge_permitted(rules: GrammarRules, permitted: AllowList, parsed: Parsed) -> Verdict:
    if permitted.find_command(parsed.command) is None:
        return _refuse_command(rules, parsed)
    flag = permitted.find_refused(rules.table, parsed)
    if flag is None:
        detail = f"allow.commands lists {quote(' '.join(parsed.command))} and each of its flags"
        return Verdict(reading=parsed, allowed=True, detail=detail)
    return _refuse(
        parsed,
        _show_with(parsed, _show_flag(flag)),
        rule=flag.name,
        reason=_find_reason(rules, parsed.command, flag) or rules.reason,
        why="its module does not list that flag there",
    )


def _refuse_command(rules: GrammarRules, parsed: Parsed) -> Verdict:
    command = parsed.command
    if not parsed.knows_command:  # what is behind an unknown word may be of the subcommand too
        command += parsed.rest[: rules.table.depth - len(command)]
    return _refuse(
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
    return _refuse(parsed, shown, rule=UNKNOWN_FLAG, reason=reason, why=why)


def _refuse_malformed(parsed: Parsed, malformed: Malformed) -> Verdict:
    why = f"it is not {malformed.expected}"
    shown = " ".join(filter(None, (malformed.by, quote(malformed.piece.text))))
    return _refuse(parsed, _show_with(parsed, shown), rule=MALFORMED, reason=why, why=why)


def _refuse_excess(parsed: Parsed, piece: Piece) -> Verdict:
    why = f"more than {MOST_LETTERS:,} flags stand behind the dashes of others"
    shown = _show_with(parsed, quote(piece.text))
    return _refuse(parsed, shown, rule=TOO_MANY_FLAGS, reason=why, why=why)


def _refuse_matched(
    reading: PlainReading | Parsed,
    rule: Rule[Read],
    texts: tuple[str, ...],
    *,
    owner: str = "its module",
) -> Verdict:
    shown = f"with {', '.join(map(quote, texts))}"
    why = f"{owner} has the rule {quote(rule.text)}"
    return _refuse(reading, shown, rule=rule.text, reason=rule.reason, why=why)


def _refuse_unmatched(reading: PlainReading | Parsed, shown: str, reason: str | None) -> Verdict:
    return _refuse(reading, shown, rule=None, reason=reason, why="no rule of its module allows it")


def _refuse(
    reading: PlainReading | Parsed, shown: str, *, rule: str | None, reason: str | None, why: str
) -> Verdict:
    return Verdict(
        reading=reading,
        allowed=False,
        rule=rule,
        reason=reason,
        problem=f"{shown} is refused: {reason or why}",
        detail=f"{shown}: {why}",
    )


def _allow(reading: PlainReading | Parsed, rule: Rule[Read], texts: tuple[str, ...]) -> Verdict:
    detail = f"allow {quote(rule.text)} matches {', '.join(map(quote, texts))}"
    return Verdict(reading=reading, allowed=True, rule=rule.text, reason=rule.reason, detail=detail)


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


def _show_arguments(reading: PlainReading) -> str:
    if not reading.arguments:
        return "without arguments"
    more = " ..." if len(reading.arguments) > 3 else ""
    return "with " + " ".join(quote(each.raw) for each in reading.arguments[:3]) + more


_URL, _REF = "ssh://host/path", "refs/heads/main"
_ASKED = (("fetch", _URL), ("push", _URL, _REF), ("push", "--delete", _URL, _REF))


def list_unseen(rules: PlainRules | GrammarRules) -> tuple[str, ...]:
    """Return those of the rules that refuse which match nothing that a remote can be asked for.

    They are the module's and the profile's; a list of what alone is allowed is left out.
    """
    if isinstance(rules, PlainRules):
        readings = [read_plain(args) for args in _ASKED]
        own = rules.rules.rules if rules.mode == "deny" else ()
        return tuple(_list((*own, *rules.narrowing.rules), readings))
    facts = [Facts.of(parse(rules.table, args)) for args in _ASKED]
    refusing = rules.rules.rules if rules.mode == "deny" else rules.exceptions.rules
    return tuple(_list((*refusing, *rules.narrowing.rules), facts))


def _list(rules: Iterable[Rule[Read]], asked: Iterable[Read]) -> Iterable[str]:
    readings = tuple(asked)
    for rule in rules:
        if not any(all(_may_match(part, each) for part in rule.parts) for each in readings):
            yield rule.text


def _may_match(part: Part[Read], asked: Read) -> bool:
    """Whether a part matches a request like this one, for some place and ref."""
    if isinstance(part, WordPart):
        return True
    if isinstance(part, TextPart) and ("://" in part.text or part.text.startswith("refs/")):
        return True
    return part.find(asked, certain=False) is not None
