"""How a box reaches others: by listeners in its own network, which the daemon has.

At one of them the daemon speaks CONNECT, or has the agent's HTTPS broker speak it. Each of the
others stands for a destination, for tools that know no proxy: one on the host's loopback at the
very address and port that it has there; one with a name at its port, on an address that the box's
/etc/hosts has for it. A box that has the broker has none for names: the broker alone sees to it
that TLS is for the name that was granted, and not for an API at the same address. One more, a unix
socket without a path, stands for the human's docker engine.
"""

import ipaddress
import socket
from collections.abc import Iterator, Sequence
from itertools import islice
from secrets import token_hex

import msgspec

from airlock_daemon.boundary.brokers.egress.destinations import (
    LOOPBACK,
    Destination,
    Network,
    read_network,
)
from airlock_daemon.boundary.connection.descriptors import receive
from airlock_daemon.errors import AND_RELOAD, Denied
from airlock_daemon.setup.client import PROXY_PORT

_PROXY_PORT = 3128
# As `native/doors.zig` has it.
_MOST = 64

# On the box's loopback, and nobody's on the host's: an address for each name.
_NAMED = ipaddress.IPv4Network("127.0.3.0/24")

_NOT_BY_PROXY = "localhost,127.0.0.1,::1"

# An abstract name is of the box's own network: no file system has it, and no other box. Nobody can
# guess its end, as a client that is told of sockets by an agent would lead others to this one.
_ENGINE = "@airlock-docker-"
_BYTES = 16


class ForwardedPort(msgspec.Struct, frozen=True):
    """Where in a box the daemon listens, and for what."""

    here: Destination
    behind: Destination


class BoxListeners(msgspec.Struct, frozen=True):
    """What a box may reach, and where in it the daemon listens for that.

    `proxy` speaks HTTP; it is there unless `network` is empty, or there is `apis`: what connects
    there is passed to the agent's HTTPS broker, which may lead it to `network` too.
    `engine` is the host's path of the socket of a docker engine, "" where the box reaches none, and
    `socket` what stands for it here.
    """

    network: Network = read_network(())
    proxy: Destination | None = None
    apis: Destination | None = None
    forwarded: tuple[ForwardedPort, ...] = ()
    engine: str = ""
    socket: str = ""

    @property
    def tcp_addresses(self) -> tuple[Destination, ...]:
        """Where the launcher is to listen by TCP, each address and port once."""
        first = tuple(each for each in (self.proxy, self.apis) if each is not None)
        return (*first, *(each.here for each in self.forwarded))

    @property
    def addresses(self) -> str:
        """Where it is to listen at all, as `native/doors.zig` reads that."""
        return ",".join((*map(str, self.tcp_addresses), *((self.socket,) if self.socket else ())))

    @property
    def hosts(self) -> tuple[tuple[str, str], ...]:
        """Lines of hosts(5): an address, and the name that a box finds there."""
        named = (each for each in self.forwarded if each.behind in self.network.by_name)
        return tuple(dict.fromkeys((each.here.host, each.behind.host) for each in named))


def plan_listeners(
    entries: Sequence[str], source: str, *, engine: str = "", uses_apis: bool = False
) -> BoxListeners | None:
    """The listeners of a box for `[sandbox] network` of the module `source`, and for an `engine`. One
    that `uses_apis` has a listener to the broker.

    None where there are none. Raises Denied where it names more destinations on this host than
    there can be, or that of the broker.
    """
    name = f"{_ENGINE}{token_hex(_BYTES)}" if engine else ""
    if not entries and not uses_apis:
        return BoxListeners(engine=engine, socket=name) if engine else None
    network = read_network(entries)
    local = {
        here: ForwardedPort(here, each)
        for each in network.local
        for here in (Destination(str(found), each.port, found) for found in each.own_addresses)
    }
    taken = {each.port for each in local}
    free = (port for port in range(_PROXY_PORT, _PROXY_PORT + _MOST) if port not in taken)
    address = LOOPBACK[0]
    proxy = apis = None
    if uses_apis:
        # The variables that lead there are those of every container, so that it has no other port.
        apis = Destination(str(address), PROXY_PORT, address)
    else:
        proxy = Destination(str(address), next(free), address)
    most = _MOST - 1 - bool(engine)
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
    # A name that has no listener is reached by the proxy alone.
    return BoxListeners(network, proxy, apis, listeners[:most], engine, name)


def _stand_for_names(network: Network, taken: Sequence[str]) -> Iterator[ForwardedPort]:
    """A listener for each destination with a name; a name has one address, which is none of `taken`."""
    free = (str(each) for each in _NAMED.hosts() if str(each) not in taken)
    names = dict.fromkeys(each.host for each in network.by_name)
    at = dict(zip(islice(names, _MOST), free, strict=False))
    for each in network.by_name:
        if each.host in at:
            address = ipaddress.IPv4Address(at[each.host])
            yield ForwardedPort(Destination(str(address), each.port, address), each)


def listener_variables(listeners: BoxListeners | None) -> dict[str, str]:
    """The variables by which tools find the ways out."""
    if listeners is None:
        return {}
    engine = {"DOCKER_HOST": f"unix://{listeners.socket}"} if listeners.socket else {}
    return engine | _name_proxy(listeners)


def _name_proxy(listeners: BoxListeners) -> dict[str, str]:
    if listeners.proxy is None:
        return {}
    url = f"http://{listeners.proxy}"
    names = ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY")
    exempt = dict.fromkeys(("no_proxy", "NO_PROXY"), _NOT_BY_PROXY)
    return dict.fromkeys(names, url) | exempt


def find_forwarded(listeners: BoxListeners, here: Destination) -> Destination | None:
    """The destination for which the listener at `here` stands, None for the proxy."""
    return (
        None
        if here == listeners.proxy
        else next(d.behind for d in listeners.forwarded if d.here == here)
    )


def receive_listeners(end: socket.socket) -> list[socket.socket]:
    """What the launcher in a box has sent, none where there is no launcher any more.

    Raises BlockingIOError where there is nothing yet, OSError.
    """
    _, numbers = receive(end, 1)
    listeners = [socket.socket(fileno=number) for number in numbers]
    for listener in listeners:
        listener.setblocking(False)
    return listeners
