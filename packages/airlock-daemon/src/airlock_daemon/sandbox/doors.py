"""How a box reaches others: by listeners in its own network, which the daemon has.

At one of them the daemon speaks CONNECT; each of the others stands for a destination on the host's
loopback, at the very address and port that this has on the host. One more, a unix socket without a
path, stands for the human's docker engine.
"""

import socket
from collections.abc import Sequence

import msgspec

from airlock_daemon.brokers.addresses import Address
from airlock_daemon.brokers.egress.destinations import LOOPBACK, Destination, Network, read_network
from airlock_daemon.connection.descriptors import receive
from airlock_daemon.errors import AND_RELOAD, Denied

_PROXY_PORT = 3128
# As `native/doors.zig` has it.
_MOST = 64

_NOT_BY_PROXY = "localhost,127.0.0.1,::1"


# An abstract name is of the box's own network: no file system has it, and no other box.
_ENGINE = "@airlock-docker"


class Doors(msgspec.Struct, frozen=True):
    """What a box may reach, and where in it the daemon listens for that.

    `proxy` speaks HTTP; it is there unless `network` is empty. `engine` is the host's path of the
    socket of a docker engine, "" where the box reaches none.
    """

    network: Network = read_network(())
    proxy: Destination | None = None
    listeners: tuple[Destination, ...] = ()
    engine: str = ""

    @property
    def addresses(self) -> str:
        """Where the launcher is to listen, as `native/doors.zig` reads it."""
        return ",".join((*map(str, self.listeners), *((_ENGINE,) if self.engine else ())))


def plan_doors(entries: Sequence[str], source: str, *, engine: str = "") -> Doors | None:
    """The doors of a box for `[sandbox] network` of the module `source`, and for an `engine`.

    None where there are neither. Raises Denied where it names more destinations on this host than
    there can be.
    """
    if not entries:
        return Doors(engine=engine) if engine else None
    network = read_network(entries)
    behind = dict.fromkeys(
        Destination(str(address), each.port, address)
        for each in network.local
        for address in each.own_addresses
    )
    taken = {each.port for each in behind}
    port = next(port for port in range(_PROXY_PORT, _PROXY_PORT + _MOST) if port not in taken)
    address = LOOPBACK[0]
    proxy = Destination(str(address), port, address)
    listeners = (proxy, *behind)
    if len(listeners) + bool(engine) > _MOST:
        raise Denied(
            f"a box that listens at {len(listeners)} addresses for the host's is more than can be",
            layer="sandbox",
            rule="network",
            hint=f"a person on the host can name less in [sandbox] network of {source}{AND_RELOAD}",
        )
    return Doors(network, proxy, listeners, engine)


def name_doors(doors: Doors | None) -> dict[str, str]:
    """The variables by which tools find the ways out."""
    if doors is None:
        return {}
    engine = {"DOCKER_HOST": f"unix://{_ENGINE}"} if doors.engine else {}
    return engine | _name_proxy(doors)


def _name_proxy(doors: Doors) -> dict[str, str]:
    if doors.proxy is None:
        return {}
    url = f"http://{doors.proxy}"
    names = ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY")
    exempt = dict.fromkeys(("no_proxy", "NO_PROXY"), _NOT_BY_PROXY)
    return dict.fromkeys(names, url) | exempt


def find_behind(doors: Doors, address: Address, port: int) -> Destination | None:
    """The destination for which the listener at an address stands, None for the proxy."""
    here = Destination(str(address), port, address)
    if here == doors.proxy:
        return None
    named = (each for each in doors.network.local if each.port == port)
    return next(each for each in named if address in each.own_addresses)


def receive_listeners(end: socket.socket) -> list[socket.socket]:
    """What the launcher in a box has sent, none where there is no launcher any more.

    Raises BlockingIOError where there is nothing yet, OSError.
    """
    _, numbers = receive(end, 1)
    listeners = [socket.socket(fileno=number) for number in numbers]
    for listener in listeners:
        listener.setblocking(False)
    return listeners
