"""Destinations without a credential: of a module's box, and of an agent's containers."""

import ipaddress
import re
from collections.abc import Container, Mapping

from airlock_modules.files.toml_reader import TableReader
from airlock_wire.text import quote

_ENTRY = re.compile(r"(?:\[([^\]]*)\]|([^:\[\]]*)):([0-9]{1,5})")
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_LONGEST_NAME = 253
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
"""What an agent's containers may reach by one word of `[network] allow`."""


def read_network(
    table: TableReader, key: str = "network", *, leaving_out: Container[str] = ()
) -> tuple[str, ...]:
    """Read the array `key`: `HOST:PORT` each, as one writes them, once each and in lower case.

    HOST is a name, `*.` and a name of two labels or more for all that is below it, an IPv4 address,
    or an IPv6 address in brackets; an address is in its usual form. Faults are recorded by `table`.
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
    """Read the array `key` as `read_network` does, and the names of PRESETS in it.

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
    # All digits of a port, and none in front of it that another reading may take for octal.
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
    if len(name) > _LONGEST_NAME or not all(map(_LABEL.fullmatch, labels)):
        return False
    if name != host and len(labels) == 1:
        return False
    # Resolvers read what ends in a number as an address, in whatever notation.
    last = labels[-1]
    if not (last.isdigit() or last.startswith("0x")):
        return True
    try:
        return name == host and str(ipaddress.IPv4Address(host)) == host
    except ValueError:
        return False
