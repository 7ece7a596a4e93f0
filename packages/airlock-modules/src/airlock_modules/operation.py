"""An operation: what a broker is asked to do, or what runs in a box, as one value with one line.

The line is the same wherever a person meets the operation: in the audit log, in `log tail` and in
`airlock test`. For example:

    git push github.com/acme/app refs/heads/agent/x 1111111..2222222
    gh POST /repos/acme/app/pulls
    ssh deploy@build.example.com "systemctl status app"
    run terraform apply plan.out
"""

import re
from collections.abc import Sequence

import msgspec

from airlock_wire.text import quote

WORD = 100
"""Characters of a word that a line shows."""
LINE = 400
"""Characters of a line."""

_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:,./~^-]+")


class Operation(msgspec.Struct, frozen=True):
    """What is asked for, as words: first the service, then its verb and what the verb is about.

    The words are as the client sent them, or as they were read from that. Two operations are the
    same where their words are.
    """

    words: tuple[str, ...]

    @property
    def line(self) -> str:
        """The operation on one line, for people: printable, and of a bounded length."""
        return join_words([spell_word(word) for word in self.words])


def spell_word(word: str) -> str:
    """A word as it stands in a line: quoted unless it is plain, cut where it is long."""
    return word if len(word) <= WORD and _PLAIN.fullmatch(word) else quote(word, limit=WORD)


def join_words(spelled: Sequence[str]) -> str:
    """Words of `spell_word` as a line; those that it has no room for are counted at its end."""
    left = LINE
    for number, word in enumerate(spelled):
        left -= len(word) + 1
        if left < 0:
            return " ".join([*spelled[:number], f"... ({len(spelled) - number} more)"])
    return " ".join(spelled)
