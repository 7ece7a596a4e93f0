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
