"""How the tools of a command in a box may ask brokers: over a relay, for this command alone."""

import os

from msgspec.structs import replace

from airlock_daemon.errors import Failed
from airlock_daemon.identity.peer import Peer
from airlock_daemon.platform.linux.procfs import read_process_file
from airlock_daemon.request.origin import Origin
from airlock_daemon.request.relay import Converse, Relay
from airlock_daemon.request.state import AgentState, DaemonState


class Asks:
    """What one request needs to open a relay, should its box have one.

    `is_relayed` says that it came over one itself.
    """

    def __init__(
        self,
        request: str | None,
        peer: Peer,
        converse: Converse,
        *,
        agent: AgentState,
        shared: DaemonState,
        is_relayed: bool,
    ) -> None:
        """`request` is its name in the log, `peer` who asked for it."""
        self._request = request
        self._peer = peer
        self._converse = converse
        self._agent = agent
        self._shared = shared
        self.is_relayed = is_relayed

    def open(self, commands: tuple[str, ...]) -> Relay:
        """Make a relay over which `commands` may be asked for. Raises Failed."""
        # The descriptors of a box are the client's, or those that the daemon has made for it.
        mounts = self._peer.mountinfo + read_process_file(os.getpid(), "mountinfo")
        peer = replace(self._peer, kind="container", mountinfo=mounts)
        origin = Origin(self._request, commands, peer)
        try:
            return Relay(origin, self._converse, agent=self._agent, shared=self._shared)
        except OSError as error:
            raise Failed(
                f"the relay of the box cannot be made: {error.strerror}",
                hint="close connections, or raise the limit of open files (ulimit -n) for the "
                "daemon",
            ) from error
