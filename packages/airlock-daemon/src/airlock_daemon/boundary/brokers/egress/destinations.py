"""Destinations of `[sandbox] network`: parsed, judged, and connected to.

A host has one spelling: lower-case names without a final dot, addresses as written by `ipaddress`.
Other notations of addresses (`0x7f.1`, `2130706433`, `0177.0.0.1`) are not accepted as hosts, so
nothing depends on a resolver's interpretation.
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

import h11
import msgspec
import trio

from airlock_daemon.boundary.brokers.http import (
    Address,
    Origin,
    Route,
    find_inner,
    find_proxy,
    open_stream,
    resolve,
)
from airlock_daemon.errors import AND_RELOAD, Denied, Failed

if TYPE_CHECKING:
    from airlock_daemon.boundary.fairness import TurnSource

LOCALHOST = "localhost"
LOOPBACK: tuple[Address, ...] = (
    ipaddress.IPv4Address("127.0.0.1"),
    ipaddress.IPv6Address("::1"),
)
"""The addresses of `localhost`, whatever a resolver returns."""

_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*")
_NAME_LENGTH = 253
# A name whose last label is a number counts as an address (URL standard, "ends in a number").
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_MAX_PORT = 65535
_ANY = "*."


class Destination(msgspec.Struct, frozen=True):
    """A host in its one spelling, without brackets, and a port; `address` if it is one."""

    host: str
    port: int
    address: Address | None = None

    def __str__(self) -> str:
        """HOST:PORT, with brackets around an IPv6 address."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether it is this host's loopback, by address or as `localhost`."""
        return self.host == LOCALHOST or (self.address is not None and self.address.is_loopback)

    @property
    def own_addresses(self) -> tuple[Address, ...]:
        """The addresses known without a lookup."""
        if self.address is not None:
            return (self.address,)
        return LOOPBACK if self.host == LOCALHOST else ()


class Network(msgspec.Struct, frozen=True):
    """What a box may reach: `literal` destinations, and subdomains of `below` names, by port."""

    literal: frozenset[Destination]
    below: frozenset[tuple[str, int]]

    def names(self, wanted: Destination) -> bool:
        """Whether a destination is named literally."""
        return wanted in self.literal

    def covers(self, wanted: Destination) -> bool:
        """Whether it is a subdomain of a pattern's name. An address never is."""
        labels = wanted.host.split(".")
        above = (".".join(labels[start:]) for start in range(1, len(labels)))
        return any((name, wanted.port) in self.below for name in above)

    def join(self, other: "Network") -> "Network":
        """The destinations of both."""
        return Network(self.literal | other.literal, self.below | other.below)

    @property
    def entries(self) -> tuple[str, ...]:
        """The entries from which `read_network` makes this."""
        below = (f"{_ANY}{name}:{port}" for name, port in sorted(self.below))
        return (*sorted(map(str, self.literal)), *below)

    @property
    def local(self) -> tuple[Destination, ...]:
        """The destinations on this host's loopback, sorted."""
        return tuple(sorted((each for each in self.literal if each.is_local), key=str))

    @property
    def by_name(self) -> tuple[Destination, ...]:
        """The other destinations with a name, sorted."""
        named = (each for each in self.literal if not (each.is_local or each.address))
        return tuple(sorted(named, key=str))


def read_network(entries: Iterable[str]) -> Network:
    """Parse `HOST:PORT` and `*.NAME:PORT`. Raises ValueError for anything else."""
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
    """Parse `HOST:PORT` with a name, an IPv4 address, or [IPv6]. Raises ValueError."""
    host, _, port = text.rpartition(":")
    if not _PORT.fullmatch(port) or int(port) > _MAX_PORT or not text.isascii():
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


# h11 parses the request, and refuses ambiguous ones; nothing of it is forwarded.

# Limits of a head: bytes, and seconds for its arrival.
MAX_HEAD_BYTES = 8192
HEAD_S = 10.0
_READ = 2048

CONNECTED = b"HTTP/1.1 200 Connection established\r\n\r\n"
"""The answer once connected; the destination's bytes follow."""


class BadHead(Denied):
    """A refused head, with its HTTP `status`."""

    def __init__(self, message: str, status: HTTPStatus, *, hint: str) -> None:
        super().__init__(message, layer="broker", rule="request", hint=hint)
        self.status = status


async def read_head(
    connection: trio.SocketStream, turns: "TurnSource"
) -> tuple[Destination, bytes] | None:
    """Read the requested destination, and bytes after the head.

    None if the connection is closed before any byte. Raises BadHead, and trio.BrokenResourceError.
    """
    talk = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
    try:
        with trio.fail_after(HEAD_S):
            return await _read(talk, connection, turns)
    except h11.RemoteProtocolError as error:
        raise BadHead(
            "this is no request of HTTP that can be read in one way only",
            HTTPStatus(error.error_status_hint),
            hint="send CONNECT HOST:PORT HTTP/1.1",
        ) from error
    except trio.TooSlowError:
        raise BadHead(
            f"no whole request came within {HEAD_S:g} s",
            HTTPStatus.REQUEST_TIMEOUT,
            hint="send it at once after connecting",
        ) from None


async def _read(
    talk: h11.Connection, connection: trio.SocketStream, turns: "TurnSource"
) -> tuple[Destination, bytes] | None:
    checked: Destination | None = None
    while True:
        match talk.next_event():
            case h11.Request() as request:
                checked = _check(request)
            case h11.EndOfMessage() if checked is not None:
                return checked, talk.trailing_data[0]
            case h11.ConnectionClosed():
                return None
            case _:
                data = bytes(await connection.receive_some(_READ))
                await turns.take()
                talk.receive_data(data)


def _check(request: h11.Request) -> Destination:
    """The destination of a CONNECT without a body. Raises BadHead."""
    if request.method != b"CONNECT":
        raise BadHead(
            "plain http does not pass here",
            HTTPStatus.METHOD_NOT_ALLOWED,
            hint="use https; other protocols pass by CONNECT",
        )
    if any(name in (b"content-length", b"transfer-encoding") for name, _ in request.headers):
        raise BadHead("CONNECT has no body", HTTPStatus.BAD_REQUEST, hint="send none")
    try:
        return read_destination(request.target.decode("ascii"))
    except ValueError:
        raise BadHead(
            "what CONNECT asks for is no HOST:PORT",
            HTTPStatus.BAD_REQUEST,
            hint="name a host, by its name or in the usual form of an address, and a port",
        ) from None


def refusal(status: HTTPStatus, text: str) -> bytes:
    """The answer of a refusal: one line from Airlock.

    It is also the reason phrase, which more tools show.
    """
    line = f"airlock: {text}".encode("ascii", "backslashreplace").decode()
    head = [f"HTTP/1.1 {status.value} {line}", "Content-Type: text/plain"]
    head += [f"Content-Length: {len(line) + 1}", "Connection: close"]
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        head.append("Allow: CONNECT")
    return "\r\n".join((*head, "", f"{line}\n")).encode()


# Limit of names that a command may resolve: a pattern could match any number.
MAX_NAMES = 256

# For all addresses of a host together, in seconds.
OPEN_S = 30.0


class Granted(Protocol):
    """Granted destinations."""

    def names(self, wanted: Destination) -> bool:
        """Whether a destination is named literally."""

    def covers(self, wanted: Destination) -> bool:
        """Whether a pattern matches a destination."""


class World(msgspec.Struct, frozen=True, kw_only=True):
    """How destinations are reached: `variables` are the daemon's, which may name a proxy; lookups
    use threads of `lookups`. `setting` is where a person can grant more, for hints.
    """

    variables: Mapping[str, str]
    lookups: trio.CapacityLimiter
    setting: str


class Routes:
    """Connects one command. A name's first resolved addresses are used for its whole run."""

    def __init__(self, network: Granted, world: World) -> None:
        self._network = network
        self._world = world
        self._found: dict[str, tuple[Address, ...]] = {}

    async def open(self, wanted: Destination) -> tuple[trio.SocketStream, bytes]:
        """Connect; returns also bytes already received. Raises Denied (layer "broker"), Failed."""
        if not (self._network.names(wanted) or self._network.covers(wanted)):
            raise self._deny(f"{wanted} is not granted", "destination", "add it to")
        with trio.move_on_after(OPEN_S):
            way = await self._find_route(wanted)
            origin = Origin(host=wanted.host, port=wanted.port, route=way, trust=None)
            return await open_stream(origin, self._world.lookups)
        raise Failed(f"{wanted} was not reached within {OPEN_S:g} s", hint="try again")

    async def _find_route(self, wanted: Destination) -> Route:
        # A proxy cannot reach this host's loopback.
        if wanted.is_local:
            return wanted.own_addresses
        is_named = self._network.names(wanted)
        proxy = find_proxy(None, self._world.variables, scheme="https", host=wanted.host)
        if proxy is not None:
            if not is_named:
                problem = f"{wanted} is reached through a proxy, which resolves names itself"
                raise self._deny(problem, "proxy", "name it, without *, in")
            return proxy
        addresses = wanted.own_addresses or await self._resolve(wanted)
        if not is_named and find_inner(addresses) is not None:
            problem = f"{wanted} has an address of this host or of no public network"
            raise self._deny(problem, "address", "name it, without *, in")
        return addresses

    async def _resolve(self, wanted: Destination) -> tuple[Address, ...]:
        found = self._found.get(wanted.host)
        if found is not None:
            return found
        if len(self._found) >= MAX_NAMES:
            problem = f"{wanted} is one name more than the {MAX_NAMES} that a command may look up"
            raise self._deny(problem, "names", "name less by * in")
        try:
            addresses = await resolve(wanted.host, family=None, limiter=self._world.lookups)
        except Failed as error:
            hint = "look at its spelling; a person on the host can ask its resolver: getent hosts"
            raise Failed(error.message, hint=hint) from error
        # If two lookups run at once, the first result counts.
        return self._found.setdefault(wanted.host, addresses)

    def _deny(self, problem: str, rule: str, remedy: str) -> Denied:
        hint = f"a person on the host can {remedy} {self._world.setting}"
        return Denied(problem, layer="broker", rule=rule, hint=hint + AND_RELOAD)
