"""Where an agent may fetch and push, and which refs a push of it may move: `[git]` of a profile."""

import re
from collections.abc import Iterable, Sequence

from msgspec import Struct, field

from airlock_modules.remotes.destination import (
    DEFAULT_PORTS,
    Destination,
    Scheme,
    read_port,
    read_user,
)
from airlock_modules.remotes.errors import RemoteError
from airlock_modules.remotes.host_pattern import compile_host
from airlock_modules.remotes.login import Login
from airlock_modules.remotes.patterns import compile_pattern, is_pattern
from airlock_wire.text import quote

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
