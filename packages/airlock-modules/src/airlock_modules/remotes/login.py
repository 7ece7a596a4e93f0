"""Where a session of ssh leads: a user, a host and a port, in one form for each."""

import re

from msgspec import Struct

from airlock_modules.remotes.destination import read_host, read_port, read_user
from airlock_modules.remotes.errors import RemoteError
from airlock_wire.text import quote

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
