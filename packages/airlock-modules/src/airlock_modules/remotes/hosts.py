"""The lines of `[ssh] hosts`: where an agent may log in."""

import re
from collections.abc import Sequence

from msgspec import Struct

from airlock_modules.remotes.destination import Login, RemoteError, read_port, read_user
from airlock_modules.remotes.grants import compile_host
from airlock_wire.text import quote

_LINE = re.compile(
    r"(?:(?P<user>[^@]*)@)?(?P<host>\[[^\]]*\]|[^:/\[\]@]+)(?::(?P<port>[^:/]+))?", re.DOTALL
)


class HostLine(Struct, frozen=True, kw_only=True):
    """Accounts named by a grant line: `[user@]host[:port]`.

    A user of None is any; a port of None is left to ssh's configuration. `name` is the host as
    written (aliases in ssh's configuration are case-sensitive), whose addresses may be private;
    None for a pattern.
    """

    text: str
    user: str | None
    host: "re.Pattern[str]"
    port: int | None
    name: str | None

    def covers(self, login: Login) -> bool:
        """Whether the line grants `login`."""
        return (
            self.user in (None, login.user)
            and self.port == login.port
            and self.host.fullmatch(login.host) is not None
        )


def read_host_line(text: str) -> HostLine:
    """Parse one line of `hosts`. Raises RemoteError."""
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
    """Return the line that grants `login`, preferably one that names its host, or None."""
    found = [line for line in lines if line.covers(login)]
    return next((line for line in found if line.name is not None), next(iter(found), None))
