r"""Glob patterns: `*`, `?`, `[...]` and `{a,b}`, matched against whole strings.

`*` stands for any run of characters, `/` among them, `?` for one, `[a-z]` for one of a set,
`[!a-z]` or `[^a-z]` for one outside it, `{a,b}` for either (each may be a pattern and hold braces
again). A backslash takes its meaning from the character after it. Where a pattern permits
something, a text with a control character matches only the pattern that spells it out. In modules
with a `[syntax]` a pattern that begins with `(#i)` ignores the case of the letters a to z in it.

A person writes the patterns, but what they are matched against comes from a client that may be
hostile and have megabytes to send. So nothing here may backtrack without bound: braces are written
out when the pattern is read, and what remains has only `*` to choose about. The pieces between
stars have a fixed length, and the leftmost match of each is always good enough, which an atomic
group of `re` says. Work is at most the length of the pattern, written out, times that of the text.
"""

import re

from msgspec import Struct

from airlock_modules.errors import RuleError
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
