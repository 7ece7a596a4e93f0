"""The relay of one boxed command: over it, its tools reach brokers as separate clients."""

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
from airlock_daemon.serving.request.recording import RECORDS
from airlock_daemon.serving.request.state import AgentState, DaemonState

# The most connections of one relay at a time, and per second. Others wait in it.
AT_ONCE = 16
PER_S = 50


class Origin:
    """The boxed command that requests over a relay come from.

    `request` is its id in the log, `commands` those that its module lets it request, and `peer` its
    client. Nothing sent over the relay can change them.
    """

    def __init__(self, request: str | None, commands: tuple[str, ...], peer: Peer) -> None:
        self.request = request
        self.commands = commands
        self.peer = peer
        self._left = RECORDS

    def spend_record(self) -> bool:
        """Whether another record of it may be written; counts it."""
        self._left -= 1
        return self._left >= 0


Converse = Callable[[socket.socket, Origin], Awaitable[None]]
"""Serves one connection to its end, like one on the agent's own socket; raises nothing."""


class Relay:
    """Hands out connections while a command runs. Its owner must `close` it."""

    def __init__(
        self, origin: Origin, converse: Converse, *, agent: AgentState, shared: DaemonState
    ) -> None:
        """Make the relay. Raises OSError if no descriptors are left."""
        self._origin = origin
        self._converse = converse
        self._agent = agent
        self._shared = shared
        self._room = trio.Semaphore(AT_ONCE)
        self._due = -1.0
        self._ours, self._theirs = make_relay()

    @property
    def number(self) -> int:
        """The box's descriptor, valid until `hand_over`."""
        return self._theirs.fileno()

    def hand_over(self) -> None:
        """Close our copy of the box's end, so that its closing there ends the relay."""
        self._theirs.close()

    async def serve(self, nursery: trio.Nursery) -> None:
        """Serve connections until cancelled, or until the box's end is closed."""
        while True:
            await self._room.acquire()
            connection = await self._connect() if await self._is_asked() else None
            if connection is None:
                # A later request for a connection gets EPIPE and does not wait in vain.
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
        """Wait for a request for a connection; False if none can be served any more."""
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
        """Make a connection and send the box its end; None if that fails."""
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
        """Wait until the next message may be read; a burst is one second's worth."""
        now = trio.current_time()
        self._due = max(self._due, now - 1) + 1 / PER_S
        if self._due > now:
            await trio.sleep_until(self._due)

    def _count(self) -> None:
        """Count a message with descriptors; it has no client to answer."""
        self._shared.audit.count(
            self._agent.generation.agent.name,
            Kind("invalid", "invalid", "sandbox"),
            {"pid": self._origin.peer.pid, "uid": self._origin.peer.uid},
        )

    def close(self) -> None:
        """Close both ends, and in the background what still waits in them."""
        self._theirs.close()
        self._agent.closer.close((self._ours.detach(),))
