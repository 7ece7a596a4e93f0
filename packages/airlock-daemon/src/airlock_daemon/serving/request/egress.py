"""The network of one boxed command: APIs, its module's destinations, a docker engine."""

import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

import trio

from airlock_daemon.boundary.audit_text import shorten
from airlock_daemon.boundary.box import Boxed
from airlock_daemon.boundary.brokers.egress.conversation import BoxConnection
from airlock_daemon.boundary.brokers.egress.destinations import (
    Destination,
    Routes,
    World,
    read_network,
)
from airlock_daemon.boundary.connection.descriptors import drop_unread, receive
from airlock_daemon.boundary.fairness import too_many_error
from airlock_daemon.boundary.identity.peer import Peer
from airlock_daemon.errors import AirlockError, Denied
from airlock_daemon.serving.audit.record import Outcome
from airlock_daemon.serving.request.recording import Recording
from airlock_daemon.serving.request.state import AgentState, Caller, DaemonState, log
from airlock_modules import Module
from airlock_modules.operation import Operation

if TYPE_CHECKING:
    from airlock_daemon.boundary.box import ApiAccess

# The connections that a command may have at a time; others wait in its box. Tools that use APIs
# keep many idle connections open.
AT_ONCE = 16
_AT_ONCE_WITH_APIS = 128

# The most reasons that a client is sent.
_MAX_REFUSED = 3

# Seconds to wait for a free descriptor.
_FULL_S = 0.1


class Egress:
    """Serves a command's connections while it runs; each counts as one of the agent's."""

    def __init__(
        self,
        boxed: Boxed,
        end: socket.socket,
        module: Module,
        *,
        recording: Recording,
        caller: Caller,
        peer: Peer,
        agent: AgentState,
        shared: DaemonState,
    ) -> None:
        """The box, which has listeners, sends them over `end`, which the caller owns.

        `peer` is the client of its command, and `caller` describes it.
        """
        listeners = boxed.box.listeners
        if listeners is None:
            raise TypeError(module.name)
        self._peer = peer
        self._listeners = listeners
        self._end = end
        self._recording = recording
        self._caller = caller
        self._agent = agent
        self._room = trio.Semaphore(AT_ONCE)
        self._room_with_apis = trio.Semaphore(_AT_ONCE_WITH_APIS)
        self._command = module.name
        setting = f"[sandbox] network of {module.source}"
        self._world = World(variables=shared.environment, lookups=agent.lookups, setting=setting)
        self._network = listeners.network
        self._ways = Routes(listeners.network, self._world)
        self._refused: dict[str, None] = {}

    @property
    def refused(self) -> tuple[str, ...]:
        """The reasons of the first refused or failed connections, without duplicates."""
        return tuple(self._refused)

    def _find_network(self) -> tuple[str, ...]:
        """The destinations that the module allows now; a reload may have removed some."""
        grant = self._agent.generation.grant
        module = grant.modules.get(self._command) if grant.grants(self._command) else None
        return () if module is None or module.sandbox is None else module.sandbox.network

    def _find_ways(self) -> Routes:
        """The routes to the allowed destinations; resolves names again if a reload changed them."""
        network = read_network(self._find_network())
        if network != self._network:
            self._network, self._ways = network, Routes(network, self._world)
        return self._ways

    async def serve(self, nursery: trio.Nursery) -> None:
        """Receive listeners and accept connections until cancelled, then close the listeners."""
        for listener in await self._receive():
            nursery.start_soon(self._listen, listener, nursery)

    async def _receive(self) -> list[socket.socket]:
        """Receive the listening sockets from the launcher in the box; none if it has ended."""
        while True:
            await trio.lowlevel.wait_readable(self._end)
            await self._agent.turns.take()
            try:
                _, numbers = receive(self._end, 1)
                listeners = [socket.socket(fileno=number) for number in numbers]
                for listener in listeners:
                    listener.setblocking(False)
            except BlockingIOError:
                continue
            except OSError:
                # The box has exited, which the command's end reports.
                return []
            return listeners

    async def _listen(self, listener: socket.socket, nursery: trio.Nursery) -> None:
        with self._own(listener):
            hold, room = self._call_engine, self._room
            if listener.family != socket.AF_UNIX:
                host, port = listener.getsockname()[:2]
                here = Destination(host, port, ipaddress.ip_address(host))
                if here == self._listeners.apis:
                    hold, room = self._pass_on, self._room_with_apis
                else:
                    hold = partial(self._converse, named=self._listeners.find_forwarded(here))
            while True:
                await trio.lowlevel.wait_readable(listener)
                await room.acquire()
                connection = await self._accept(listener)
                if connection is None:
                    room.release()
                else:
                    nursery.start_soon(self._hold, partial(hold, connection), connection, room)

    @contextmanager
    def _own(self, listener: socket.socket) -> Iterator[None]:
        """Close the listener at the end, with its pending connections."""
        with listener:
            try:
                yield
            finally:
                if listener.family == socket.AF_UNIX:
                    self._drop_waiting(listener)

    def _drop_waiting(self, listener: socket.socket) -> None:
        with suppress(OSError):
            # Refuse new connections.
            listener.shutdown(socket.SHUT_RDWR)
            while True:
                connection, _ = listener.accept()
                with connection:
                    drop_unread(connection, self._agent.closer)

    async def _accept(self, listener: socket.socket) -> trio.SocketStream | None:
        await self._agent.turns.take()
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            return None
        except OSError:
            # The connection is closed already, or no descriptor is free.
            await trio.sleep(_FULL_S)
            return None
        return trio.SocketStream(trio.socket.from_stdlib_socket(connection))

    async def _hold(
        self,
        converse: Callable[[], Awaitable[None]],
        connection: trio.SocketStream,
        room: trio.Semaphore,
    ) -> None:
        try:
            async with connection:
                await converse()
        except Exception:  # noqa: BLE001 - whatever went wrong
            # A fault in one connection must not end the others, nor the command.
            log.exception("a fault of the daemon ended a conversation; please report it")
        finally:
            room.release()

    async def _converse(self, connection: trio.SocketStream, *, named: Destination | None) -> None:
        client, gate = self._wrap(connection), self._agent.gate
        if not gate.connect():
            error = too_many_error(gate.limits)
            self._tell(client, named, error)
            # A client of a fixed destination would take the refusal for the destination's reply.
            if named is None:
                await client.refuse(error, HTTPStatus.SERVICE_UNAVAILABLE)
            return
        try:
            await client.converse(self._find_ways(), partial(self._tell, client), named=named)
        finally:
            gate.disconnect()

    async def _call_engine(self, connection: trio.SocketStream) -> None:
        """Pass the connection to the agent's broker of the docker engine."""
        agent = self._agent
        if agent.engines is None:
            raise TypeError(self._command)
        if not agent.gate.connect():
            error = too_many_error(agent.gate.limits)
            self._note_refused(f"{error.message}; {error.hint}")
            await self._wrap(connection).send_final(agent.engines.put(error))
            return
        try:
            # If a reload took docker from the agent, the broker itself answers that.
            await agent.engines.carry(connection, self._caller, self._peer)
        finally:
            agent.gate.disconnect()

    async def _pass_on(self, connection: trio.SocketStream) -> None:
        """Pass the connection to the agent's HTTPS broker."""
        agent = self._agent
        if not agent.gate.connect():
            error = too_many_error(agent.gate.limits)
            client = self._wrap(connection)
            self._tell(client, None, error)
            await client.refuse(error, HTTPStatus.SERVICE_UNAVAILABLE)
            return
        try:
            # If a reload removed the agent's last API, the broker itself answers that.
            if agent.apis is not None:
                await agent.apis.carry(
                    connection, self._caller, self._find_network, self._note_refused
                )
        finally:
            agent.gate.disconnect()

    def _wrap(self, connection: trio.SocketStream) -> BoxConnection:
        return BoxConnection(connection, self._agent.turns, self._agent.closer)

    def _tell(
        self, client: BoxConnection, wanted: Destination | None, error: AirlockError | None
    ) -> None:
        """Record a connection's outcome; without `wanted` it could not be parsed."""
        destination = () if wanted is None else (str(wanted),)
        operation = Operation(("connect", *destination))
        detail: dict[str, object] = {"operation": shorten(operation.line), "service": "connect"}
        if destination:
            detail["destination"] = shorten(destination[0])
        detail |= {"bytes": client.sent, "received": client.received}
        if error is not None:
            self._note_refused(f"{error.message}; {error.hint}")
        is_denied = isinstance(error, Denied)
        outcome: Outcome = "allowed" if error is None else "denied" if is_denied else "failed"
        self._recording.write_conversation(
            outcome,
            detail,
            rule=error.rule if isinstance(error, Denied) else None,
            reason=None if error is None else error.message,
        )

    def _note_refused(self, reason: str) -> None:
        """Store the first reasons for the client."""
        if len(self._refused) < _MAX_REFUSED:
            self._refused[reason] = None


class Apis(Protocol):
    """Serves one agent's APIs to its containers and boxes."""

    async def prepare(self) -> "ApiAccess":
        """Publish what a box needs for APIs, and return it; raises AirlockError."""

    async def carry(
        self,
        connection: trio.SocketStream,
        caller: Caller,
        network: Callable[[], tuple[str, ...]],
        tell: Callable[[str], None],
    ) -> None:
        """Serve a connection from a box to its end; the caller closes it.

        `caller` is the client of the box's command. Besides the agent's credential-free
        destinations, the connection may reach those of `network`, which is called again after each
        reload. `tell` gets the reason of a refusal. Raises nothing but cancellation.
        """


class Engines(Protocol):
    """Serves one agent's calls of a docker engine to its boxes."""

    def put(self, error: Denied) -> bytes:
        """A refusal of a connection, in the engine's form."""

    async def carry(self, connection: trio.SocketStream, caller: Caller, peer: Peer) -> None:
        """Serve a connection from a box of a command of `peer` to its end, and close it.

        `caller` describes `peer`. Raises nothing but cancellation.
        """

    async def remove_own(self) -> None:
        """Remove what the agent has made at the engine: it was removed. Logs what stays."""
