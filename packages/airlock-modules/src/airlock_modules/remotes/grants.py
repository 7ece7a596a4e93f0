"""Where an agent may fetch, push and log in, and which refs it may move: `[git]` and `[ssh]`.

In a pattern for paths, refs and push options `*` crosses neither `/` nor `%`, `**` crosses `/`.
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
from collections.abc import Iterable, Sequence

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


def compile_host(text: str) -> "re.Pattern[str]":
    """The regular expression, for `fullmatch`, of a host's name or address, or of one with stars.

    Raises RemoteError for what cannot name a host.
    """
    if "*" not in text:
        return compile_pattern(read_host(text))
    read_host(text.replace("*", "x"))
    return compile_pattern(text.lower())


DEFAULT_REFS = ("refs/heads/agent/**",)
"""What a push may move where a profile has no `[git] refs`."""

_SCHEMES: dict[str | None, Scheme] = {"ssh": "ssh", "https": "https", "http": "http"}
_EITHER: tuple[Scheme, ...] = ("ssh", "https")
_DESTINATION = re.compile(
    r"(?:(?P<scheme>ssh|https|http)://)?(?:(?P<user>[^@/]*)@)?"
    r"(?P<host>\[[^\]/]*\]|[^:/\[\]]+)(?::(?P<port>[^/]+))?/(?P<path>.+)"
)


class Place(Struct, frozen=True, kw_only=True):
    """Repositories that a line of a grant names: `[scheme://][user@]host[:port]/path`.

    `text` is the line. A scheme of None is ssh or https, a user of None any. `is_literal` says that
    the host stands there by its name, so that its addresses may be private ones.
    """

    text: str
    scheme: Scheme | None
    user: str | None
    host: "re.Pattern[str]"
    port: int | None
    path: "re.Pattern[str]"
    is_literal: bool

    def covers(self, destination: Destination) -> bool:
        """Whether `destination` is one of them."""
        return (
            destination.scheme in ((self.scheme,) if self.scheme else _EITHER)
            and self.user in (None, destination.user)
            and self.port == destination.port
            and self.host.fullmatch(destination.host) is not None
            and self.path.fullmatch(destination.name) is not None
        )

    def may_be_at(self, login: Login) -> bool:
        """Whether an ssh that comes as `login` may find one of them there.

        What the login leaves open, ssh's own configuration says.
        """
        return (
            self.scheme in (None, "ssh")
            and (None in (self.user, login.user) or self.user == login.user)
            and (login.port is None or self.port == login.port)
            and self.host.fullmatch(login.host) is not None
        )


class RefPattern(Struct, frozen=True):
    """A pattern of `refs`: its text as the profile has it, and the expression to match."""

    text: str
    expression: "re.Pattern[str]"

    @classmethod
    def of(cls, text: str) -> "RefPattern":
        """Compile a text that is a pattern (`patterns.is_pattern`)."""
        return cls(text, compile_pattern(text))


def covers_ref(patterns: Iterable[str], ref: str) -> bool:
    """Whether one of the texts of `refs` matches a ref; a text that is no pattern matches none."""
    return any(
        is_pattern(text) and compile_pattern(text).fullmatch(ref) is not None for text in patterns
    )


def default_refs() -> tuple[RefPattern, ...]:
    """DEFAULT_REFS as patterns."""
    return tuple(map(RefPattern.of, DEFAULT_REFS))


class GitGrant(Struct, frozen=True, kw_only=True):
    """`[git]` of one agent. Without `is_pinned` it names no places, and others are to be asked.

    `refs` is what a push may create or move; `names_refs` says that the profile has them, and that
    they are not DEFAULT_REFS. A ref is never moved of whose name `protect` matches one of the
    folded forms (`patterns.fold`).
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
    """Read one line of `push` or `fetch`. Raises RemoteError."""
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
    """The line that grants `destination`, one that names its host by preference."""
    found = [place for place in places if place.covers(destination)]
    return next((place for place in found if place.is_literal), next(iter(found), None))


def _scheme_of(port: str | None) -> Scheme | None:
    """The scheme whose own port a line names that names no scheme."""
    return next((scheme for scheme in _EITHER if port == str(DEFAULT_PORTS[scheme])), None)


_LINE = re.compile(
    r"(?:(?P<user>[^@]*)@)?(?P<host>\[[^\]]*\]|[^:/\[\]@]+)(?::(?P<port>[^:/]+))?", re.DOTALL
)


class HostLine(Struct, frozen=True, kw_only=True):
    """Accounts that a line of a grant names: `[user@]host[:port]`.

    A user of None is any; a port of None is the one that ssh's configuration has for the host.
    `name` is how the line writes the host where it stands there by its name (an alias of ssh's
    configuration has an upper and a lower case), so that its addresses may be private ones; None
    for a pattern.
    """

    text: str
    user: str | None
    host: "re.Pattern[str]"
    port: int | None
    name: str | None

    def covers(self, login: Login) -> bool:
        """Whether `login` is one of them."""
        return (
            self.user in (None, login.user)
            and self.port == login.port
            and self.host.fullmatch(login.host) is not None
        )


class SshGrant(Struct, frozen=True, kw_only=True):
    """`[ssh]` of one agent. Without `is_pinned` it names no hosts, and others are to be asked."""

    hosts: tuple[HostLine, ...] = ()
    is_pinned: bool = False


def read_host_line(text: str) -> HostLine:
    """Read one line of `hosts`. Raises RemoteError."""
    found = _LINE.fullmatch(text)
    if found is None:
        raise RemoteError(
            f"{quote(text, limit=80)} is not written as [user@]host[:port]", rule="place"
        )
    host, port = found["host"], found["port"]
    pattern = compile_host(host)
    return HostLine(
        text=text,
        user=None if found["user"] is None else read_user(found["user"]),
        host=pattern,
        port=None if port is None else read_port(port, "ssh"),
        name=None if "*" in host else host,
    )


def find_host(lines: Sequence[HostLine], login: Login) -> HostLine | None:
    """The line that grants `login`, one that names its host by preference."""
    found = [line for line in lines if line.covers(login)]
    return next((line for line in found if line.name is not None), next(iter(found), None))
