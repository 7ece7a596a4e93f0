"""Serves the clients of one agent's socket: their requests, or a refusal."""

import socket
from collections.abc import Coroutine
from contextlib import suppress

import trio

from airlock_daemon.boundary.audit_text import shorten
from airlock_daemon.boundary.fairness import too_many_error
from airlock_daemon.boundary.identity.peer import find_credentials
from airlock_daemon.errors import Denied
from airlock_daemon.serving.audit.record import Outcome, Record, shorten_id
from airlock_daemon.serving.daemon.listener import guard
from airlock_daemon.serving.request import AgentState, DaemonState, Visit, serve_request
from airlock_daemon.serving.session import (
    REMOVED,
    STOPPING,
    Cancellation,
    ClientGone,
    Reason,
)
from airlock_wire import ErrorObject, HalfClosed, RemoteProtocolError, Request, ServerSession


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

    async def _serve_relayed(self, session: Visit) -> None:
        """Serve a connection over a relay to its end; it counts as one of the agent's.

        Like the relay's command, it may continue while the daemon stops.
        """
        if self._agent.gate.connect():
            with guard() as scope:
                await self._serve(session, scope)
            return
        try:
            await self._refuse(session, too_many_error(self._agent.gate.limits).to_wire())
        finally:
            session.close()

    def serve(
        self, connection: socket.socket, scope: trio.CancelScope
    ) -> Coroutine[object, object, None]:
        """As `Service.serve`."""
        return self._serve(Visit(connection, self._agent, None), scope)

    async def _serve(self, session: Visit, scope: trio.CancelScope) -> None:
        gate = self._agent.gate
        received, weight = None, 0
        try:
            # It is nearly always complete; only otherwise is a timer worth its cost.
            received = session.receive_at_once() or await self._wait_request(session)
            if isinstance(received, Request):
                weight = gate.reserve_request(received, session.bytes_in)
                cancellation = self._begin(session, scope)
                await serve_request(
                    received,
                    session,
                    cancellation,
                    agent=self._agent,
                    shared=self._shared,
                    converse=lambda connection, origin: self._serve_relayed(
                        Visit(connection, self._agent, origin)
                    ),
                )
        except RemoteProtocolError as error:
            await self._refuse(session, error.error)
        except Denied as error:
            # The memory of a whole request is in use meanwhile.
            await self._refuse(session, error.to_wire(), at_once=received is not None)
        except ClientGone:
            pass
        finally:
            gate.release(weight)
            session.close()
            gate.disconnect()

    async def _wait_request(self, session: Visit) -> Request | HalfClosed | None:
        """Wait for the rest of a request; None, once answered, if the daemon or agent stops.

        Raises Denied on timeout, and what `Session.receive` raises.
        """
        limit = self._agent.gate.limits.request_s
        cancellation = self._begin(session, trio.CancelScope())
        if session.origin is None:
            self._idle.add(cancellation)
        try:
            with cancellation.scope, trio.move_on_after(limit) as timer:
                return await session.receive()
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
            self._record_refusal(session, REMOVED)
            await session.send_final_error(REMOVED)
            return None
        self._record(session, "aborted", reason="the daemon stopped")
        await session.send_final_error(STOPPING)
        return None

    def _begin(self, session: Visit, scope: trio.CancelScope) -> Cancellation:
        cancellation = Cancellation(scope)
        if self._reason and session.origin is None:
            cancellation.end(self._reason)
        return cancellation

    async def _refuse(self, session: Visit, error: ErrorObject, *, at_once: bool = False) -> None:
        self._record_refusal(session, error)
        if not at_once:
            await self._agent.gate.pace.wait()
        with trio.move_on_after(self._agent.gate.limits.request_s), suppress(ClientGone):
            await session.send_error(error)

    def _record_refusal(self, session: Visit, error: ErrorObject) -> None:
        layer, rule = (error.data.layer, error.data.rule) if error.data else (None, None)
        outcome: Outcome = "denied" if layer is not None else "invalid"
        self._record(session, outcome, reason=error.message, layer=layer, rule=rule)

    def _record(
        self,
        session: Visit,
        outcome: Outcome,
        *,
        reason: str,
        layer: str | None = None,
        rule: str | None = None,
    ) -> None:
        """Record a connection without a valid request; its client over a relay is the command's."""
        origin = session.origin
        if origin is None:
            peer = describe_peer(session.connection)
        else:
            peer = {"pid": origin.peer.pid, "uid": origin.peer.uid}
        self._shared.record(
            Record(
                event="invalid",
                id=shorten_id(session.request_id),
                profile=self._agent.generation.agent.name,
                outcome=outcome,
                reason=shorten(reason),
                layer=layer,
                rule=rule,
                request=None if origin is None else origin.request,
                peer=peer,
            )
        )


def describe_peer(connection: socket.socket) -> dict[str, int]:
    """The process that connected, for records."""
    credentials = find_credentials(connection)
    return {"pid": credentials.pid, "uid": credentials.uid}
