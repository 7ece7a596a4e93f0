"""Listening sockets in a box's own network, on which the daemon accepts: its only way out.

The first is a proxy (CONNECT), of the daemon or of the agent's HTTPS broker. Each other one
forwards to one destination, for tools that know no proxy. A destination on the host's loopback has
the same address and port in the box; a named one has the same port, at an address to which the
box's /etc/hosts maps the name. A box with the broker forwards no names: only the broker checks that
TLS is for the granted name, and not for an API at the same address. Another one, an abstract unix
socket, leads to the broker of the docker engine.
"""

import ipaddress
from collections.abc import Iterator, Sequence
from itertools import islice

import msgspec

from airlock_daemon.boundary.brokers.egress.destinations import (
    LOOPBACK,
    Destination,
    Network,
    read_network,
)
from airlock_daemon.errors import AND_RELOAD, Denied
from airlock_daemon.setup.client import ContainerClient

_PROXY_PORT = 3128
# Keep in step with `native/doors.zig`.
_MAX = 64

# Loopback addresses that the host does not use: one for each name.
_NAMED = ipaddress.IPv4Network("127.0.3.0/24")

_NOT_BY_PROXY = "localhost,127.0.0.1,::1"

# An abstract name belongs to the box's own network: no file system and no other box has it.
_ENGINE = "@airlock-docker"


class ForwardedPort(msgspec.Struct, frozen=True):
    """A listening address in the box, `here`, and its destination, `behind`."""

    here: Destination
    behind: Destination


class BoxListeners(msgspec.Struct, frozen=True):
    """The destinations that a box may reach, and the addresses in it that lead there.

    `proxy` speaks HTTP. It is None if `network` is empty, or if the box has `apis`, whose
    connections go to the agent's HTTPS broker, which can also reach `network`. `engine` is the name
    of the unix socket for the broker of the docker engine, "" for none.
    """

    network: Network = read_network(())
    proxy: Destination | None = None
    apis: Destination | None = None
    forwarded: tuple[ForwardedPort, ...] = ()
    engine: str = ""

    @property
    def tcp_addresses(self) -> tuple[Destination, ...]:
        """The TCP addresses at which the launcher listens, without duplicates."""
        first = tuple(each for each in (self.proxy, self.apis) if each is not None)
        return (*first, *(each.here for each in self.forwarded))

    @property
    def addresses(self) -> str:
        """All listening addresses, in the format of `native/doors.zig`."""
        return ",".join((*map(str, self.tcp_addresses), *((self.engine,) if self.engine else ())))

    @property
    def hosts(self) -> tuple[tuple[str, str], ...]:
        """Lines for hosts(5): an address, and its name in the box."""
        named = (each for each in self.forwarded if each.behind in self.network.by_name)
        return tuple(dict.fromkeys((each.here.host, each.behind.host) for each in named))

    def find_forwarded(self, here: Destination) -> Destination | None:
        """The destination of the listener at `here`, None for the proxy."""
        if here == self.proxy:
            return None
        return next(each.behind for each in self.forwarded if each.here == here)


def plan_listeners(
    entries: Sequence[str], source: str, *, has_engine: bool = False, uses_apis: bool = False
) -> BoxListeners | None:
    """Plan a box's listeners for `[sandbox] network` of the module `source`, the broker of the
    docker engine if it `has_engine`, and the HTTPS broker if it `uses_apis`. Returns None if it
    needs none.

    Raises Denied for too many destinations on this host, or for the broker's address.
    """
    engine = _ENGINE if has_engine else ""
    if not entries and not uses_apis:
        return BoxListeners(engine=engine) if has_engine else None
    network = read_network(entries)
    local = {
        here: ForwardedPort(here, each)
        for each in network.local
        for here in (Destination(str(found), each.port, found) for found in each.own_addresses)
    }
    taken = {each.port for each in local}
    free = (port for port in range(_PROXY_PORT, _PROXY_PORT + _MAX) if port not in taken)
    address = LOOPBACK[0]
    proxy = apis = None
    if uses_apis:
        # Every container's variables name this address, so the port is fixed.
        apis = Destination(str(address), ContainerClient.PROXY_PORT, address)
    else:
        proxy = Destination(str(address), next(free), address)
    most = _MAX - 1 - has_engine
    hint = f"a person on the host can name less in [sandbox] network of {source}{AND_RELOAD}"
    if len(local) > most:
        raise Denied(
            f"a box that listens at {len(local) + 1} addresses for the host's is more than can be",
            layer="sandbox",
            rule="network",
            hint=hint,
        )
    if apis in local:
        raise Denied(
            f"a box has the HTTPS broker at {apis}, and cannot reach what the host has there",
            layer="sandbox",
            rule="network",
            hint=hint,
        )
    names = () if uses_apis else _stand_for_names(network, [each.host for each in local])
    listeners = (*local.values(), *names)
    # A name without a listener can only be reached by the proxy.
    return BoxListeners(network, proxy, apis, listeners[:most], engine)


def _stand_for_names(network: Network, taken: Sequence[str]) -> Iterator[ForwardedPort]:
    """A listener per named destination; each name gets one address, none of those `taken`."""
    free = (str(each) for each in _NAMED.hosts() if str(each) not in taken)
    names = dict.fromkeys(each.host for each in network.by_name)
    at = dict(zip(islice(names, _MAX), free, strict=False))
    for each in network.by_name:
        if each.host in at:
            address = ipaddress.IPv4Address(at[each.host])
            yield ForwardedPort(Destination(str(address), each.port, address), each)


def listener_variables(listeners: BoxListeners | None) -> dict[str, str]:
    """The variables that direct tools to the proxy and the engine."""
    if listeners is None:
        return {}
    engine = {"DOCKER_HOST": f"unix://{listeners.engine}"} if listeners.engine else {}
    return engine | _name_proxy(listeners)


def _name_proxy(listeners: BoxListeners) -> dict[str, str]:
    if listeners.proxy is None:
        return {}
    url = f"http://{listeners.proxy}"
    names = ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY")
    exempt = dict.fromkeys(("no_proxy", "NO_PROXY"), _NOT_BY_PROXY)
    return dict.fromkeys(names, url) | exempt
