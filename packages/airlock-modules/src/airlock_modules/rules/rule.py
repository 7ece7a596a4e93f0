"""Rules: their syntax, glob patterns, and finding the first rule whose parts all match.

In a glob `*` matches any run of characters, including `/`, `?` one, `[a-z]` one of a set, `[!a-z]`
or `[^a-z]` one outside it, `{a,b}` either pattern (braces nest). A backslash makes the next
character literal. In a pattern that permits, wildcards match no text with a control character. In
modules with a `[syntax]` a pattern that begins with `(#i)` ignores the case of a to z.

Patterns come from a person, but the texts come from a client that may be hostile and send
megabytes, so matching must not backtrack without bound. Braces are expanded when the pattern is
parsed, which leaves only `*` to choose. The pieces between stars have a fixed length and the
leftmost match of each always suffices, so each is an atomic group of `re`. The work is at most the
length of the expanded pattern times that of the text.

Parts differ with how the arguments were parsed: with an option table (`grammar_rules`), or by form,
as in v0.4. By form, a part is a word (`credential`, `--exec`), or a flag with a pattern for its
value (`--network=host`, `-v=/*:*`).
"""

import re
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from msgspec import Struct, field
from msgspec.structs import force_setattr

from airlock_modules.reading.parsed import PlainReading
from airlock_wire.text import quote

IGNORE_CASE = "(#i)"
"""Prefix of a pattern that ignores case, as in zsh."""
MAX_ALTERNATIVES = 256
"""Maximum number of patterns that one glob's braces may expand to."""
MAX_DEPTH = 8
"""Maximum nesting depth of braces."""
# ASCII and Latin 1 controls, and the line and paragraph separators.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class RuleError(ValueError):
    """An invalid rule or pattern; the text says why."""


class Glob(Struct, frozen=True):
    """A parsed pattern. `literal` is the only text that it matches, None if it has wildcards."""

    text: str
    expression: re.Pattern[str]
    literal: str | None

    def matches(self, text: str) -> bool:
        """Return whether the pattern matches the whole of `text`."""
        if self.literal is not None:
            return text == self.literal
        return self.expression.fullmatch(text) is not None

    def permits(self, text: str) -> bool:
        """As `matches`, for a pattern that permits: no wildcard matches a control character."""
        return self.matches(text) and self.spells_out(text)

    def spells_out(self, text: str) -> bool:
        """Whether `text` has no control character, or is this pattern's `literal`."""
        return text == self.literal or not _CONTROL.search(text)


class _Token(Struct, frozen=True):
    """One element of a pattern; `character` is the only character it matches, if there is one."""

    expression: str
    character: str | None = None


_STAR = _Token("")
_Tokens = tuple[_Token, ...]


def parse_pattern(text: str) -> Glob:
    """Parse a glob that may begin with `IGNORE_CASE`. Raises `RuleError` as `parse_glob` does."""
    glob = parse_glob(text.removeprefix(IGNORE_CASE))
    if not text.startswith(IGNORE_CASE):
        return glob
    flags = re.DOTALL | re.IGNORECASE | re.ASCII
    return Glob(text, re.compile(glob.expression.pattern, flags), None)


def parse_glob(text: str) -> Glob:
    """Parse a case-sensitive glob.

    Raises `RuleError`, which quotes it, for an unclosed set or brace, a backwards range, a final
    backslash, or braces past `MAX_ALTERNATIVES` or `MAX_DEPTH`. An unmatched `}` is literal.
    """
    try:
        alternatives, _ = _parse_sequence(text, 0, depth=0)
    except RuleError as error:
        raise RuleError(f"the pattern {quote(text)} is invalid: {error}") from None
    characters = [token.character for token in alternatives[0]]
    known = [character for character in characters if character is not None]
    is_literal = len(alternatives) == 1 and len(known) == len(characters)
    expression = re.compile("|".join(map(_translate, alternatives)), re.DOTALL)
    return Glob(text, expression, "".join(known) if is_literal else None)


def _parse_sequence(text: str, start: int, *, depth: int) -> tuple[list[_Tokens], int]:
    """Parse up to the end or, inside braces, up to their next `,` or `}`."""
    done: list[_Tokens] = [()]
    at = start
    while at < len(text):
        char = text[at]
        if char in ",}" and depth:
            break
        if char == "{":
            choices, at = _parse_braces(text, at, depth=depth + 1)
            if len(done) * len(choices) > MAX_ALTERNATIVES:
                raise RuleError(f"its braces make more than {MAX_ALTERNATIVES} patterns")
            done = [head + tail for head in done for tail in choices]
            continue
        token, at = _parse_token(text, at)
        done = [(*head, token) for head in done]
    return done, at


def _parse_braces(text: str, start: int, *, depth: int) -> tuple[list[_Tokens], int]:
    if depth > MAX_DEPTH:
        raise RuleError(f"more than {MAX_DEPTH} braces are open at character {start + 1}")
    choices: list[_Tokens] = []
    at = start
    while at < len(text) and text[at] != "}":
        found, at = _parse_sequence(text, at + 1, depth=depth)
        choices += found
    if at >= len(text):
        raise RuleError(f"the {{ at character {start + 1} is not closed")
    return choices, at + 1


def _parse_token(text: str, at: int) -> tuple[_Token, int]:
    match text[at]:
        case "*":
            return _STAR, at + 1
        case "?":
            return _Token("."), at + 1
        case "[":
            return _parse_set(text, at)
        case "\\":
            if at + 1 == len(text):
                raise RuleError("it ends with a backslash, which needs a character after it")
            return _Token(re.escape(text[at + 1]), text[at + 1]), at + 2
        case char:
            return _Token(re.escape(char), char), at + 1


def _parse_set(text: str, start: int) -> tuple[_Token, int]:
    at = start + 1
    negated = text[at : at + 1] in ("!", "^")
    at += negated
    first = at
    ranges = ""
    # A ] directly after the opening is literal, as in every shell.
    while at < len(text) and (text[at] != "]" or at == first):
        low, at = _parse_set_member(text, at)
        high = low
        if text[at : at + 1] == "-" and text[at + 1 : at + 2] not in ("", "]"):
            high, at = _parse_set_member(text, at + 1)
        if low > high:
            raise RuleError(f"the range {quote(low)} to {quote(high)} runs backwards")
        ranges += f"{re.escape(low)}-{re.escape(high)}"
    if at >= len(text):
        raise RuleError(f"the [ at character {start + 1} is not closed")
    return _Token(f"[{'^' if negated else ''}{ranges}]"), at + 1


def _parse_set_member(text: str, at: int) -> tuple[str, int]:
    at += text[at] == "\\" and at + 1 < len(text)
    return text[at], at + 1


def _translate(tokens: _Tokens) -> str:
    """Return the regular expression of a brace-free token sequence."""
    pieces = [""]
    for token in tokens:
        if token is _STAR:
            pieces.append("")
        else:
            pieces[-1] += token.expression
    head, *middle = pieces
    if not middle:
        return head
    tail = middle.pop()
    return head + "".join(f"(?>.*?{piece})" for piece in middle if piece) + f".*{tail}"


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


class ValuePart(Struct, frozen=True):
    """A part that names a flag and a pattern for its value."""

    text: str
    flag: str
    pattern: Glob

    @property
    def anchors(self) -> tuple[str, ...]:
        """The flag and, if the pattern is literal, the argument `flag=value`."""
        return (self.flag,) if self.pattern.literal is None else (self.flag, self._joined)

    @property
    def _joined(self) -> str:
        return f"{self.flag}={self.pattern.literal}"

    def find(self, reading: PlainReading, *, certain: bool) -> tuple[str, ...] | None:
        """Return the matching arguments, or None.

        The value may be joined to the flag or be the next argument. A pattern without wildcards
        also matches the exact text `flag=pattern` anywhere, even after `--`.
        """
        describes = self.pattern.permits if certain else self.pattern.matches
        for number in reading.flags.get(self.flag, ()):
            flag, *behind = reading.arguments[number : number + 2]
            if flag.value is not None:
                if describes(flag.value):
                    return (flag.raw,)
            elif behind and behind[0].raw != "--" and describes(behind[0].raw):
                return (flag.raw, behind[0].raw)
        if self.pattern.literal is not None and self._joined in reading.raw:
            return (self._joined,)
        return None


def parse_plain_rule(text: str, reason: str | None = None) -> PlainRule:
    """Parse one rule. Raises `RuleError` for an empty part or an invalid pattern."""
    return Rule(text, parse_parts(text, _parse_part), reason)


def _parse_part(text: str) -> Part[PlainReading]:
    if not text.startswith("-") or "=" not in text:
        return TextPart(text)
    flag, _, pattern = text.partition("=")
    return ValuePart(text, flag, parse_glob(pattern))
