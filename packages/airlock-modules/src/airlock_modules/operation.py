"""An operation: what a broker is asked to do or a box runs, as a value with a one-line form.

Policy, approvals, hooks, the audit log, `log tail` and `airlock test` all show the same line. A
word is plain or in double quotes, so the line parses back. For example:

    git push github.com/acme/app refs/heads/agent/x 1111111..2222222
    gh POST /repos/acme/app/pulls
    ssh deploy@build.example.com "systemctl status app"
    run terraform apply plan.out
"""

import re
from collections.abc import Sequence

import msgspec

from airlock_wire.text import quote

MAX_WORD = 100
"""Maximum characters shown per word."""
LINE = 400
"""Maximum characters per line."""

_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./~^-]+")
# Stars are plain in a pattern.
_WORD = re.compile(
    r'(?P<plain>[A-Za-z0-9_@%+=:,./~^*-]+)|"(?P<quoted>(?:[^"\\]|\\(?:[nrt"\\]|x[0-9a-f]{2}'
    r"|u\{[0-9a-f]{1,5}\}|u\{10[0-9a-f]{4}\}))*)\"(?!\.)"
)
_ESCAPE = re.compile(r'\\(?:(?P<short>[nrt"\\])|x(?P<byte>[0-9a-f]{2})|u\{(?P<code>[0-9a-f]+)\})')
_SHORT = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}


class UnknownWord(str):
    """A word that was not read, and so may be any."""

    __slots__ = ()


class Operation(msgspec.Struct, frozen=True):
    """A requested operation as words: the service, its verb, then the verb's objects.

    The words are as the client sent them, or derived from that. Operations with equal words are
    equal.
    """

    words: tuple[str, ...]

    @property
    def line(self) -> str:
        """The operation on one printable line of bounded length."""
        return join_words([spell_word(word) for word in self.words])

    @property
    def whole(self) -> str:
        """As `line`, with nothing left out; `parse_operation` reads it."""
        return " ".join(
            word if _PLAIN.fullmatch(word) else quote(word, limit=None) for word in self.words
        )


def parse_operation(line: str) -> Operation:
    """Read the line of an operation. Raises ValueError, also for one that was truncated."""
    words: list[str] = []
    at = 0
    while True:
        found = _WORD.match(line, at)
        if found is None:
            raise ValueError("it has a word that is neither plain nor in double quotes")
        plain = found["plain"]
        words.append(plain if plain is not None else _ESCAPE.sub(_unescape, found["quoted"]))
        at = found.end()
        if at == len(line):
            return Operation(tuple(words))
        if line[at] != " ":
            raise ValueError("it has something between two words that is no blank")
        at += 1


def _unescape(found: "re.Match[str]") -> str:
    if found["byte"]:
        # A byte that was not UTF-8 (PEP 383).
        return chr(0xDC00 + int(found["byte"], 16))
    return chr(int(found["code"], 16)) if found["code"] else _SHORT[found["short"]]


def spell_word(word: str) -> str:
    """Return a word for display: quoted unless plain, truncated to `MAX_WORD` characters."""
    return word if len(word) <= MAX_WORD and _PLAIN.fullmatch(word) else quote(word, limit=MAX_WORD)


def join_words(spelled: Sequence[str]) -> str:
    """Join words of `spell_word`; the line ends with the number of words that did not fit."""
    left = LINE
    for number, word in enumerate(spelled):
        left -= len(word) + 1
        if left < 0:
            return " ".join([*spelled[:number], f"... ({len(spelled) - number} more)"])
    return " ".join(spelled)
