"""Accepts connections on one socket of an agent, within its limits."""

import errno
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

import trio

from airlock_daemon.boundary.connection.descriptors import MAX_THREADS, drop_unread
from airlock_daemon.boundary.fairness import CLOSE_SOME, too_many_error
from airlock_daemon.boundary.identity.peer import UNSEEN, find_credentials
from airlock_daemon.errors import NO_DESCRIPTORS, Denied, is_full_table
from airlock_daemon.platform.system import Credentials
from airlock_daemon.serving.audit.record import Kind
from airlock_daemon.serving.daemon.socket_file import BACKLOG
from airlock_daemon.serving.request import AgentState, DaemonState, log
from airlock_daemon.serving.session import Reason, Watched

_OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

# Seconds between checks whether descriptors that hung have closed.
_AGAIN_S = 0.2

_FULL = Denied(NO_DESCRIPTORS, layer="limit", rule="descriptors", hint=CLOSE_SOME)

# Connections that are accepted per turn.
AT_ONCE = 4
CROWD = 4


class Service(Protocol):
    """Serves the connections of a listening socket."""

    async def serve(self, connection: socket.socket, scope: trio.CancelScope) -> None:
        """Serve a connection to its end, and close it; the agent's gate has counted it.

        This step is one of the agent's turns. `scope` is around it, and may be cancelled to end it.
        """

    def stop(self, reason: Reason) -> None:
        """Start nothing more, and answer every waiting client with the reason."""

    def put(self, error: Denied) -> bytes:
        """The bytes for a client that is refused before its request."""


class Listener:
    """Accepts on one listening socket of an agent, which it does not own.

    One task leads: it waits for a connection, serves it at once, and waits again. Only if another
    connection comes meanwhile does a new task take the lead. One for each would cost each client
    one more pass of the event loop.
    """

    def __init__(
        self, shared: DaemonState, agent: AgentState, listening: socket.socket, service: Service
    ) -> None:
        self._shared = shared
        self._agent = agent
        self._listening = listening
        self._spare: int | None = _open_spare()
        self._service = service
        self._is_stopping = False
        self._is_over = False
        # What the leading task serves; None once another leads, or none.
        self._served: socket.socket | None = None
        self._unpaced = 0
        self._lines: dict[str, bytes] = {}

    async def run(self, requests: trio.Nursery) -> None:
        """Accept until cancelled; tasks of `requests` serve the connections.

        Connections that are pending then are accepted too.
        """
        watched = self._shared.watch.watch(self._listening.fileno(), lambda: None)
        requests.start_soon(self._lead, requests, watched)
        try:
            await trio.sleep_forever()
        finally:
            self._is_over = True
            self._served = None
            watched.drop()
            trio.lowlevel.notify_closing(self._listening)
            for connection in self._accept_some(BACKLOG + 1):
                requests.start_soon(self._serve, connection)
            self._close_spare()

    def serve_bridged(self, accept: Callable[[], socket.socket]) -> tuple[bytes, Awaitable[None]]:
        """Admit a connection over a bridge, within the agent's limits, as `bridge.Serve`."""
        gate = self._agent.gate
        is_admitted = gate.connect()
        try:
            if is_admitted:
                return b"", self._serve(accept())
        except OSError:
            gate.disconnect()
        error = _FULL if is_admitted else too_many_error(gate.limits)
        return self._count_refusal(error, UNSEEN), gate.crowd_pace.wait()

    def stop(self, reason: Reason) -> None:
        """As `Service.stop`."""
        self._is_stopping = True
        self._service.stop(reason)

    async def _lead(self, requests: trio.Nursery, watched: Watched) -> None:
        """Wait for a connection, serve it, and repeat; pass the lead on if another one comes."""

        def pass_on() -> bool:
            self._served = None
            requests.start_soon(self._lead, requests, watched)
            return False

        first = None
        # One scope for all connections of this task: one that is cut short ends the task.
        with trio.CancelScope() as scope:
            while first := await self._wait_connection(requests):
                self._served = first
                if self._agent.gate.connections > 1:
                    pass_on()
                else:
                    watched.listen(pass_on)
                try:
                    await self._service.serve(first, scope)
                except* Exception as faults:  # noqa: BLE001 - whatever went wrong
                    # Perhaps beside the cancellation of the task, which goes on.
                    _log_fault(faults)
                if self._served is not first:
                    return
                watched.ignore()
        if self._served is not None and self._served is first:
            pass_on()
            watched.ignore()

    async def _serve(self, connection: socket.socket) -> None:
        """Serve a connection in a task of its own."""
        with guard() as scope:
            await self._agent.turns.take()
            await self._service.serve(connection, scope)

    async def _wait_connection(self, requests: trio.Nursery) -> socket.socket | None:
        """Wait for one to serve in this turn; further ones get tasks. None at the end."""
        while not self._is_over:
            while self._unpaced and not self._is_stopping:
                self._unpaced -= 1
                await self._agent.gate.crowd_pace.wait()
            if self._agent.closer.is_full:
                await self._wait_closers()
            try:
                if not self._is_over:
                    await trio.lowlevel.wait_readable(self._listening)
                    await self._agent.turns.take()
            except trio.ClosedResourceError:
                continue
            # The owner may have closed the socket meanwhile.
            if self._is_over:
                return None
            # With few connections, trying for another would only delay the one that came.
            most = AT_ONCE if self._agent.gate.connections >= CROWD else 1
            first, *others = self._accept_some(most) or (None,)
            for connection in others:
                requests.start_soon(self._serve, connection)
            if first is not None:
                return first
        return None

    async def _wait_closers(self) -> None:
        """Log, and wait while too many descriptors from clients hang in close."""
        if not self._is_held_up():
            return
        log.error(
            "agent %s: %d descriptors that its clients have sent do not close; none of its "
            "connections is taken until some do, which ends when what serves them is ended",
            *(self._agent.generation.agent.name, MAX_THREADS),
        )
        # A thread that hangs in a call cannot signal its return.
        while self._is_held_up():  # noqa: ASYNC110
            await trio.sleep(_AGAIN_S)

    def _is_held_up(self) -> bool:
        return self._agent.closer.is_full and not (self._is_stopping or self._is_over)

    def _accept_some(self, limit: int) -> list[socket.socket]:
        """Accept at most `limit` connections; returns those that are not refused."""
        accepted: list[socket.socket] = []
        for _ in range(limit):
            try:
                # accept() would also look up family and type as members of enums, each time.
                number, _ = self._listening._accept()  # type: ignore[attr-defined]  # noqa: SLF001
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno in _OUT_OF_RESOURCES and self._refuse_by_spare():
                    continue
                break
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, number)
            connection.setblocking(False)
            if self._agent.gate.connect():
                accepted.append(connection)
            else:
                self._unpaced += 1
                self._refuse(connection, too_many_error(self._agent.gate.limits))
        return accepted

    def _refuse_by_spare(self) -> bool:
        """Refuse one client because the descriptor table is full, using the spare descriptor.

        Returns whether one was refused. None is while a thread has the spare one's place.
        """
        self._close_spare()
        try:
            connection, _ = self._listening.accept()
        except OSError as error:
            self._unpaced += is_full_table(error)
            return False
        else:
            connection.setblocking(False)
            self._unpaced += 1
            self._refuse(connection, _FULL)
            return True
        finally:
            with suppress(OSError):
                self._spare = _open_spare()

    def _close_spare(self) -> None:
        spare, self._spare = self._spare, None
        if spare is not None:
            os.close(spare)

    def _refuse(self, connection: socket.socket, error: Denied) -> None:
        """Send the reason, which fits into a new connection's empty buffer, and close it.

        Nothing more, so that a flood of connections takes no time from others.
        """
        with connection:
            line = self._count_refusal(error, find_credentials(connection))
            with suppress(OSError):
                connection.send(line)
            # Closing descriptors that a client has sent may block as long as it likes.
            drop_unread(connection, self._agent.closer)

    def _count_refusal(self, error: Denied, client: Credentials) -> bytes:
        """Record a refusal; returns the reason for the client."""
        kind = Kind("invalid", "denied", "limit", error.rule)
        peer = {"pid": client.pid, "uid": client.uid}
        self._shared.audit.count(self._agent.generation.agent.name, kind, peer)
        reason = error.message
        if reason not in self._lines:
            self._lines[reason] = self._service.put(error)
        return self._lines[reason]


@contextmanager
def guard() -> Iterator[trio.CancelScope]:
    """Yield a scope for connections, none of which must end others by a fault of the daemon."""
    try:
        with trio.CancelScope() as scope:
            yield scope
    except Exception as error:  # noqa: BLE001 - whatever went wrong
        _log_fault(error)


def _log_fault(error: Exception) -> None:
    log.error("a fault of the daemon ended a connection; please report it", exc_info=error)


def _open_spare() -> int:
    return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
