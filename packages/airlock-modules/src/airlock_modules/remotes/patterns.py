"""Patterns for paths, refs and push options: `*` crosses neither `/` nor `%`, `**` crosses `/`.

No star matches a control character; in a push option none matches `;` either, which begins another
option for some servers. What `protect` guards is matched more widely.

A person writes them, but what they are matched against comes from a client, so that nothing here
may backtrack without bound. A `**` is whole parts up to a `/`, and a `*`. The leftmost match of
what stands between two stars is always good enough: what another one would leave out is in one
part, which the next star takes. So each is an atomic group of `re`, and so is all up to the next
`**`. Work is at most the length of the pattern times that of the text.
"""

import re
import unicodedata

# The control characters of ASCII and Latin 1, and the separators of lines and paragraphs.
_CONTROLS = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
_PLAIN = re.compile(rf"[^{_CONTROLS} ?\[\]{{}}\\]+")
_STARS = re.compile(r"(\*+)")
# In a ref, `%` begins options of some servers (refs/for/main%submit).
_NOT_CROSSED = f"[^/%{_CONTROLS}]"
_NOT_CROSSED_IN_AN_OPTION = f"[^/%;{_CONTROLS}]"
_NOT_CROSSED_WHERE_PROTECTED = "[^/]"
# What file systems that fold names leave out, of that which can be printed: the code points of the
# property Default_Ignorable_Code_Point (Unicode, UAX #44).
_IGNORED = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


def is_pattern(text: str) -> bool:
    """Whether `text` has no blanks, no backslash, no three stars in a row, and none of ? [ ] { }.

    Those mean something in other patterns, and nothing in these.
    """
    return bool(_PLAIN.fullmatch(text)) and "***" not in text


def compile_pattern(text: str) -> "re.Pattern[str]":
    """The regular expression, to be matched with `fullmatch`, of a text that `is_pattern`."""
    return re.compile(_translate(_STARS.split(text), _NOT_CROSSED))


def compile_option(text: str) -> "re.Pattern[str]":
    """As `compile_pattern`, for an option of a push: no star matches `;`."""
    return re.compile(_translate(_STARS.split(text), _NOT_CROSSED_IN_AN_OPTION))


def compile_protection(text: str) -> "re.Pattern[str]":
    """As `compile_pattern`, for each that `fold` makes of a name; stars cross `%` too."""
    pieces = _STARS.split(text)
    # A character that is folded to a star is none.
    forms = zip(*(_fold_twice(piece) for piece in pieces), strict=True)
    ways = (_translate(form, _NOT_CROSSED_WHERE_PROTECTED) for form in forms)
    return re.compile("|".join(dict.fromkeys(ways)))


def fold(text: str) -> tuple[str, ...]:
    """What all names have in common that a file system may take for one.

    It may fold case and composition (APFS, ext4), or width and ligatures beside (ZFS), and leave
    out what nobody sees.
    """
    return tuple(dict.fromkeys(_fold_twice(text)))


def _fold_twice(text: str) -> tuple[str, str]:
    if text.isascii():
        return text.lower(), text.lower()
    return _fold(text), _fold(unicodedata.normalize("NFKD", text))


def _fold(text: str) -> str:
    folded = unicodedata.normalize("NFD", text).casefold()
    return unicodedata.normalize("NFC", _IGNORED.sub("", folded))


def _translate(pieces: list[str] | tuple[str, ...], any_of: str) -> str:
    """The regular expression of texts with stars between them, which stand for `any_of`."""
    first, *rest = pieces
    # Of each ** a list: what stands behind it up to the next one.
    head, *others = _group(rest, any_of)
    expression = re.escape(first) + "".join(head)
    for number, other in enumerate(others, start=1):
        found = f"(?:{any_of}*+/)*?{''.join(other)}"
        expression += found if number == len(others) else f"(?>{found})"
    return expression


def _group(rest: list[str], any_of: str) -> list[list[str]]:
    groups: list[list[str]] = [[]]
    for at in range(0, len(rest), 2):
        stars, text = rest[at : at + 2]
        if stars == "**":
            groups.append([])
        # The last text stands at the end.
        is_last = at + 2 == len(rest)
        found = f"{any_of}*{re.escape(text)}" if is_last else f"(?>{any_of}*?{re.escape(text)})"
        groups[-1].append(found)
    return groups
