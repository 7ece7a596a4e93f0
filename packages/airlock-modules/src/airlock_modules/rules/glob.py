"""Glob patterns, and the part of a rule that has one for a flag's value.

In a glob `*` matches any run of characters, including `/`, `?` one, `[a-z]` one of a set, `[!a-z]`
or `[^a-z]` one outside it, `{a,b}` either pattern (braces nest). A backslash makes the next
character literal. In a pattern that permits, wildcards match no text with a control character. In
modules with a `[syntax]` a pattern that begins with `(#i)` ignores the case of a to z.

Patterns come from a person, but the texts come from a client that may be hostile and send
megabytes, so matching must not backtrack without bound. Braces are expanded when the pattern is
parsed, which leaves only `*` to choose. The pieces between stars have a fixed length and the
leftmost match of each always suffices, so each is an atomic group of `re`. The work is at most the
length of the expanded pattern times that of the text.
"""

import re

from msgspec import Struct

from airlock_modules.reading.parsed import PlainReading
from airlock_modules.rules.rule import RuleError
from airlock_wire.text import quote

IGNORE_CASE = "(#i)"
"""Prefix of a pattern that ignores case, as in zsh."""
MAX_ALTERNATIVES = 256
"""Maximum number of patterns that one glob's braces may expand to."""
MAX_DEPTH = 8
"""Maximum nesting depth of braces."""
# ASCII and Latin 1 controls, and the line and paragraph separators.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


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
