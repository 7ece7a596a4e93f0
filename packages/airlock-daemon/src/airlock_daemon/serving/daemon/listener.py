"""Accepting connections on one socket of an agent, within its limits."""

import errno
import logging
import os
import socket
from contextlib import suppress
from typing import Protocol

import trio
from trio.lowlevel import ParkingLot

from airlock_daemon.boundary.connection.closing import MOST
from airlock_daemon.boundary.connection.descriptors import drop_unread
from airlock_daemon.boundary.fairness.gate import CLOSE_SOME, too_many_error
from airlock_daemon.errors import NO_DESCRIPTORS, Denied
from airlock_daemon.serving.audit.ledger import Kind
from airlock_daemon.serving.daemon.clients import describe_peer
from airlock_daemon.serving.daemon.socket_file import BACKLOG
from airlock_daemon.serving.request.state import AgentState, DaemonState
from airlock_daemon.serving.session import Reason

log = logging.getLogger("airlock")

_OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

# Until it is looked again whether what hung has been closed.
_AGAIN_S = 0.2

# How many connections are accepted before everybody else has a turn.
AT_ONCE = 4
CROWD = 4


class Service(Protocol):
    """Serves the connections of a listening socket."""

    async def serve(self, connection: socket.socket, *, is_turn: bool = False) -> None:
        """Serve a connection, which is counted at the agent's gate, to its end, and close it.

        `is_turn` says that this step is one of the agent's turns.
        """

    def stop(self, reason: Reason) -> None:
        """From now on start nothing, and tell every client why."""

    def put(self, error: Denied) -> bytes:
        """The bytes for a client that is refused before its request."""


class Listener:
    """Accepts on one listening socket of an agent, which it does not own, for a service.

    One task leads: it waits for a connection. It serves that one itself, at once, and another task,
    which waits for nothing but that, leads from then on: to make a task for each connection would
    cost a client a round of the event loop more.
    """

    def __init__(
        self, shared: DaemonState, agent: AgentState, listening: socket.socket, service: Service
    ) -> None:
        self._shared = shared
        self._agent = agent
        self._listening = listening
        self._spare = _open_spare()
        self._service = service
        self._is_stopping = False
        self._is_over = False
        self._followers = ParkingLot()
        self._unpaced = 0
        self._lines: dict[str, bytes] = {}

    async def run(self, requests: trio.Nursery) -> None:
        """Accept until cancelled; each connection is served by a task of `requests`.

        Who is waiting to be accepted then is accepted too.
        """
        requests.start_soon(self._lead, requests)
        try:
            await trio.sleep_forever()
        finally:
            self._is_over = True
            self._followers.unpark_all()
            trio.lowlevel.notify_closing(self._listening)
            for connection in self._accept_some(BACKLOG + 1):
                requests.start_soon(self._service.serve, connection)
            os.close(self._spare)

    def stop(self, reason: Reason) -> None:
        """As `Service.stop`."""
        self._is_stopping = True
        self._service.stop(reason)

    async def _lead(self, requests: trio.Nursery) -> None:
        """Wait for a connection, let another task lead, and serve it; and so on."""
        while first := await self._wait_connection(requests):
            if self._followers:
                self._followers.unpark()
            else:
                requests.start_soon(self._lead, requests)
            await self._service.serve(first, is_turn=True)
            # One that waits is enough.
            if self._is_over or self._followers:
                return
            await self._followers.park()

    async def _wait_connection(self, requests: trio.Nursery) -> socket.socket | None:
        """Wait for one to serve in this turn; others that came too get tasks. None at the end."""
        while not self._is_over:
            while self._unpaced and not self._is_stopping:
                self._unpaced -= 1
                await self._agent.gate.crowd_pace.keep()
            if self._is_held_up():
                await self._wait_closers()
            try:
                if not self._is_over:
                    await trio.lowlevel.wait_readable(self._listening)
                    await self._agent.turns.take()
            except trio.ClosedResourceError:
                continue
            # Its owner may have closed the socket meanwhile.
            if self._is_over:
                return None
            # Where few are connected, to try for another would only hold up the one that came.
            most = AT_ONCE if self._agent.gate.connections >= CROWD else 1
            first, *others = self._accept_some(most) or (None,)
            for connection in others:
                requests.start_soon(self._service.serve, connection)
            if first is not None:
                return first
        return None

    async def _wait_closers(self) -> None:
        """Wait while too much hangs that clients have sent, and say so."""
        log.error(
            "agent %s: %d descriptors that its clients have sent do not close; none of its "
            "connections is taken until some do, which ends when what serves them is ended",
            *(self._agent.generation.agent.name, MOST),
        )
        # A thread that hangs in a call tells nobody when it does not any more.
        while self._is_held_up():  # noqa: ASYNC110
            await trio.sleep(_AGAIN_S)

    def _is_held_up(self) -> bool:
        return self._agent.closer.is_full and not (self._is_stopping or self._is_over)

    def _accept_some(self, most: int) -> list[socket.socket]:
        """Take so many connections at most; those that are refused are not among those returned."""
        accepted: list[socket.socket] = []
        for _ in range(most):
            if not self._accept(accepted):
                break
        return accepted

    def _accept(self, accepted: list[socket.socket]) -> bool:
        """Take one connection if there is one; returns whether there may be more."""
        try:
            connection, _ = self._listening.accept()
        except BlockingIOError:
            return False
        except OSError as error:
            return error.errno in _OUT_OF_RESOURCES and self._refuse_by_spare()
        connection.setblocking(False)
        if self._agent.gate.connect():
            accepted.append(connection)
        else:
            self._refuse(connection, too_many_error(self._agent.gate.limits))
        return True

    def _refuse_by_spare(self) -> bool:
        """Tell one client that the table of descriptors is full, with the one kept for that.

        Returns whether there was one.
        """
        os.close(self._spare)
        try:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return False
            connection.setblocking(False)
            full = Denied(NO_DESCRIPTORS, layer="limit", rule="descriptors", hint=CLOSE_SOME)
            self._refuse(connection, full)
        finally:
            self._spare = _open_spare()
        return True

    def _refuse(self, connection: socket.socket, error: Denied) -> None:
        """Say why, which fits into the empty buffer of a new connection, and close it.

        Nothing more: whoever floods an agent with connections gets no time for it.
        """
        self._unpaced += 1
        reason = error.message
        if reason not in self._lines:
            self._lines[reason] = self._service.put(error)
        with connection:
            with suppress(OSError):
                connection.send(self._lines[reason])
            # To close what a client has sent along may take as long as that client likes.
            drop_unread(connection, self._agent.closer)
            kind = Kind("invalid", "denied", "limit", error.rule)
            self._shared.audit.count(
                self._agent.generation.agent.name, kind, describe_peer(connection)
            )


def _open_spare() -> int:
    return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
