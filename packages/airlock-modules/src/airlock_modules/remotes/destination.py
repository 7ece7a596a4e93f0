"""Where a transport leads: scheme, user, host, port and path, in one form for each place."""

import ipaddress
import re
from contextlib import suppress
from typing import Literal

from msgspec import Struct

from airlock_modules.remotes.errors import RemoteError
from airlock_wire.text import quote

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
