"""Accepting connections on one agent's socket, within its limits."""

import errno
import os
import socket
from contextlib import suppress

import trio
from trio.lowlevel import ParkingLot

from airlock_daemon.audit.ledger import Kind
from airlock_daemon.audit.record import Outcome, Record, shorten, shorten_id
from airlock_daemon.connection.ending import Ending
from airlock_daemon.connection.session import ClientGone, Session
from airlock_daemon.errors import Denied
from airlock_daemon.fairness.pace import Pace
from airlock_daemon.platform.linux.peer import peer_credentials
from airlock_daemon.request.exchange import STOPPING, Exchange, say_last, to_wire
from airlock_daemon.request.state import AgentState, DaemonState, log
from airlock_daemon.serving.sockets import BACKLOG
from airlock_wire import ErrorObject, HalfClosed, RemoteProtocolError, Request, ServerSession

_OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

# How many connections are accepted before everybody else has a turn.
AT_ONCE = 4
CROWD = 4


class Listener:
    """Serves one agent's listening socket, which it does not own.

    One task leads: it waits for a connection. It serves that one itself, at once, and another task,
    which waits for nothing but that, leads from then on: to make a task for each connection would
    cost a client a round of the event loop more.
    """

    def __init__(self, shared: DaemonState, agent: AgentState, listening: socket.socket) -> None:
        self._shared = shared
        self._agent = agent
        self._listening = listening
        self._spare = _open_spare()
        self._is_stopping = False
        self._is_over = False
        self._followers = ParkingLot()
        # Of its own: who is refused for what was asked does not keep others from connecting.
        self._pace = Pace(agent.gate.limits.refusals_per_s)
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
                requests.start_soon(self._serve, connection)
            os.close(self._spare)

    def stop(self) -> None:
        """From now on start nothing, and tell every client that the daemon is stopping.

        What runs goes on. Whoever stops all listeners must `end` what is idle, too.
        """
        self._is_stopping = True

    async def _lead(self, requests: trio.Nursery) -> None:
        """Wait for a connection, let another task lead, and serve it; and so on."""
        while first := await self._wait_connection(requests):
            if self._followers:
                self._followers.unpark()
            else:
                requests.start_soon(self._lead, requests)
            await self._serve(first, is_turn=True)
            # One that waits is enough.
            if self._is_over or self._followers:
                return
            await self._followers.park()

    async def _wait_connection(self, requests: trio.Nursery) -> socket.socket | None:
        """Wait for one to serve in this turn; others that came too get tasks. None at the end."""
        while not self._is_over:
            with suppress(trio.ClosedResourceError):
                while self._unpaced and not self._is_stopping:
                    self._unpaced -= 1
                    await self._pace.keep()
                await trio.lowlevel.wait_readable(self._listening)
                await self._agent.turns.take()
                # Where few are connected, to try for another would only hold up the one that came.
                most = AT_ONCE if self._agent.gate.connections >= CROWD else 1
                first, *others = self._accept_some(most) or (None,)
                for connection in others:
                    requests.start_soon(self._serve, connection)
                if first is not None:
                    return first
        return None

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
            limit = self._agent.gate.limits.connections
            reason = f"this agent has {limit} connections open already"
            self._refuse(connection, reason, rule="connections")
        return True

    async def _serve(self, connection: socket.socket, *, is_turn: bool = False) -> None:
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
            log.exception("a fault of the daemon ended a connection")
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
        ending = Ending()
        if self._is_stopping:
            ending.end("stop")
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
        """Wait for the rest of a request; None, with everything said, where the daemon stops.

        Raises Denied when it takes too long, and what `Session.receive` raises.
        """
        limit = self._agent.gate.limits.request_s
        ending = Ending()
        if self._is_stopping:
            ending.end("stop")
        self._shared.idle.add(ending)
        try:
            with ending.scope, trio.move_on_after(limit) as timer:
                return await session.receive()
        finally:
            self._shared.idle.discard(ending)
        if timer.cancelled_caught:
            raise Denied(
                f"no whole request came within {limit:g} s",
                layer="limit",
                rule="request_s",
                hint="send the request at once after connecting",
            )
        self._record(session, "aborted", reason="the daemon stopped")
        await say_last(session, STOPPING)
        return None

    async def _refuse_request(self, session: Session, error: ErrorObject) -> None:
        self._record_refusal(session, error)
        await self._agent.gate.pace.keep()
        await self._say(session, error)

    async def _say(self, session: Session, error: ErrorObject) -> None:
        with trio.move_on_after(self._agent.gate.limits.request_s), suppress(ClientGone):
            await session.send_error(error)

    def _record_refusal(self, session: Session, error: ErrorObject) -> None:
        layer, rule = (error.data.layer, error.data.rule) if error.data else (None, None)
        outcome: Outcome = "denied" if layer == "limit" else "invalid"
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
                peer=_describe_peer(session.connection),
            )
        )

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
            self._refuse(connection, "the daemon has no file descriptors left", rule="descriptors")
        finally:
            self._spare = _open_spare()
        return True

    def _refuse(self, connection: socket.socket, reason: str, *, rule: str) -> None:
        """Say why, which fits into the empty buffer of a new connection, and close it.

        Nothing more: whoever floods an agent with connections gets no time for it.
        """
        self._unpaced += 1
        if rule not in self._lines:
            error = Denied(
                reason, layer="limit", rule=rule, hint="close connections that are not in use"
            )
            self._lines[rule] = ServerSession().send_error(to_wire(error, ""))
        with connection:
            with suppress(OSError):
                connection.send(self._lines[rule])
            kind = Kind("invalid", "denied", "limit", rule)
            self._shared.audit.count(
                self._agent.generation.agent.name, kind, _describe_peer(connection)
            )


def _describe_peer(connection: socket.socket) -> dict[str, int]:
    credentials = peer_credentials(connection)
    return {"pid": credentials.pid, "uid": credentials.uid}


def _open_spare() -> int:
    return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
