"""Rules: their text, the patterns in it, and finding the first rule of which all parts match.

In a glob pattern `*` stands for any run of characters, `/` among them, `?` for one, `[a-z]` for one
of a set, `[!a-z]` or `[^a-z]` for one outside it, `{a,b}` for either (each may be a pattern with
braces of its own). A backslash takes its meaning from the character after it. Where a pattern
permits something, a text with a control character matches only the pattern that spells it out. In
modules with a `[syntax]` a pattern that begins with `(#i)` ignores the case of a to z in it.

A person writes the patterns, but what they are matched against comes from a client that may be
hostile and have megabytes to send. So nothing here may backtrack without bound: braces are written
out when the pattern is read, and what remains has only `*` to choose about. The pieces between
stars have a fixed length, and the leftmost match of each is always good enough, which an atomic
group of `re` says. Work is at most the length of the pattern, written out, times that of the text.

What a part is differs with the way in which the arguments were read: with the grammar of the tool
(`grammar_rules`), or by their form alone, as v0.4 reads them. A part is then a word (`credential`,
`--exec`), or a flag with a pattern for its value (`--network=host`, `-v=/*:*`).
"""

import re
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from msgspec import Struct, field
from msgspec.structs import force_setattr

from airlock_modules.reading.option_table import RuleError
from airlock_modules.reading.parsed import PlainReading
from airlock_wire.text import quote

IGNORE_CASE = "(#i)"
"""What a pattern begins with that ignores case, as in zsh."""
MAX_ALTERNATIVES = 256
"""How many patterns the braces of one glob may be written out to."""
MAX_DEPTH = 8
"""How many braces may be open inside each other."""
# Of ASCII and Latin 1, and the separators of lines and paragraphs.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class Glob(Struct, frozen=True):
    """A pattern that was read. `literal` is the one text that it matches, if it has no wildcard."""

    text: str
    expression: re.Pattern[str]
    literal: str | None

    def matches(self, text: str) -> bool:
        """Tell whether the pattern describes the whole of `text`."""
        if self.literal is not None:
            return text == self.literal
        return self.expression.fullmatch(text) is not None

    def permits(self, text: str) -> bool:
        """As `matches`, for a pattern that allows: no wildcard stands for a control character."""
        return self.matches(text) and self.spells_out(text)

    def spells_out(self, text: str) -> bool:
        """Whether `text` has no control character, or is the one text of this pattern."""
        return text == self.literal or not _CONTROL.search(text)


class _Token(Struct, frozen=True):
    """One element of a pattern; `character` is what it stands for where that is only one thing."""

    expression: str
    character: str | None = None


_STAR = _Token("")
_Tokens = tuple[_Token, ...]


def parse_pattern(text: str) -> Glob:
    """Read a pattern that may begin with `IGNORE_CASE`. Raises `RuleError` as `parse_glob` does."""
    glob = parse_glob(text.removeprefix(IGNORE_CASE))
    if not text.startswith(IGNORE_CASE):
        return glob
    flags = re.DOTALL | re.IGNORECASE | re.ASCII
    return Glob(text, re.compile(glob.expression.pattern, flags), None)


def parse_glob(text: str) -> Glob:
    """Read a pattern in which every letter stands for itself alone.

    Raises `RuleError`, which shows it, for a set or brace that is not closed, a range that runs
    backwards, a backslash at the end, or braces past `MAX_ALTERNATIVES` or `MAX_DEPTH`. A `}` that
    closes nothing stands for itself.
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
    """Read until the end, or inside braces until the next `,` or `}` of theirs."""
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
    # A ] directly after the opening stands for itself, as in every shell.
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
    """Return the regular expression of tokens without braces."""
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
"""What joins the parts of a rule, all of which must be there, in any order."""


class Reading(Protocol):
    """What rules are compared with."""

    @property
    def keys(self) -> frozenset[str]:
        """The names and words that are there, by which the rules to look at are found."""


Read = TypeVar("Read", bound=Reading)
Read_contra = TypeVar("Read_contra", bound=Reading, contravariant=True)


class Part(Protocol[Read_contra]):
    """One part of a rule."""

    @property
    def text(self) -> str:
        """The part as it is written."""

    @property
    def anchors(self) -> tuple[str, ...]:
        """The keys of which one must be there for this part to match; () where none can be told."""

    def find(self, reading: Read_contra, *, certain: bool) -> tuple[str, ...] | None:
        """Return the texts of the arguments that match, or None.

        It is enough that the tool could read them so, unless `certain` asks that it must.
        """


class Rule(Struct, Generic[Read], frozen=True):
    """One rule: its text as written in the module, its parts, and why it is there, if that is said.

    `reason` is one line, the end of a sentence that begins "... is refused: ".
    """

    text: str
    parts: tuple[Part[Read], ...]
    reason: str | None = None

    def find(self, reading: Read, *, certain: bool = False) -> tuple[str, ...] | None:
        """Return the texts of the arguments that match, or None where the rule does not."""
        found: tuple[str, ...] = ()
        for part in self.parts:
            texts = part.find(reading, certain=certain)
            if texts is None:
                return None
            found += texts
        return found


class RuleList(Struct, Generic[Read], frozen=True):
    """Rules, and by what must be there which of them to look at.

    `index` and `always` are made from `rules`, whatever is passed for them.
    """

    rules: tuple[Rule[Read], ...] = ()
    index: dict[str, list[int]] = field(default_factory=dict)
    always: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        """Make the index. An index that did not fit its rules would let things pass."""
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
        """Return the first rule that matches and the texts of its arguments, or None."""
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
    """Read the parts of a rule. Raises `RuleError` for one without text, or that is none."""
    parts = text.split(SEPARATOR)
    if not all(parts):
        raise RuleError("a rule, and each part of one, must have text")
    return tuple(map(parse_part, parts))


PlainRule = Rule[PlainReading]


class TextPart(Struct, frozen=True):
    """A part that names a subcommand, another positional, or a flag whatever its value."""

    text: str

    @property
    def anchors(self) -> tuple[str, ...]:
        """The text itself: an argument, or a flag."""
        return (self.text,)

    def find(self, reading: PlainReading, *, certain: bool) -> tuple[str, ...] | None:
        """Return the argument that matches, or None.

        A text that starts with `-` matches the same argument anywhere, after `--` too, or the same
        flag. Another one matches a positional with the same text.
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
        """The flag and, where only one value matches, the argument that joins them."""
        return (self.flag,) if self.pattern.literal is None else (self.flag, self._joined)

    @property
    def _joined(self) -> str:
        return f"{self.flag}={self.pattern.literal}"

    def find(self, reading: PlainReading, *, certain: bool) -> tuple[str, ...] | None:
        """Return the arguments that match, or None.

        The value may be joined to the flag or be the next argument. A pattern without wildcards
        also matches the exact text `flag=pattern` anywhere, after `--` too.
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
    """Read the text of one rule. Raises `RuleError` for an empty part or an invalid pattern."""
    return Rule(text, parse_parts(text, _parse_part), reason)


def _parse_part(text: str) -> Part[PlainReading]:
    if not text.startswith("-") or "=" not in text:
        return TextPart(text)
    flag, _, pattern = text.partition("=")
    return ValuePart(text, flag, parse_glob(pattern))
