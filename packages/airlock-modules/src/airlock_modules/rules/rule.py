"""Rules: their syntax, finding the first whose parts all match, and judging a request by them.

Parts differ with how the arguments were parsed: with an option table (`grammar_rules`), or by form,
as in v0.4. By form, a part is a word (`credential`, `--exec`), or a flag with a pattern for its
value (`--network=host`, `-v=/*:*`; see `glob`).
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar

from msgspec import Struct, field
from msgspec.structs import force_setattr, replace

from airlock_modules.reading.parsed import PlainReading, read_plain
from airlock_wire.text import quote

if TYPE_CHECKING:
    from airlock_modules.reading.parsed import Parsed


class RuleError(ValueError):
    """An invalid rule or pattern; the text says why."""


SEPARATOR = " & "
"""Joins the parts of a rule, all of which must match, in any order."""


class Reading(Protocol):
    """Parsed arguments, as rules need them."""

    @property
    def keys(self) -> frozenset[str]:
        """The names and words that select the rules to try."""


Read = TypeVar("Read", bound=Reading)
Read_contra = TypeVar("Read_contra", bound=Reading, contravariant=True)


class Part(Protocol[Read_contra]):
    """One part of a rule."""

    @property
    def text(self) -> str:
        """The part as written."""

    @property
    def anchors(self) -> tuple[str, ...]:
        """Keys of which this part needs at least one to match; () if it has no such keys."""

    def find(self, reading: Read_contra, *, certain: bool) -> tuple[str, ...] | None:
        """Return the texts of the matching arguments, or None.

        A possible interpretation suffices, unless `certain`.
        """


class Rule(Struct, Generic[Read], frozen=True):
    """One rule: its text as written in the module, its parts, and its reason, if given.

    `reason` is one line that completes "... is refused: ".
    """

    text: str
    parts: tuple[Part[Read], ...]
    reason: str | None = None

    def find(self, reading: Read, *, certain: bool = False) -> tuple[str, ...] | None:
        """Return the texts of the matching arguments, or None if the rule does not match."""
        found: tuple[str, ...] = ()
        for part in self.parts:
            texts = part.find(reading, certain=certain)
            if texts is None:
                return None
            found += texts
        return found


class RuleList(Struct, Generic[Read], frozen=True):
    """Rules, with an index of those to try for given arguments.

    `index` and `always` are computed from `rules`; values passed for them are ignored.
    """

    rules: tuple[Rule[Read], ...] = ()
    index: dict[str, list[int]] = field(default_factory=dict)
    always: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Build the index. One that did not fit its rules would let requests pass."""
        index: dict[str, list[int]] = {}
        always = []
        for number, rule in enumerate(self.rules):
            anchors = next((part.anchors for part in rule.parts if part.anchors), ())
            for anchor in anchors:
                index.setdefault(anchor, []).append(number)
            if not anchors:
                always.append(number)
        force_setattr(self, "index", index)
        force_setattr(self, "always", tuple(always))

    def find(
        self, reading: Read, *, certain: bool = False
    ) -> tuple[Rule[Read], tuple[str, ...]] | None:
        """Return the first matching rule and the texts that it matched, or None."""
        if not self.rules:
            return None
        numbers = set(self.always)
        if self.index:
            for key in self.index.keys() & reading.keys:
                numbers.update(self.index[key])
        for number in sorted(numbers):
            texts = self.rules[number].find(reading, certain=certain)
            if texts is not None:
                return self.rules[number], texts
        return None


def parse_parts(text: str, parse_part: Callable[[str], Part[Read]]) -> tuple[Part[Read], ...]:
    """Parse the parts of a rule. Raises `RuleError` for an empty or invalid part."""
    parts = text.split(SEPARATOR)
    if not all(parts):
        raise RuleError("a rule, and each part of one, must have text")
    return tuple(map(parse_part, parts))


PlainRule = Rule[PlainReading]


class TextPart(Struct, frozen=True):
    """A part that names a subcommand, another positional, or a flag with any value."""

    text: str

    @property
    def anchors(self) -> tuple[str, ...]:
        """The text itself: an argument, or a flag."""
        return (self.text,)

    def find(self, reading: PlainReading, *, certain: bool) -> tuple[str, ...] | None:
        """Return the matching argument, or None.

        A text that starts with `-` matches an equal argument anywhere, even after `--`, or that
        flag. Any other text matches an equal positional.
        """
        del certain
        if not self.text.startswith("-"):
            return (self.text,) if self.text in reading.positionals else None
        if self.text in reading.raw:
            return (self.text,)
        numbers = reading.flags.get(self.text)
        return (reading.arguments[numbers[0]].raw,) if numbers else None


def parse_plain_rule(text: str, reason: str | None = None) -> PlainRule:
    """Parse one rule. Raises `RuleError` for an empty part or an invalid pattern."""
    return Rule(text, parse_parts(text, _parse_part), reason)


def _parse_part(text: str) -> Part[PlainReading]:
    if not text.startswith("-") or "=" not in text:
        return TextPart(text)
    from airlock_modules.rules.glob import ValuePart, parse_glob  # noqa: PLC0415 - few rules have one

    flag, _, pattern = text.partition("=")
    return ValuePart(text, flag, parse_glob(pattern))


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

    def judge(self, args: Sequence[str]) -> "Verdict":
        """Parse and judge the arguments of a request. Raises nothing."""
        reading = read_plain(args)
        found = self.rules.find(reading, certain=self.mode == "allow")
        if found is not None:
            verdict = (allow if self.mode == "allow" else refuse_matched)(reading, *found)
        elif self.mode == "deny":
            verdict = Verdict(reading=reading, allowed=True, detail="no deny rule matches")
        else:
            verdict = refuse_unmatched(reading, _show_arguments(reading), self.reason)
        return narrow(verdict, self.narrowing, reading)


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


def narrow(verdict: Verdict, narrowing: RuleList[Read], asked: Read) -> Verdict:
    """Apply the profile's rules to a request, if the module allows it."""
    if not verdict.allowed or not narrowing.rules:
        return verdict
    found = narrowing.find(asked)
    if found is None:
        return verdict
    refusal = refuse_matched(verdict.reading, *found, owner="the profile of this agent")
    return replace(refusal, is_narrowing=True)


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
