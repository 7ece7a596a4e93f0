"""Serves the clients of one agent's socket: their requests, or a refusal."""

import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from airlock_daemon.boundary.audit_text import shorten
from airlock_daemon.boundary.fairness.gate import too_many_error
from airlock_daemon.boundary.identity.peer import find_credentials
from airlock_daemon.errors import Denied
from airlock_daemon.serving.audit.record import Outcome, Record, shorten_id
from airlock_daemon.serving.daemon.listener import guard
from airlock_daemon.serving.request.exchange import serve_request
from airlock_daemon.serving.request.state import AgentState, DaemonState
from airlock_daemon.serving.session import (
    REMOVED,
    STOPPING,
    Cancellation,
    ClientGone,
    Reason,
    Received,
    Session,
)
from airlock_wire import ErrorObject, HalfClosed, RemoteProtocolError, ServerSession

if TYPE_CHECKING:
    from airlock_daemon.serving.request.relay import Origin


class Clients:
    """The accepted connections of one agent."""

    def __init__(self, shared: DaemonState, agent: AgentState) -> None:
        self._shared = shared
        self._agent = agent
        self._reason: Reason | None = None
        self._idle: set[Cancellation] = set()

    def stop(self, reason: Reason) -> None:
        """As `Service.stop`, with reason "stop" or "removed".

        Requests that run or wait for a slot continue.
        """
        self._reason = reason
        for cancellation in list(self._idle):
            cancellation.end(reason)

    def put(self, error: Denied) -> bytes:
        """As `Service.put`."""
        return ServerSession().send_error(error.to_wire())

    async def serve_relayed(self, connection: socket.socket, origin: "Origin") -> None:
        """Serve a connection over a relay to its end; it counts as one of the agent's.

        Like the relay's command, it may continue while the daemon stops.
        """
        if self._agent.gate.connect():
            with guard() as scope:
                await self.serve(connection, scope, origin)
            return
        visit = _Visit(connection, self._agent, origin)
        try:
            await self._refuse_request(visit, too_many_error(self._agent.gate.limits).to_wire())
        finally:
            visit.session.close()

    async def serve(
        self, connection: socket.socket, scope: trio.CancelScope, origin: "Origin | None" = None
    ) -> None:
        """As `Service.serve`; `origin` is the command whose relay it came over."""
        visit = _Visit(connection, self._agent, origin)
        try:
            received = await self._receive(visit)
            if received is not None:
                await self._carry_out(visit, received, scope)
        finally:
            visit.session.close()
            self._agent.gate.disconnect()

    async def _carry_out(
        self, visit: "_Visit", received: Received, scope: trio.CancelScope
    ) -> None:
        try:
            weight = self._agent.gate.reserve_request(received.request, visit.session.bytes_in)
        except Denied as error:
            # Without waiting for the pace of refusals, as its memory is in use meanwhile.
            refusal = error.to_wire()
            self._record_refusal(visit, refusal)
            await self._say(visit, refusal)
            return
        cancellation = self._begin(visit, scope)
        if visit.origin is None:
            self._shared.running.add(cancellation)
        try:
            await serve_request(
                received,
                visit.session,
                cancellation,
                agent=self._agent,
                shared=self._shared,
                converse=self.serve_relayed,
                origin=visit.origin,
            )
        finally:
            self._shared.running.discard(cancellation)
            self._agent.gate.release(weight)

    async def _receive(self, visit: "_Visit") -> Received | None:
        """Read the request; None, once answered and recorded, if there is none to run."""
        try:
            # It is nearly always complete; only otherwise is a timer worth its cost.
            event = visit.session.receive_at_once() or await self._wait_request(visit)
        except RemoteProtocolError as error:
            await self._refuse_request(visit, error.error)
            return None
        except Denied as error:
            await self._refuse_request(visit, error.to_wire())
            return None
        except ClientGone:
            return None
        return event if isinstance(event, Received) else None

    async def _wait_request(self, visit: "_Visit") -> Received | HalfClosed | None:
        """Wait for the rest of a request; None, once answered, if the daemon or agent stops.

        Raises Denied on timeout, and what `Session.receive` raises.
        """
        limit = self._agent.gate.limits.request_s
        cancellation = self._begin(visit, trio.CancelScope())
        if visit.origin is None:
            self._idle.add(cancellation)
        try:
            with cancellation.scope, trio.move_on_after(limit) as timer:
                return await visit.session.receive()
        finally:
            self._idle.discard(cancellation)
        if timer.cancelled_caught:
            raise Denied(
                f"no whole request came within {limit:g} s",
                layer="limit",
                rule="request_s",
                hint="send the request at once after connecting",
            )
        if cancellation.reason == "removed":
            self._record_refusal(visit, REMOVED)
            await visit.session.send_final_error(REMOVED)
            return None
        self._record(visit, "aborted", reason="the daemon stopped")
        await visit.session.send_final_error(STOPPING)
        return None

    def _begin(self, visit: "_Visit", scope: trio.CancelScope) -> Cancellation:
        cancellation = Cancellation(scope)
        if self._reason and visit.origin is None:
            cancellation.end(self._reason)
        return cancellation

    async def _refuse_request(self, visit: "_Visit", error: ErrorObject) -> None:
        self._record_refusal(visit, error)
        await self._agent.gate.pace.wait()
        await self._say(visit, error)

    async def _say(self, visit: "_Visit", error: ErrorObject) -> None:
        with trio.move_on_after(self._agent.gate.limits.request_s), suppress(ClientGone):
            await visit.session.send_error(error)

    def _record_refusal(self, visit: "_Visit", error: ErrorObject) -> None:
        layer, rule = (error.data.layer, error.data.rule) if error.data else (None, None)
        outcome: Outcome = "denied" if layer is not None else "invalid"
        self._record(visit, outcome, reason=error.message, layer=layer, rule=rule)

    def _record(
        self,
        visit: "_Visit",
        outcome: Outcome,
        *,
        reason: str,
        layer: str | None = None,
        rule: str | None = None,
    ) -> None:
        """Record a connection without a valid request."""
        self._shared.record(
            Record(
                event="invalid",
                id=shorten_id(visit.session.request_id),
                profile=self._agent.generation.agent.name,
                outcome=outcome,
                reason=shorten(reason),
                layer=layer,
                rule=rule,
                request=None if visit.origin is None else visit.origin.request,
                peer=visit.peer,
            )
        )


class _Visit:
    """One connection; `origin` is its relay's command, None on the agent's socket.

    `peer` is the client, for records.
    """

    def __init__(
        self, connection: socket.socket, agent: AgentState, origin: "Origin | None"
    ) -> None:
        self.origin = origin
        self.session = Session(
            connection,
            agent.generation.limits,
            gate=agent.gate,
            closer=agent.closer,
            turns=agent.turns,
        )

    @property
    def peer(self) -> dict[str, int]:
        """The process that connected, or the client of the relay's command."""
        if self.origin is None:
            return describe_peer(self.session.connection)
        return {"pid": self.origin.peer.pid, "uid": self.origin.peer.uid}


def describe_peer(connection: socket.socket) -> dict[str, int]:
    """The process that connected, for records."""
    credentials = find_credentials(connection)
    return {"pid": credentials.pid, "uid": credentials.uid}
