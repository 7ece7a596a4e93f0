"""Reading `[sandbox]` of a module: its command's box on the host, and what the box can reach."""

import ipaddress
import os
import re
from collections.abc import Container, Iterator, Mapping
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from airlock_modules.files.toml_reader import TableReader
from airlock_wire.text import quote

_KERNELS = ("/proc", "/dev", "/sys", "/run", "/var/run")
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_OWN = (*_KERNELS, *_SYSTEM, "/etc", "/tmp", "/home/airlock")  # noqa: S108
_SECRET = (
    *("~/.ssh", "~/.aws", "~/.azure", "~/.config/gcloud", "~/.config/gh", "~/.docker", "~/.kube"),
    *("~/.gnupg", "~/.netrc", "~/.git-credentials", "~/.config/git/credentials", "~/.npmrc"),
    *("~/.pypirc", "~/.terraform.d/credentials.tfrc.json", "~/.password-store", "~/.vault-token"),
    *("/root", "/etc/shadow", "/etc/ssh", "/etc/ssl/private"),
)


def is_plain(path: str) -> bool:
    """Whether a path is absolute or begins with `~/`, is normalised, and is not `/`."""
    plain = path.removeprefix("~")
    return plain.startswith("/") and os.path.normpath(plain) == plain and plain != "/"


def is_within(path: str, directory: str) -> bool:
    """Whether `path` is `directory` or below it, compared as text."""
    return f"{path}/".startswith(f"{directory}/")


def is_own(path: str) -> bool:
    """Whether a box has its own files at or below `path`, or `path` is in a kernel file system."""
    return any(is_within(place, path) for place in _OWN) or any(
        is_within(path, place) for place in _KERNELS
    )


def is_secret(path: str) -> bool:
    """Whether the host path `path` is, contains or is below a credential store of a tool."""
    return any(is_within(path, place) or is_within(place, path) for place in _SECRET)


_ENTRY = re.compile(r"(?:\[([^\]]*)\]|([^:\[\]]*)):([0-9]{1,5})")
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_MAX_NAME = 253
_HIGHEST_PORT = 65535
PRESETS: Mapping[str, tuple[str, ...]] = {
    "@packages": (
        *("registry.npmjs.org:443", "registry.yarnpkg.com:443"),
        *("pypi.org:443", "files.pythonhosted.org:443"),
        *(
            "crates.io:443",
            "index.crates.io:443",
            "static.crates.io:443",
            "static.rust-lang.org:443",
        ),
        *("proxy.golang.org:443", "sum.golang.org:443", "go.dev:443", "dl.google.com:443"),
        *("repo.maven.apache.org:443", "repo1.maven.org:443", "plugins.gradle.org:443"),
        *("services.gradle.org:443", "rubygems.org:443", "index.rubygems.org:443"),
        *("deb.debian.org:443", "security.debian.org:443", "dl-cdn.alpinelinux.org:443"),
    ),
    "@vscode": (
        *("update.code.visualstudio.com:443", "vscode.download.prss.microsoft.com:443"),
        *("marketplace.visualstudio.com:443", "*.gallery.vsassets.io:443"),
        *("*.gallerycdn.vsassets.io:443", "*.vscode-unpkg.net:443", "main.vscode-cdn.net:443"),
    ),
}
"""Named groups of destinations for `[network] allow`, which limits an agent's containers."""


def read_network(
    table: TableReader, key: str = "network", *, leaving_out: Container[str] = ()
) -> tuple[str, ...]:
    """Read the array `key` of `HOST:PORT`; return them in lower case, without duplicates.

    HOST is a name, `*.` and a name of at least two labels for everything below it, an IPv4 address,
    or a bracketed IPv6 address, each in canonical form. `table` records faults.
    """
    found: dict[str, None] = {}
    for entry in table.strings(key):
        if entry in leaving_out:
            continue
        normal = _normalise(entry)
        if normal is None:
            problem = f"{quote(entry)} is no HOST:PORT"
            remedy = 'write it like "registry.terraform.io:443", "*.amazonaws.com:443", '
            remedy += '"127.0.0.1:4566" or "[::1]:4566"'
            table.fault(key, problem, remedy)
        else:
            found[normal] = None
    return tuple(found)


def read_presets(table: TableReader, key: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Read the array `key` of destinations, as `read_network` does, and names of PRESETS.

    Returns the destinations and the names.
    """
    named = [entry for entry in table.strings(key) if entry.startswith("@")]
    for name in named:
        if name not in PRESETS:
            table.fault(key, f"{quote(name)} is no preset", f"write one of {', '.join(PRESETS)}")
    network = read_network(table, key, leaving_out=named)
    return network, tuple(name for name in dict.fromkeys(named) if name in PRESETS)


def _normalise(entry: str) -> str | None:
    parts = _ENTRY.fullmatch(entry)
    # A port with a leading zero might be parsed as octal elsewhere.
    if parts is None or parts[3].startswith("0") or int(parts[3]) > _HIGHEST_PORT:
        return None
    if parts[1] is not None:
        try:
            return (
                f"[{ipaddress.IPv6Address(parts[1])}]:{parts[3]}" if "%" not in parts[1] else None
            )
        except ValueError:
            return None
    host = parts[2].lower()
    return f"{host}:{parts[3]}" if _is_host(host) else None


def _is_host(host: str) -> bool:
    name = host.removeprefix("*.")
    labels = name.split(".")
    if len(name) > _MAX_NAME or not all(map(_LABEL.fullmatch, labels)):
        return False
    if name != host and len(labels) == 1:
        return False
    # Resolvers parse a name whose last label is a number as an address, in any notation.
    last = labels[-1]
    if not (last.isdigit() or last.startswith("0x")):
        return True
    try:
        return name == host and str(ipaddress.IPv4Address(host)) == host
    except ValueError:
        return False


_NOT_AT_HOME = {
    "sockets": 'remove it: it has those of the internet; or write box = "closed"',
    "home": 'remove it: writes there are thrown away; or write box = "closed"',
    "brokers": 'remove it: tools reach remotes by themselves; or write box = "closed"',
    "network": 'remove it: it has the network of the host; or write box = "closed"',
    "links": 'remove it: links are followed there; or write box = "closed"',
}
ENGINE_BROKER = "docker"
"""The broker of a docker engine, which judges each call of its API."""
Sockets = Literal["none", "unix", "inet", "inet and unix"]
BROKERS = ("git", "sign", ENGINE_BROKER)
"""The brokers available to a box."""


class Sandbox(Struct, frozen=True, kw_only=True):
    """The box of a module's command.

    "closed" has the workspace, the system's programs, and nothing else of the host; "home" also has
    the human's home, the host's /etc and its network, and protects no credential; "none" is no box
    at all. `sockets` are the kinds that a tool in a closed box may create: its network is its own
    loopback and, by TCP, the destinations `HOST:PORT` of `network`. `read` are further host paths
    that it sees read-only: absolute, or beginning with `~/`. `brokers` act outside a closed box for
    it: "git" talks to git remotes, "sign" signs commits and tags, "docker" to the human's
    engine. Without `links` symbolic links in the workspace are not followed. With `keeps_home` the
    home persists between runs of the same agent; otherwise it starts empty.
    """

    box: Literal["closed", "home", "none"]
    sockets: Sockets = "none"
    network: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    brokers: tuple[str, ...] = ()
    links: bool = True
    keeps_home: bool = False

    @property
    def has_engine(self) -> bool:
        """Whether the box reaches the broker of the docker engine."""
        return ENGINE_BROKER in self.brokers


def read_sandbox(reader: TableReader, *, has_apis: bool) -> Sandbox:
    """Read `[sandbox]` of a module file. `reader` records faults.

    A command that `has_apis` gets a closed box with the sockets to reach them, even without the
    table. Keys of the format that this release does not support are refused by name.
    """
    if has_apis and not reader.has("sandbox"):
        return Sandbox(box="closed", sockets="inet")
    table = reader.table("sandbox")
    for key in ("programs", "dynamic"):
        table.refuse(key, "has no meaning any more: whatever a box shows may run", "remove it")
    box = _read_box(table, default="closed" if has_apis else "")
    if has_apis and box != "closed":
        problem = "would give the command what [[api]] keeps from it"
        table.fault("box", problem, 'write "closed", or remove the [[api]] tables')
    if box == "none":
        for key in (*_NOT_AT_HOME, "read"):
            table.refuse(key, "has no meaning without a box", 'remove it, or write box = "closed"')
        return Sandbox(box="none")
    if box == "home":
        for key, remedy in _NOT_AT_HOME.items():
            table.refuse(key, "has no meaning in the human's home", remedy)
        return Sandbox(box="home", read=_read_paths(table))
    sockets = table.choice("sockets", ("none", "unix", "inet"), default="none")
    brokers = _read_brokers(table)
    read = _read_paths(table)
    has_unix = sockets == "unix" or ENGINE_BROKER in brokers
    sandbox = Sandbox(
        box="closed",
        sockets=_join(unix=has_unix, inet=has_apis or sockets == "inet"),
        read=read,
        brokers=brokers,
        keeps_home=_keeps_home(table, read),
        links=table.boolean("links", default=True),
    )
    return widen_network(sandbox, table, "network")


def widen_network(sandbox: Sandbox, reader: TableReader, key: str) -> Sandbox:
    """Return the closed box with the destinations of the array `key` and the sockets for them.

    `reader` records faults.
    """
    network = read_network(reader, key)
    if not network:
        return sandbox
    return replace(
        sandbox,
        network=tuple(dict.fromkeys((*sandbox.network, *network))),
        sockets=_join(unix="unix" in sandbox.sockets, inet=True),
    )


def _join(*, unix: bool, inet: bool) -> Sockets:
    """Return the kinds of sockets for a box."""
    if unix:
        return "inet and unix" if inet else "unix"
    return "inet" if inet else "none"


def _read_box(table: TableReader, *, default: str) -> str:
    box = table.choice("box", ("closed", "home", "none"), default="closed")
    if not table.has("box") and not default:
        table.fault("box", "is missing", 'write "closed", "home", or "none" for no box')
    return box


def _keeps_home(table: TableReader, read: tuple[str, ...]) -> bool:
    keeps_home = table.choice("home", ("fresh", "kept"), default="fresh") == "kept"
    if keeps_home and any(path.startswith("~") for path in read):
        problem = "cannot be kept where [sandbox] read shows something of your own home in it"
        table.fault("home", problem, 'write "fresh", or remove the key')
    return keeps_home


def _read_brokers(table: TableReader) -> tuple[str, ...]:
    brokers = table.strings("brokers")
    for name in brokers:
        if name not in BROKERS:
            problem = f"{quote(name)} is no broker that a box of this release can ask"
            remedy = 'write "git" for what git fetches and pushes, "sign" for signed commits, '
            remedy += f'"{ENGINE_BROKER}" for an engine'
            table.fault("brokers", problem, remedy)
    return tuple(dict.fromkeys(brokers))


def _read_paths(table: TableReader) -> tuple[str, ...]:
    paths = table.strings("read")
    for path in paths:
        if not is_plain(path):
            problem = f"{quote(path)} is no plain path of the host"
            table.fault("read", problem, 'write it like "/opt/tool" or "~/.tool", without ..')
        elif is_own(path):
            problem = f"{quote(path)} is a place that a box has of its own"
            table.fault("read", problem, "name what the tool needs of it, or remove it")
    return paths


def find_secret_places(sandbox: Sandbox | None) -> Iterator[str]:
    """Yield the `read` paths of a box that are, contain or are below a credential store."""
    for path in sandbox.read if sandbox is not None else ():
        if is_secret(path):
            yield path
