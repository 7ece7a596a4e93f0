"""What the human's ssh knows of a host: its configuration (ssh -G) and known_hosts (sshd(8))."""

import base64
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from airlock_daemon.setup.paths import expand_home

# The host keys of this machine itself.
OWN_KEYS = "/etc/ssh"

_FIELDS = 3


class Known(msgspec.Struct, frozen=True):
    """What known_hosts files say of one name.

    `keys` are those of lines that name it by itself, hashed or not; `is_revoked` says that some
    line revokes a key of it.
    """

    keys: frozenset[str]
    is_revoked: bool


class SshSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the human's ssh would reach a destination.

    `name` is what known_hosts has for it; `host` the name or address that it connects with, and
    `route` the proxy or jump host through which it does, None for none. `options` is everything
    that ssh said, with which another answer can be compared.
    """

    name: str
    host: str
    route: str | None
    known_hosts: tuple[str, ...]
    options: Mapping[str, tuple[str, ...]]


def read_settings(printed: str, *, home: str) -> SshSettings:
    """Read what `ssh -G` printed: a line an option, in lower case. Raises KeyError for no such."""
    options: dict[str, tuple[str, ...]] = {}
    for line in printed.splitlines():
        key, _, value = line.partition(" ")
        options[key] = (*options.get(key, ()), value)
    host, port = options["hostname"][0], options["port"][0]
    alias = options.get("hostkeyalias", (host if port == "22" else f"[{host}]:{port}",))[0]
    routes = (options.get(key, ("none",))[0] for key in ("proxyjump", "proxycommand"))
    files = " ".join(
        (*options.get("userknownhostsfile", ()), *options.get("globalknownhostsfile", ()))
    )
    return SshSettings(
        name=alias,
        host=host,
        route=next((route for route in routes if route != "none"), None),
        known_hosts=tuple(expand_home(file, home) for file in files.split()),
        options=options,
    )


def read_found(printed: Iterable[str], name: str) -> Known:
    """Read what `ssh-keygen -F NAME` printed of one file: lines, and comments between them.

    It finds lines of wildcards, of certificate authorities and of revoked keys too.
    """
    keys = set()
    is_revoked = False
    for line in printed:
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            continue
        if fields[0].startswith("@"):
            is_revoked = is_revoked or fields[0] == "@revoked"
        elif len(fields) >= _FIELDS and _names(fields[0], name):
            keys.add(fields[2])
    return Known(frozenset(keys), is_revoked)


def _names(hosts: str, name: str) -> bool:
    # A hashed line is of one name, and ssh-keygen has found that it is this one.
    return hosts.startswith("|1|") or name.lower() in hosts.lower().split(",")


def read_own_keys(directory: str = OWN_KEYS) -> frozenset[str]:
    """The public host keys of this machine, as known_hosts has them."""
    return frozenset(_read_keys(directory))


def _read_keys(directory: str) -> Iterator[str]:
    for path in sorted(Path(directory).glob("ssh_host_*_key.pub")):
        try:
            fields = path.read_text(encoding="ascii").split()
            base64.b64decode(fields[1], validate=True)
        except (OSError, ValueError, IndexError):
            # Not a key of OpenSSH, or none that may be looked at.
            continue
        yield fields[1]
