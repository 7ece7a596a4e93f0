"""What an attack is, and the place in which it is carried out."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from e2e.hostile.daemon import Target
from e2e.hostile.load import HonestAgent
from e2e.hostile.world import HOSTILE
from e2e.world.client import Client


class Scene:
    """A daemon, its honest agent, and the connections that attacks have made to it.

    Each connection on which something was said is a request that must be in the audit log.
    `is_bridged` says that bridges are between them and the daemon, whose kernel sees none of them.
    """

    def __init__(self, daemon: Target, honest: HonestAgent, *, is_bridged: bool = False) -> None:
        self.daemon = daemon
        self.honest = honest
        self.is_bridged = is_bridged
        self._clients: list[Client] = []
        self._noted = 0

    def connect(self, *, small: bool = False) -> Client:
        """Return a new connection to the socket of the hostile agent; see `Client`."""
        client = self.daemon.connect(HOSTILE, small=small)
        self._clients.append(client)
        return client

    def note_request(self) -> None:
        """Count a request that another process has made for this scene."""
        self._noted += 1

    def count_requests(self) -> int:
        """Return on how many connections something was said."""
        return self._noted + sum(client.has_spoken for client in self._clients)


class Attack(NamedTuple):
    """One thing to try.

    `run` raises BrokenError where the daemon does not stand it, NotHereError where this machine
    lacks what it needs.
    """

    name: str
    run: Callable[[Scene], None]


class Family(NamedTuple):
    """Attacks of one kind. `about` says in a few words what they have in common.

    `promise` is the guarantee of SECURITY.md that they try to break. `limits`, `descriptors` and
    `boxed` are those of the daemon that they are meant for; see `run_daemon`.
    """

    name: str
    about: str
    attacks: tuple[Attack, ...]
    limits: Mapping[str, float]
    descriptors: int
    boxed: bool
    promise: str


def make_family(
    name: str,
    about: str,
    *attacks: Attack | Callable[[Scene], None],
    limits: Mapping[str, float] | None = None,
    descriptors: int = 0,
    boxed: bool = False,
    promise: str = "G10",
) -> Family:
    """Return a family; a plain function is an attack of its own name."""
    named = [
        attack if isinstance(attack, Attack) else Attack(attack.__name__.replace("_", " "), attack)
        for attack in attacks
    ]
    return Family(name, about, tuple(named), limits or {}, descriptors, boxed, promise)
