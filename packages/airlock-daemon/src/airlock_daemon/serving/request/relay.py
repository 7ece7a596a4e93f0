"""The relay of one command in a box: its tools ask brokers over it, as clients of their own."""

import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio

from airlock_daemon.boundary.connection.descriptors import (
    UnexpectedDescriptors,
    give,
    make_connection,
    make_relay,
    receive_bytes,
)
from airlock_daemon.boundary.identity.peer import Peer
from airlock_daemon.serving.audit.ledger import Kind
from airlock_daemon.serving.request.state import AgentState, DaemonState

# How many conversations there may be at a time over one relay, and in a second. Others wait in it.
AT_ONCE = 16
PER_S = 50

RECORDS = 1000
"""The most records for broker requests of one command; others are counted."""


class Origin:
    """The command in a box over whose relay requests come.

    `request` is its name in the log, `commands` are those that its module lets it ask, and `peer`
    is its client: nothing that comes over the relay says more.
    """

    def __init__(self, request: str | None, commands: tuple[str, ...], peer: Peer) -> None:
        self.request = request
        self.commands = commands
        self.peer = peer
        self._left = RECORDS

    def spend_record(self) -> bool:
        """Whether one more record of it may be written."""
        self._left -= 1
        return self._left >= 0


Converse = Callable[[socket.socket, Origin], Awaitable[None]]
"""Serves one connection to its end, as one of the agent's own socket; raises nothing."""


class Relay:
    """Gives connections for as long as a command runs. Its owner must `close` it."""

    def __init__(
        self, origin: Origin, converse: Converse, *, agent: AgentState, shared: DaemonState
    ) -> None:
        """Make the relay. Raises OSError where there are no descriptors left."""
        self._origin = origin
        self._converse = converse
        self._agent = agent
        self._shared = shared
        self._room = trio.Semaphore(AT_ONCE)
        self._due = -1.0
        self._ours, self._theirs = make_relay()

    @property
    def number(self) -> int:
        """The descriptor for the box, until `hand_over`."""
        return self._theirs.fileno()

    def hand_over(self) -> None:
        """The box has its end, and when it has closed it nothing more will come."""
        self._theirs.close()

    async def serve(self, nursery: trio.Nursery) -> None:
        """Serve connections until cancelled, or until no more will be asked for."""
        while True:
            await self._room.acquire()
            connection = await self._connect() if await self._is_asked() else None
            if connection is None:
                # Who would ask now hears of it (EPIPE), and does not wait for nothing.
                with suppress(OSError):
                    self._ours.shutdown(socket.SHUT_RDWR)
                return
            nursery.start_soon(self._hold, connection)

    async def _hold(self, connection: socket.socket) -> None:
        try:
            await self._converse(connection, self._origin)
        finally:
            self._room.release()

    async def _is_asked(self) -> bool:
        """Wait until somebody wants a connection; False where nobody will get one any more."""
        while not self._agent.closer.is_stuck:
            await self._keep_pace()
            await trio.lowlevel.wait_readable(self._ours)
            await self._agent.turns.take()
            try:
                return receive_bytes(self._ours, self._agent.closer)
            except BlockingIOError:
                pass
            except UnexpectedDescriptors:
                self._count()
            except OSError:
                return False
        return False

    async def _connect(self) -> socket.socket | None:
        """Make a connection, and give the box its end; None where that is not to be had."""
        try:
            ours, theirs = make_connection()
        except OSError:
            return None
        with theirs:
            try:
                while True:
                    try:
                        give(self._ours, theirs)
                    except BlockingIOError:
                        await trio.lowlevel.wait_writable(self._ours)
                    else:
                        return ours
            except OSError:
                ours.close()
                return None
            except BaseException:
                ours.close()
                raise

    async def _keep_pace(self) -> None:
        """Return when the next message may be taken: a second's worth of them at once."""
        now = trio.current_time()
        self._due = max(self._due, now - 1) + 1 / PER_S
        if self._due > now:
            await trio.sleep_until(self._due)

    def _count(self) -> None:
        """Nobody can be told: who sends descriptors is no client."""
        self._shared.audit.count(
            self._agent.generation.agent.name,
            Kind("invalid", "invalid", "sandbox"),
            {"pid": self._origin.peer.pid, "uid": self._origin.peer.uid},
        )

    def close(self) -> None:
        """Close both ends. What still waits in it is closed too, and that may take its time."""
        self._theirs.close()
        self._agent.closer.close((self._ours.detach(),))
