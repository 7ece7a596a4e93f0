"""The forms that a tool's option table may prescribe for a word or for the value of a flag.

They are for tools that make something else of a name: docker's client joins ids into the path of a
request, where `../swarm` leads elsewhere. Each form says what a text may be, so that everything
else is refused, in whatever spelling: dots, slashes, percent signs, question marks, hashes.
"""

import re
from collections.abc import Sequence

from msgspec import Struct

from airlock_modules.reading.notation import FormName
from airlock_modules.reading.parsed import Flag, Malformed, Piece

LONGEST = 4096
"""The characters of the longest text that has a form (PATH_MAX)."""

_ID = r"[A-Za-z0-9][A-Za-z0-9_.-]*+"
# https://pkg.go.dev/github.com/distribution/reference: name, tag and digest.
_LABEL = r"[A-Za-z0-9]++(?:-++[A-Za-z0-9]++)*+"
_REGISTRY = rf"(?:{_LABEL}(?:\.{_LABEL})*+|\[[0-9a-fA-F:]++\])(?::[0-9]++)?"
_PART = r"[a-z0-9]++(?:(?:\.|__?|-++)[a-z0-9]++)*+"
_ALGORITHM = r"[A-Za-z][A-Za-z0-9]*+(?:[-_+.][A-Za-z][A-Za-z0-9]*+)*+"
_IMAGE = (
    rf"(?:{_REGISTRY}/)?{_PART}(?:/{_PART})*+"
    rf"(?::[A-Za-z0-9_][A-Za-z0-9_.-]*+)?(?:@{_ALGORITHM}:[0-9a-fA-F]++)?"
)
_SETTING = r"(?:alias|ip6?|link-local-ip|mac-address)=[A-Za-z0-9_.:-]+"
_NETWORK = rf"{_ID}|(?:(?:name={_ID}|{_SETTING})(?:,|\Z))+(?<!,)"
# A path of the client's, or of a container: docker takes for the first what begins with / or a dot
# and what has no colon.
_COPY = rf"[/.].*+|[^:]*+|{_ID}:.*+"


class Form(Struct, frozen=True):
    """What a text may be, and how a message calls it."""

    expression: re.Pattern[str]
    description: str

    def covers(self, text: str) -> bool:
        """Whether `text` has this form."""
        return len(text) <= LONGEST and self.expression.fullmatch(text) is not None


def _form(expression: str, description: str) -> Form:
    return Form(re.compile(expression, re.DOTALL), description)


FORMS: dict[FormName, Form] = {
    "ID": _form(_ID, "a name or an id, of letters, digits and _ . -"),
    "IMAGE": _form(_IMAGE, "the name or id of an image"),
    "OBJECT": _form(rf"{_ID}|{_IMAGE}", "a name, an id or the name of an image"),
    "NETWORK": _form(_NETWORK, "a network, or name=NETWORK with aliases and addresses"),
    "COPY": _form(_COPY, "a path, or CONTAINER:PATH"),
    "SCALE": _form(rf"{_ID}=[0-9]+", "SERVICE=NUMBER"),
    "VALUE": _form(".*+", "a text"),
}


def find_malformed(
    forms: Sequence[FormName], *, words: Sequence[Piece], flags: Sequence[Flag]
) -> tuple[Malformed, ...]:
    """Return the words and values that do not have the form that they must have.

    `forms` are those of the words, one each; the last is for all words behind it as well. A flag
    that may be several has the forms of each of them.
    """
    found = []
    for number, word in enumerate(words if forms else ()):
        form = forms[min(number, len(forms) - 1)]
        if not FORMS[form].covers(word.text):
            found.append(Malformed(word, FORMS[form].description))
    for flag in flags:
        for name in dict.fromkeys(spec.form for spec in flag.specs if spec.form is not None):
            found += [
                Malformed(value, FORMS[name].description, flag.name)
                for value in flag.values
                if not FORMS[name].covers(value.text)
            ]
    return tuple(found)
