"""Destinations of `[sandbox] network`, and whether what a tool asks for is one of them.

A host has one spelling here: names in small letters, without a dot at the end, addresses as
`ipaddress` writes them. What could be read as an address in another way (`0x7f.1`, `2130706433`,
`0177.0.0.1`) is no host, so that nothing depends on how a resolver would read it.
"""

import ipaddress
import re
from collections.abc import Iterable
from contextlib import suppress

import msgspec

from airlock_daemon.brokers.addresses import Address

LOCALHOST = "localhost"
LOOPBACK: tuple[Address, ...] = (
    ipaddress.IPv4Address("127.0.0.1"),
    ipaddress.IPv6Address("::1"),
)
"""The addresses of that name, wherever a resolver would look for it."""

_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*")
_NAME_LENGTH = 253
# The last part of a name that is read as a number makes an address of the whole (URL standard,
# "ends in a number").
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_MOST_PORT = 65535
_ANY = "*."


class Destination(msgspec.Struct, frozen=True):
    """A host, by its one spelling and without brackets, and a port; `address` if it is one."""

    host: str
    port: int
    address: Address | None = None

    def __str__(self) -> str:
        """As it is written: HOST:PORT."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether it is this host's own loopback, by its address or by the one name for it."""
        return self.host == LOCALHOST or (self.address is not None and self.address.is_loopback)

    @property
    def own_addresses(self) -> tuple[Address, ...]:
        """The addresses that are known without asking for them."""
        if self.address is not None:
            return (self.address,)
        return LOOPBACK if self.host == LOCALHOST else ()


class Network(msgspec.Struct, frozen=True):
    """What a box may reach: `literal` destinations, and any host below a name, at a port."""

    literal: frozenset[Destination]
    below: frozenset[tuple[str, int]]

    def names(self, wanted: Destination) -> bool:
        """Whether a destination is named itself."""
        return wanted in self.literal

    def covers(self, wanted: Destination) -> bool:
        """Whether it is a name below one of a pattern's. No address is, as no name ends so."""
        labels = wanted.host.split(".")
        above = (".".join(labels[start:]) for start in range(1, len(labels)))
        return any((name, wanted.port) in self.below for name in above)

    def join(self, other: "Network") -> "Network":
        """What may be reached by either."""
        return Network(self.literal | other.literal, self.below | other.below)

    @property
    def entries(self) -> tuple[str, ...]:
        """What `read_network` makes this of."""
        below = (f"{_ANY}{name}:{port}" for name, port in sorted(self.below))
        return (*sorted(map(str, self.literal)), *below)

    @property
    def local(self) -> tuple[Destination, ...]:
        """Those on this host's loopback, in an order that is always the same."""
        return tuple(sorted((each for each in self.literal if each.is_local), key=str))

    @property
    def by_name(self) -> tuple[Destination, ...]:
        """Those elsewhere that are named by a name, in such an order."""
        named = (each for each in self.literal if not (each.is_local or each.address))
        return tuple(sorted(named, key=str))


def read_network(entries: Iterable[str]) -> Network:
    """Read `HOST:PORT` and `*.NAME:PORT`. Raises ValueError for anything else."""
    literal, below = set(), set()
    for entry in entries:
        found = read_destination(entry.removeprefix(_ANY))
        if entry.startswith(_ANY):
            if found.address is not None:
                raise ValueError(entry)
            below.add((found.host, found.port))
        else:
            literal.add(found)
    return Network(frozenset(literal), frozenset(below))


def read_destination(text: str) -> Destination:
    """Read `HOST:PORT`: a name, an IPv4 address, or one of IPv6 in brackets. Raises ValueError."""
    host, _, port = text.rpartition(":")
    if not _PORT.fullmatch(port) or int(port) > _MOST_PORT or not text.isascii():
        raise ValueError(text)
    address = _read_address(host)
    if address is not None:
        return Destination(str(address), int(port), address)
    name = host.lower()
    is_name = len(name) <= _NAME_LENGTH and _NAME.fullmatch(name) is not None
    if not is_name or _NUMBER.fullmatch(name.rpartition(".")[2]):
        raise ValueError(text)
    return Destination(name, int(port))


def _read_address(host: str) -> Address | None:
    with suppress(ValueError):
        if host.startswith("[") and host.endswith("]") and "%" not in host:
            return ipaddress.IPv6Address(host[1:-1])
        return ipaddress.IPv4Address(host)
    return None
