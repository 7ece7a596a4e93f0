"""The destination of a git transport or an ssh session, in one canonical form.

git names a remote by a URL (git-clone(1), GIT URLS), which a transport gets as arguments.
"""

import ipaddress
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Literal

from msgspec import Struct

from airlock_wire.text import quote


class RemoteError(ValueError):
    """Arguments or bytes from a client or server that are invalid or not forwarded.

    The text says what is wrong in one line, with quoted input; `rule` is its name in records.
    """

    def __init__(self, problem: str, *, rule: str) -> None:
        """Create the error for `problem`."""
        super().__init__(problem)
        self.rule = rule
        self.problem = problem


Scheme = Literal["ssh", "https", "http"]

DEFAULT_PORTS = {"ssh": 22, "https": 443, "http": 80}

_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}")
_ADDRESS = re.compile(r"[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
# Includes what a shell without single quotes (cmd.exe) would interpret, and the star: a refusal
# suggests the path as a line of the grant, where a star is a wildcard.
_REFUSED_IN_PATHS = re.compile(r"[\x00-\x1f\x7f%\\'\"!?#&|<>^;`$*]")
_MAX_PATH = 4096
_HIGHEST_PORT = 65535


class Destination(Struct, frozen=True, kw_only=True):
    """One repository. `port` is None for the scheme's default; `path` is what is sent.

    `host` is in lower case, an IPv6 address in brackets.
    """

    scheme: Scheme
    user: str | None
    host: str
    port: int | None
    path: str

    def __str__(self) -> str:
        """The form used in a grant: `git@github.com/acme/app`."""
        user = "" if self.user is None else f"{self.user}@"
        port = "" if self.port is None else f":{self.port}"
        return f"{user}{self.host}{port}/{self.name}"

    @property
    def line(self) -> str:
        """The grant line that names exactly this repository, with a scheme unless it is ssh."""
        return str(self) if self.scheme == "ssh" else f"{self.scheme}://{self}"

    @property
    def port_number(self) -> int:
        """The port to connect to."""
        return DEFAULT_PORTS[self.scheme] if self.port is None else self.port

    @property
    def name(self) -> str:
        """The path as grants match it: without leading and trailing slashes and without `.git`.

        The `.git` in a working tree is the repository of that tree.
        """
        return self.path.strip("/").removesuffix("/.git").removesuffix(".git")


def read_user(text: str) -> str:
    """Return a user name. Raises RemoteError for one that ssh or a shell could interpret."""
    if not _WORD.fullmatch(text):
        raise RemoteError(f"{quote(text, limit=80)} cannot name a user of a remote", rule="user")
    return text


def read_host(text: str) -> str:
    """Return a host name in lower case, or a bracketed IPv6 address. Raises RemoteError."""
    if _WORD.fullmatch(text):
        return text.lower()
    address = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if _ADDRESS.fullmatch(address):
        with suppress(ValueError):
            return f"[{ipaddress.IPv6Address(address)}]"
    raise RemoteError(f"{quote(text, limit=80)} cannot name a host", rule="host")


def read_port(text: str, scheme: Scheme) -> int | None:
    """Return a port, None for the scheme's default. Raises RemoteError."""
    if not _PORT.fullmatch(text) or int(text) > _HIGHEST_PORT:
        raise RemoteError(f"{quote(text, limit=80)} is no port", rule="port")
    port = int(text)
    return None if port == DEFAULT_PORTS[scheme] else port


def read_path(text: str) -> str:
    """Return the path of a repository as it is sent. Raises RemoteError.

    Refused is what servers could interpret differently: `..`, empty and `.` parts, quotes, `%`, and
    a leading `~` or `-`; and `.git` alone, the repository of the account's home.
    """
    shown = quote(text, limit=80)
    if _REFUSED_IN_PATHS.search(text) or not text.isprintable():
        raise RemoteError(f"the path {shown} holds a character that is not passed on", rule="path")
    if len(text) > _MAX_PATH:
        raise RemoteError(f"the path {shown} is longer than {_MAX_PATH}", rule="path")
    parts = text.removeprefix("/").removesuffix("/").split("/")
    if any(not part.strip(" .") for part in parts) or parts == [".git"]:
        raise RemoteError(f"the path {shown} is empty, or has an empty part, . or ..", rule="path")
    if parts[0].startswith(("~", "-")):
        raise RemoteError(f"the path {shown} begins with ~ or -", rule="path")
    return text.removesuffix("/")


class Login(Struct, frozen=True, kw_only=True):
    """One account on one host. A `user` or `port` of None is left to ssh's configuration.

    `host` is in lower case, an IPv6 address in brackets.
    """

    user: str | None
    host: str
    port: int | None

    def __str__(self) -> str:
        """The form used in a grant: `deploy@build.example.com:2222`."""
        user = "" if self.user is None else f"{self.user}@"
        port = "" if self.port is None else f":{self.port}"
        return f"{user}{self.host}{port}"


_HELPER_URL = re.compile(
    r"(?P<scheme>https|http)://(?:(?P<user>[^@/]*)@)?"
    r"(?P<host>\[[^\]/@]*\]|[^:/@\[\]]*)(?::(?P<port>[^/@]*))?(?P<path>/.*)",
    re.DOTALL,
)
_NOT_IN_URLS = {"%": "a percent sign", "?": "a question mark", "#": "a number sign"}
_NAME_AND_URL = 2


def read_url_words(scheme: str, words: Sequence[str]) -> Destination:
    """Parse the arguments of `git-remote-https` or `git-remote-http`; `scheme` is https or http.

    Ignores the remote's name. Checks and drops a user in the URL: the client must not choose which
    of the human's accounts is used. Raises RemoteError.
    """
    if len(words) != _NAME_AND_URL:
        raise RemoteError("git gives the helper of a URL a name and the URL", rule="words")
    found = _HELPER_URL.fullmatch(words[1])
    if found is None or found["scheme"] != scheme:
        raise RemoteError(f"what git gives {scheme} is not such a URL with a path", rule="url")
    if ":" in (found["user"] or ""):
        raise RemoteError(
            "a URL may hold no password; git remote set-url NAME URL takes it out", rule="password"
        )
    if found["user"] is not None:
        read_user(found["user"])
    for character, name in _NOT_IN_URLS.items():
        if character in found["path"]:
            shown = quote(found["path"].partition("?")[0], limit=80)
            raise RemoteError(f"the path {shown} holds {name}, which is not passed on", rule="path")
    kind: Scheme = "https" if scheme == "https" else "http"
    return Destination(
        scheme=kind,
        user=None,
        host=read_host(found["host"]),
        port=None if found["port"] is None else read_port(found["port"], kind),
        path=read_path(found["path"]),
    )
