"""The way from a destination that a box asks for to a connection: granted, by an address that is
found once and kept for the command, through the human's proxy where there is one.
"""

from collections.abc import Mapping
from typing import Protocol

import msgspec
import trio

from airlock_daemon.brokers.addresses import Address, find_inner, resolve
from airlock_daemon.brokers.egress.destinations import Destination
from airlock_daemon.brokers.http.connecting import Origin, reach
from airlock_daemon.brokers.http.proxy import Proxy, find_proxy
from airlock_daemon.errors import AND_RELOAD, Denied, Failed

# So many names a command may have looked up: of a pattern's there could be any number.
MOST_NAMES = 256

# For all addresses of a host together.
OPEN_S = 30.0


class Granted(Protocol):
    """What may be reached."""

    def names(self, wanted: Destination) -> bool:
        """Whether a destination is named itself."""

    def covers(self, wanted: Destination) -> bool:
        """Whether it is one of those of a pattern."""


class World(msgspec.Struct, frozen=True, kw_only=True):
    """How others are reached: `variables` are the daemon's, which may name a proxy; a lookup takes
    a thread of `lookups`. `setting` is where a person grants more, for advice.
    """

    variables: Mapping[str, str]
    lookups: trio.CapacityLimiter
    setting: str


class Ways:
    """The ways of one command. An address that was found is the one for as long as it runs."""

    def __init__(self, network: Granted, world: World) -> None:
        self._network = network
        self._world = world
        self._found: dict[str, tuple[Address, ...]] = {}

    async def open(self, wanted: Destination) -> tuple[trio.SocketStream, bytes]:
        """A connection, and what came over it already. Raises Denied (layer "broker"), Failed."""
        if not (self._network.names(wanted) or self._network.covers(wanted)):
            raise self._deny(f"{wanted} is not granted", "destination", "add it to")
        with trio.move_on_after(OPEN_S):
            way = await self._find_way(wanted)
            origin = Origin(host=wanted.host, port=wanted.port, way=way, trust=None)
            return await reach(origin, self._world.lookups)
        raise Failed(f"{wanted} was not reached within {OPEN_S:g} s", hint="try again")

    async def _find_way(self, wanted: Destination) -> tuple[Address, ...] | Proxy:
        # This host's own loopback is no proxy's to reach.
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
        if len(self._found) >= MOST_NAMES:
            problem = f"{wanted} is one name more than the {MOST_NAMES} that a command may look up"
            raise self._deny(problem, "names", "name less by * in")
        try:
            addresses = await resolve(wanted.host, family=None, limiter=self._world.lookups)
        except Failed as error:
            hint = "look at its spelling; a person on the host can ask its resolver: getent hosts"
            raise Failed(error.message, hint=hint) from error
        # Of two that were looked up at once the first one holds.
        return self._found.setdefault(wanted.host, addresses)

    def _deny(self, problem: str, rule: str, remedy: str) -> Denied:
        hint = f"a person on the host can {remedy} {self._world.setting}"
        return Denied(problem, layer="broker", rule=rule, hint=hint + AND_RELOAD)
