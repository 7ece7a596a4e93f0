"""Where a transport or a session of ssh leads: one form for each place, however it was written.

git names a remote by a URL (git-clone(1), GIT URLS), which a transport gets as words of its own.
"""

import ipaddress
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Literal

from msgspec import Struct

from airlock_wire.text import quote


class RemoteError(ValueError):
    """Words or bytes of a client that are no transport's, or that are not passed on.

    The text names what is wrong in one line, quoted, and `rule` is the word for it in records.
    """

    def __init__(self, problem: str, *, rule: str) -> None:
        """Say what is wrong, and by which rule."""
        super().__init__(problem)
        self.rule = rule
        self.problem = problem


Scheme = Literal["ssh", "https", "http"]

DEFAULT_PORTS = {"ssh": 22, "https": 443, "http": 80}

_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}")
_ADDRESS = re.compile(r"[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
# Also what a shell that knows no single quotes (cmd.exe) would read as more than a word, and the
# star: a refusal proposes what was asked for as a line of the grant, where it is a pattern.
_REFUSED_IN_PATHS = re.compile(r"[\x00-\x1f\x7f%\\'\"!?#&|<>^;`$*]")
_LONGEST_PATH = 4096
_HIGHEST_PORT = 65535


class Destination(Struct, frozen=True, kw_only=True):
    """One repository. `port` is None for that of the scheme; `path` is what is sent.

    `host` has lower case letters only, and brackets around an IPv6 address.
    """

    scheme: Scheme
    user: str | None
    host: str
    port: int | None
    path: str

    def __str__(self) -> str:
        """As a person writes it in a grant: `git@github.com/acme/app`."""
        user = "" if self.user is None else f"{self.user}@"
        port = "" if self.port is None else f":{self.port}"
        return f"{user}{self.host}{port}/{self.name}"

    @property
    def line(self) -> str:
        """The line of a grant that names this place and no other: with a scheme but for ssh."""
        return str(self) if self.scheme == "ssh" else f"{self.scheme}://{self}"

    @property
    def port_number(self) -> int:
        """The port that is connected with."""
        return DEFAULT_PORTS[self.scheme] if self.port is None else self.port

    @property
    def name(self) -> str:
        """The path as grants know it: without a slash at its ends, and without `.git`.

        The `.git` inside of a working tree is that tree's repository, and no other one beside it.
        """
        return self.path.strip("/").removesuffix("/.git").removesuffix(".git")


def read_user(text: str) -> str:
    """Return the name of a user. Raises RemoteError for one that ssh or a shell could read."""
    if not _WORD.fullmatch(text):
        raise RemoteError(f"{quote(text, limit=80)} cannot name a user of a remote", rule="user")
    return text


def read_host(text: str) -> str:
    """Return the name of a host in lower case, or a bracketed IPv6 address. Raises RemoteError."""
    if _WORD.fullmatch(text):
        return text.lower()
    address = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if _ADDRESS.fullmatch(address):
        with suppress(ValueError):
            return f"[{ipaddress.IPv6Address(address)}]"
    raise RemoteError(f"{quote(text, limit=80)} cannot name a host", rule="host")


def read_port(text: str, scheme: Scheme) -> int | None:
    """Return a port, None for that of the scheme. Raises RemoteError."""
    if not _PORT.fullmatch(text) or int(text) > _HIGHEST_PORT:
        raise RemoteError(f"{quote(text, limit=80)} is no port", rule="port")
    port = int(text)
    return None if port == DEFAULT_PORTS[scheme] else port


def read_path(text: str) -> str:
    """Return the path of a repository as it is sent. Raises RemoteError.

    What two servers could understand in two ways is refused: `..`, empty and `.` parts, quotes,
    `%`, and a leading `~` or `-`. So is `.git` alone, the repository of the account's home.
    """
    shown = quote(text, limit=80)
    if _REFUSED_IN_PATHS.search(text) or not text.isprintable():
        raise RemoteError(f"the path {shown} holds a character that is not passed on", rule="path")
    if len(text) > _LONGEST_PATH:
        raise RemoteError(f"the path {shown} is longer than {_LONGEST_PATH}", rule="path")
    parts = text.removeprefix("/").removesuffix("/").split("/")
    if any(not part.strip(" .") for part in parts) or parts == [".git"]:
        raise RemoteError(f"the path {shown} is empty, or has an empty part, . or ..", rule="path")
    if parts[0].startswith(("~", "-")):
        raise RemoteError(f"the path {shown} begins with ~ or -", rule="path")
    return text.removesuffix("/")


_URI = re.compile(r"ssh://(?P<login>[^/:\[\]]+|[^/\[\]]*\[[^/\]]*\])(?::(?P<port>[^/]+))?/?")


class Login(Struct, frozen=True, kw_only=True):
    """One account of one host. A `user` or `port` of None is what ssh's configuration says.

    `host` has lower case letters only, and brackets around an IPv6 address.
    """

    user: str | None
    host: str
    port: int | None

    def __str__(self) -> str:
        """As a person writes it in a grant: `deploy@build.example.com:2222`."""
        user = "" if self.user is None else f"{self.user}@"
        port = "" if self.port is None else f":{self.port}"
        return f"{user}{self.host}{port}"


def read_login(text: str) -> Login:
    """Read the destination of ssh: `[user@]host` or `ssh://[user@]host[:port]`.

    Raises RemoteError for what ssh would expand, or another program could read as more than names.
    """
    port = None
    if text.startswith("ssh://"):
        found = _URI.fullmatch(text)
        if found is None:
            raise RemoteError(f"{quote(text, limit=80)} cannot name a host", rule="host")
        text = found["login"]
        port = None if found["port"] is None else read_port(found["port"], "ssh")
    user, at, host = text.rpartition("@")
    return Login(user=read_user(user) if at else None, host=read_host(host), port=port)


# scheme://[user@]host[:port]/path, and [user@]host:path.
_URL = re.compile(r"(?P<scheme>ssh|git\+ssh|ssh\+git|https|http)://(?P<rest>.+)", re.DOTALL)
_AUTHORITY = re.compile(r"(?P<login>(?:[^@/]*@)?(?:\[[^\]]*\]|[^:/]*))(?::(?P<port>[^/]*))?")
_SHORT = re.compile(r"(?P<login>(?:[^@/:]*@)?(?:\[[^\]]*\]|[^:/\[\]]+)):(?P<path>.+)", re.DOTALL)


def name_transport(url: str, service: str) -> tuple[str, ...]:
    """The words of git-remote for `url` and `service`; none for what is no such URL."""
    found = _URL.fullmatch(url)
    if found is not None and found["scheme"] in ("https", "http"):
        return (found["scheme"], "origin", url)
    if found is None:
        short = _SHORT.fullmatch(url)
        if short is None:
            return ()
        return _ssh_words(short["login"], None, short["path"], service)
    authority, _, path = found["rest"].partition("/")
    login = _AUTHORITY.fullmatch(authority)
    if login is None:
        return ()
    path = path if path.startswith("~") else f"/{path}"
    return _ssh_words(login["login"], login["port"], path, service)


def _ssh_words(login: str, port: str | None, path: str, service: str) -> tuple[str, ...]:
    where = () if port is None else ("-p", port)
    return ("ssh", *where, login.replace("[", "").replace("]", ""), f"{service} '{path}'")


_HELPER_URL = re.compile(
    r"(?P<scheme>https|http)://(?:(?P<user>[^@/]*)@)?"
    r"(?P<host>\[[^\]/@]*\]|[^:/@\[\]]*)(?::(?P<port>[^/@]*))?(?P<path>/.*)",
    re.DOTALL,
)
_NOT_IN_URLS = {"%": "a percent sign", "?": "a question mark", "#": "a number sign"}
_NAME_AND_URL = 2


def read_url_words(scheme: str, words: Sequence[str]) -> Destination:
    """Read what git gives `git-remote-https` or `git-remote-http`: `scheme` is https or http.

    Raises RemoteError.

    The name of the remote says nothing that counts. That of a user in the URL is looked at and left
    out: which of the human's accounts is used is not the client's to choose.
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
