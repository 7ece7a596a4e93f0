"""Which hosts an agent may reach by ssh: `[ssh]` of a profile."""

import re
from collections.abc import Sequence

from msgspec import Struct

from airlock_modules.remotes.destination import read_port, read_user
from airlock_modules.remotes.errors import RemoteError
from airlock_modules.remotes.host_pattern import compile_host
from airlock_modules.remotes.login import Login
from airlock_wire.text import quote

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
