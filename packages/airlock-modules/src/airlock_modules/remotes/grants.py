"""The grants `[git]` and `[ssh]`: where an agent may fetch, push and log in, and which refs.

In a pattern for paths, refs and push options `*` crosses neither `/` nor `%`, `**` crosses `/`. No
star matches a control character or, in a push option, `;`, which begins another option on some
servers. `protect` matches more widely.

Patterns come from a person, but the texts come from a client, so matching must not backtrack
without bound. A `**` matches whole segments up to a `/`, then as `*`. The leftmost match of the
text between two stars always suffices: whatever a later match would skip is in one segment, which
the next star matches. So each is an atomic group of `re`, and so is everything up to the next `**`.
The work is at most the length of the pattern times that of the text.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct, field

from airlock_modules.remotes.destination import (
    DEFAULT_PORTS,
    Destination,
    Login,
    RemoteError,
    Scheme,
    read_host,
    read_port,
    read_user,
)
from airlock_wire.text import quote

if TYPE_CHECKING:
    from airlock_modules.remotes.hosts import HostLine

# ASCII and Latin 1 controls, and the line and paragraph separators.
_CONTROLS = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
_PLAIN = re.compile(rf"[^{_CONTROLS} ?\[\]{{}}\\]+")
_STARS = re.compile(r"(\*+)")
# In a ref, `%` begins options on some servers (refs/for/main%submit).
_NOT_CROSSED = f"[^/%{_CONTROLS}]"
_NOT_CROSSED_IN_AN_OPTION = f"[^/%;{_CONTROLS}]"
_NOT_CROSSED_WHERE_PROTECTED = "[^/]"
# Printable characters that name-folding file systems ignore: code points with the property
# Default_Ignorable_Code_Point (Unicode, UAX #44).
_IGNORED = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


def is_pattern(text: str) -> bool:
    """Whether `text` has no blank, backslash, `***`, or any of ? [ ] { }.

    Those are special in other pattern languages, but not here.
    """
    return bool(_PLAIN.fullmatch(text)) and "***" not in text


def compile_pattern(text: str) -> "re.Pattern[str]":
    """Return the regular expression, for `fullmatch`, of a text that `is_pattern`."""
    return re.compile(_translate(_STARS.split(text), _NOT_CROSSED))


def compile_option(text: str) -> "re.Pattern[str]":
    """As `compile_pattern`, for a push option: no star matches `;`."""
    return re.compile(_translate(_STARS.split(text), _NOT_CROSSED_IN_AN_OPTION))


def compile_protection(text: str) -> "re.Pattern[str]":
    """As `compile_pattern`, to match any form that `fold` returns; stars also cross `%`."""
    pieces = _STARS.split(text)
    # A character that folds to a star is not a wildcard.
    forms = zip(*(_fold_twice(piece) for piece in pieces), strict=True)
    ways = (_translate(form, _NOT_CROSSED_WHERE_PROTECTED) for form in forms)
    return re.compile("|".join(dict.fromkeys(ways)))


def fold(text: str) -> tuple[str, ...]:
    """Return canonical forms, equal for names that a file system may treat as the same.

    It may fold case and composition (APFS, ext4), also width and ligatures (ZFS), and ignore
    invisible characters.
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
    """Return the regular expression of texts separated by stars, which match `any_of`."""
    first, *rest = pieces
    # One list per **: the expressions after it, up to the next one.
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
        # The last text must match at the end.
        is_last = at + 2 == len(rest)
        found = f"{any_of}*{re.escape(text)}" if is_last else f"(?>{any_of}*?{re.escape(text)})"
        groups[-1].append(found)
    return groups


def compile_host(text: str) -> "re.Pattern[str]":
    """Return the regular expression, for `fullmatch`, of a host name, address or pattern.

    Raises RemoteError for an invalid host.
    """
    if "*" not in text:
        return compile_pattern(read_host(text))
    read_host(text.replace("*", "x"))
    return compile_pattern(text.lower())


DEFAULT_REFS = ("refs/heads/agent/**",)
"""The refs that a push may update if a profile has no `[git] refs`."""

_SCHEMES: dict[str | None, Scheme] = {"ssh": "ssh", "https": "https", "http": "http"}
_EITHER: tuple[Scheme, ...] = ("ssh", "https")
_DESTINATION = re.compile(
    r"(?:(?P<scheme>ssh|https|http)://)?(?:(?P<user>[^@/]*)@)?"
    r"(?P<host>\[[^\]/]*\]|[^:/\[\]]+)(?::(?P<port>[^/]+))?/(?P<path>.+)"
)


class Place(Struct, frozen=True, kw_only=True):
    """Repositories named by a grant line: `[scheme://][user@]host[:port]/path`.

    `text` is the line. A scheme of None is ssh or https, a user of None any. `is_literal` means
    that the host has no wildcard, so that its addresses may be private.
    """

    text: str
    scheme: Scheme | None
    user: str | None
    host: "re.Pattern[str]"
    port: int | None
    path: "re.Pattern[str]"
    is_literal: bool

    def covers(self, destination: Destination) -> bool:
        """Whether the line grants `destination`."""
        return (
            destination.scheme in ((self.scheme,) if self.scheme else _EITHER)
            and self.user in (None, destination.user)
            and self.port == destination.port
            and self.host.fullmatch(destination.host) is not None
            and self.path.fullmatch(destination.name) is not None
        )

    def may_be_at(self, login: Login) -> bool:
        """Whether a granted repository may be reachable by ssh as `login`.

        A user or port of None, of the line or of `login`, may be any.
        """
        return (
            self.scheme in (None, "ssh")
            and (None in (self.user, login.user) or self.user == login.user)
            and (None in (self.port, login.port) or self.port == login.port)
            and self.host.fullmatch(login.host) is not None
        )


class RefPattern(Struct, frozen=True):
    """A pattern of `refs`: its text in the profile, and its expression."""

    text: str
    expression: "re.Pattern[str]"

    @classmethod
    def of(cls, text: str) -> "RefPattern":
        """Compile a text that `is_pattern`."""
        return cls(text, compile_pattern(text))


def covers_ref(patterns: Iterable[str], ref: str) -> bool:
    """Whether one of the texts of `refs` matches a ref; an invalid pattern matches none."""
    return any(
        is_pattern(text) and compile_pattern(text).fullmatch(ref) is not None for text in patterns
    )


def default_refs() -> tuple[RefPattern, ...]:
    """Return DEFAULT_REFS as patterns."""
    return tuple(map(RefPattern.of, DEFAULT_REFS))


class GitGrant(Struct, frozen=True, kw_only=True):
    """`[git]` of one agent. Without `is_pinned` it names none, and any repository may be requested.

    `refs` are the refs that a push may create or update; `names_refs` means that the profile lists
    them instead of DEFAULT_REFS. A ref is never updated if `protect` matches a folded form of its
    name (`fold`).
    """

    push: tuple[Place, ...] = ()
    fetch: tuple[Place, ...] = ()
    is_pinned: bool = False
    refs: tuple[RefPattern, ...] = field(default_factory=default_refs)
    names_refs: bool = False
    protect: "tuple[re.Pattern[str], ...]" = ()
    delete: bool = False
    push_options: "tuple[re.Pattern[str], ...]" = ()


def read_place(text: str) -> Place:
    """Parse one line of `push` or `fetch`. Raises RemoteError."""
    found = _DESTINATION.fullmatch(text)
    if found is None:
        raise RemoteError(
            f"{quote(text, limit=80)} is not written as [user@]host/path", rule="place"
        )
    host, port, path = found["host"], found["port"], found["path"].strip("/").removesuffix(".git")
    scheme = _SCHEMES.get(found["scheme"]) or _scheme_of(port)
    if not is_pattern(path):
        raise RemoteError(f"{quote(path, limit=80)} is no pattern: only * and ** are", rule="place")
    return Place(
        text=text,
        scheme=scheme,
        user=None if found["user"] is None else read_user(found["user"]),
        host=compile_host(host),
        port=None if port is None else read_port(port, scheme or "ssh"),
        path=compile_pattern(path),
        is_literal="*" not in host,
    )


def find_place(places: Sequence[Place], destination: Destination) -> Place | None:
    """Return the line that grants `destination`, preferably one that names its host, or None."""
    found = [place for place in places if place.covers(destination)]
    return next((place for place in found if place.is_literal), next(iter(found), None))


def _scheme_of(port: str | None) -> Scheme | None:
    """Return the scheme whose default port `port` is, or None."""
    return next((scheme for scheme in _EITHER if port == str(DEFAULT_PORTS[scheme])), None)


class SshGrant(Struct, frozen=True, kw_only=True):
    """`[ssh]` of one agent. Without `is_pinned` it names no hosts, and any may be requested."""

    hosts: "tuple[HostLine, ...]" = ()
    is_pinned: bool = False
