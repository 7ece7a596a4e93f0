"""Serving those who have connected to one agent's socket: their requests, or why there are none."""

import socket
from contextlib import suppress

import trio

from airlock_daemon.audit.record import Outcome, Record, shorten, shorten_id
from airlock_daemon.connection.ending import Ending, Reason
from airlock_daemon.connection.session import ClientGone, Session
from airlock_daemon.errors import Denied
from airlock_daemon.platform.linux.peer import peer_credentials
from airlock_daemon.request.exchange import REMOVED, STOPPING, Exchange, say_last, to_wire
from airlock_daemon.request.state import AgentState, DaemonState, log
from airlock_wire import ErrorObject, HalfClosed, RemoteProtocolError, Request


class Clients:
    """The connections of one agent that were accepted."""

    def __init__(self, shared: DaemonState, agent: AgentState) -> None:
        self._shared = shared
        self._agent = agent
        self._reason: Reason | None = None
        self._idle: set[Ending] = set()

    def stop(self, reason: Reason) -> None:
        """From now on start nothing, and tell every client why: "stop" or "removed".

        What runs or waits for its place goes on.
        """
        self._reason = reason
        for ending in list(self._idle):
            ending.end(reason)

    async def serve(self, connection: socket.socket, *, is_turn: bool = False) -> None:
        """Serve a connection to its end; `is_turn` says that this step is one of the agent's."""
        agent = self._agent
        session = Session(
            connection,
            agent.generation.limits,
            gate=agent.gate,
            closer=agent.closer,
            turns=agent.turns,
        )
        try:
            if not is_turn:
                await agent.turns.take()
            request = await self._receive(session)
            if request is not None:
                await self._carry_out(session, request)
        except Exception:  # noqa: BLE001 - whatever went wrong
            # One connection must not end the others'.
            log.exception("a fault of the daemon ended a connection; please report it")
        finally:
            session.close()
            agent.gate.disconnect()

    async def _carry_out(self, session: Session, request: Request) -> None:
        try:
            weight = self._agent.gate.hold_request(request, session.bytes_in)
        except Denied as error:
            # At once, since it would keep its memory while it waits for the pace of refusals.
            refusal = to_wire(error, request.command)
            self._record_refusal(session, refusal)
            await self._say(session, refusal)
            return
        ending = self._begin()
        self._shared.running.add(ending)
        try:
            await Exchange(self._shared, self._agent, session, request).run(ending)
        finally:
            self._shared.running.discard(ending)
            self._agent.gate.release(weight)

    async def _receive(self, session: Session) -> Request | None:
        """Read the request; None, with everything said and recorded, when there is none to run."""
        try:
            # Nearly always it is all there; else a timer is worth its price.
            event = session.receive_at_once() or await self._wait_request(session)
        except RemoteProtocolError as error:
            await self._refuse_request(session, error.error)
            return None
        except Denied as error:
            await self._refuse_request(session, to_wire(error, ""))
            return None
        except ClientGone:
            return None
        return event if isinstance(event, Request) else None

    async def _wait_request(self, session: Session) -> Request | HalfClosed | None:
        """Wait for the rest of a request; None, with everything said, where it comes too late.

        Raises Denied when it takes too long, and what `Session.receive` raises.
        """
        limit = self._agent.gate.limits.request_s
        ending = self._begin()
        self._idle.add(ending)
        try:
            with ending.scope, trio.move_on_after(limit) as timer:
                return await session.receive()
        finally:
            self._idle.discard(ending)
        if timer.cancelled_caught:
            raise Denied(
                f"no whole request came within {limit:g} s",
                layer="limit",
                rule="request_s",
                hint="send the request at once after connecting",
            )
        if ending.reason == "removed":
            self._record_refusal(session, REMOVED)
            await say_last(session, REMOVED)
            return None
        self._record(session, "aborted", reason="the daemon stopped")
        await say_last(session, STOPPING)
        return None

    def _begin(self) -> Ending:
        ending = Ending()
        if self._reason:
            ending.end(self._reason)
        return ending

    async def _refuse_request(self, session: Session, error: ErrorObject) -> None:
        self._record_refusal(session, error)
        await self._agent.gate.pace.keep()
        await self._say(session, error)

    async def _say(self, session: Session, error: ErrorObject) -> None:
        with trio.move_on_after(self._agent.gate.limits.request_s), suppress(ClientGone):
            await session.send_error(error)

    def _record_refusal(self, session: Session, error: ErrorObject) -> None:
        layer, rule = (error.data.layer, error.data.rule) if error.data else (None, None)
        outcome: Outcome = "denied" if layer is not None else "invalid"
        self._record(session, outcome, reason=error.message, layer=layer, rule=rule)

    def _record(
        self,
        session: Session,
        outcome: Outcome,
        *,
        reason: str,
        layer: str | None = None,
        rule: str | None = None,
    ) -> None:
        """Write down what came by a connection and was no request that could be looked at."""
        self._shared.record(
            Record(
                event="invalid",
                id=shorten_id(session.request_id),
                profile=self._agent.generation.agent.name,
                outcome=outcome,
                reason=shorten(reason),
                layer=layer,
                rule=rule,
                peer=describe_peer(session.connection),
            )
        )


def describe_peer(connection: socket.socket) -> dict[str, int]:
    """Who connected, as a record has it."""
    credentials = peer_credentials(connection)
    return {"pid": credentials.pid, "uid": credentials.uid}
