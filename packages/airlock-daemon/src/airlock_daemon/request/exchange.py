"""The life of one request, from the parsed message to its answer and its audit record."""

from contextlib import suppress
from functools import partial

import trio
from msgspec.structs import replace

from airlock_daemon.connection.ending import Ending
from airlock_daemon.connection.session import ClientGone, Session
from airlock_daemon.errors import (
    AirlockError,
    Denied,
    Failed,
    UnknownCommand,
    full_table,
    is_full_table,
    own_fault,
)
from airlock_daemon.identity.peer import Peer, check_claim, identify, refuse_own
from airlock_daemon.platform.linux.peer import peer_credentials
from airlock_daemon.request.asks import Asks
from airlock_daemon.request.client import Client
from airlock_daemon.request.decision import Allowed, decide, decide_relayed, hand_over
from airlock_daemon.request.origin import Origin
from airlock_daemon.request.plan import Plan, Talk, plan
from airlock_daemon.request.pre_exec import consult
from airlock_daemon.request.recording import Recording, RelayedRecording
from airlock_daemon.request.relay import Converse
from airlock_daemon.request.running import Runner
from airlock_daemon.request.state import AgentState, DaemonState, log
from airlock_daemon.request.steps import Steps
from airlock_wire import ErrorObject, Request

# How long a client that is told that its request was ended may take to read that.
LAST_WORD_S = 1.0

STOPPING = ErrorObject.failed("the daemon is stopping", hint="try again when it runs again")

REMOVED = ErrorObject.denied(
    "this agent is not registered any more",
    layer="profile",
    rule="registration",
    hint="a person on the host can register it again: airlock-daemon agent add",
)


class Exchange:
    """One request of one client. `run` does everything, and never raises but for cancellation.

    It decides by the generation that the agent had when the request came.
    """

    def __init__(
        self,
        shared: DaemonState,
        agent: AgentState,
        session: Session,
        request: Request,
        *,
        converse: Converse,
        origin: Origin | None = None,
    ) -> None:
        """`converse` serves what the command asks for over a relay; `origin` is whose this is."""
        self._shared = shared
        self._agent = agent
        self._generation = agent.generation
        self._session = session
        if origin is None:
            request = self._hand_over(request)
        self._request = request
        self._converse = converse
        self._origin = origin
        name = agent.generation.agent.name
        self._recording = (
            Recording(shared, session, request, name)
            if origin is None
            else RelayedRecording(shared, session, request, name, origin)
        )

    async def run(self, ending: Ending) -> None:
        """Carry the request out until it is answered, or until `ending` is told to end it."""
        hang_up = partial(ending.end, "hangup")
        watched = self._shared.watch.watch(self._session.connection.fileno(), hang_up)
        try:
            with ending.scope:
                client = Client(session=self._session, watched=watched, ending=ending)
                await self._carry_out(client)
        finally:
            watched.drop()
        if self._recording.is_written and self._session.is_answered:
            return
        await self._abort(ending)

    async def _carry_out(self, client: Client) -> None:
        try:
            await self._perform(client)
        except ClientGone:
            client.ending.reason = client.ending.reason or "hangup"
        except AirlockError as error:
            await self._refuse(error)
            # Where one of its frames holds it too, they would keep the request until a collection.
            error.__traceback__ = None
        except Exception as error:  # noqa: BLE001 - fail closed, whatever it is
            if is_full_table(error):
                await self._refuse(full_table())
                return
            # A fault of ours must neither let a request through nor take the daemon down with it.
            log.exception(
                "a fault of the daemon ended request %s; please report it",
                self._recording.request,
            )
            await self._refuse(own_fault(error))

    async def _perform(self, client: Client) -> None:
        peer = self._identify()
        # Where the daemon is stopping nothing is begun.
        await trio.lowlevel.checkpoint_if_cancelled()
        await self._steps.refuse_engine_socket(peer)
        allowed = self._decide(self._request)
        if self._request.method == "check":
            not_consulted = await self._steps.check(peer, allowed)
            self._recording.write("allowed")
            await self._session.send_decision(not_consulted)
            return
        hooks = self._generation.agent.hooks
        rewritten = await self._go_on(allowed, peer, client, pre_exec=hooks.pre_exec)
        if rewritten is not None:
            # From the beginning, but for the hook and for who asks.
            rewritten = self._hand_over(rewritten)
            self._recording.note_rewritten(self._request, rewritten)
            self._request = rewritten
            allowed = self._decide(rewritten)
            await self._go_on(allowed, peer, client, pre_exec=None)

    def _hand_over(self, request: Request) -> Request:
        """As `hand_over`."""
        command, args = hand_over(self._generation.grant, request.command, request.args)
        if command == request.command:
            return request
        return replace(request, command=command, args=args)

    def _decide(self, request: Request) -> Allowed:
        """As `decide`; over a relay for the commands alone that the box may ask for."""
        if self._origin is None:
            return decide(self._generation.grant, request)
        return decide_relayed(self._generation.grant, request, self._origin.commands)

    async def _go_on(
        self, allowed: Allowed, peer: Peer, client: Client, *, pre_exec: str | None
    ) -> Request | None:
        """Do what is allowed; or return the request that a hook, if there is one, puts for it."""
        if allowed.module.broker is None:
            return await self._run(allowed, peer, client, pre_exec=pre_exec)
        asked = self._steps.ask_broker(allowed.module)
        try:
            make_plan = await self._steps.admit(asked, allowed.module)
            if pre_exec is not None:
                container = await self._steps.prove(peer)
                request = await self._consult(pre_exec, container=container)
                if request != self._request:
                    return request
            planned = make_plan(peer=peer, passed=self._session.passed)
            await self._execute(planned, allowed, client, peer)
            return None
        finally:
            await asked.leave(self._agent.removals)

    async def _run(
        self, allowed: Allowed, peer: Peer, client: Client, *, pre_exec: str | None
    ) -> Request | None:
        steps = self._steps
        workspace = await steps.enter(peer, allowed.module)
        try:
            args = await steps.hold(allowed, workspace)
            if pre_exec is not None:
                container = peer.container if workspace.is_proven else None
                request = await self._consult(pre_exec, container=container)
                if request != self._request:
                    return request
            access = await steps.prepare_access(allowed.module)
            planned = await steps.settle(
                workspace,
                lambda: plan(
                    self._request,
                    self._generation,
                    allowed.module,
                    maker=steps.find_maker(allowed.module),
                    args=args,
                    workspace=workspace,
                    peer=peer,
                    passed=self._session.passed,
                    environment=self._shared.environment,
                    access=access,
                ),
            )
            await self._execute(planned, allowed, client, peer)
            return None
        finally:
            await workspace.leave(self._agent.removals)

    async def _consult(self, pre_exec: str, *, container: str | None) -> Request:
        return await consult(
            self._request,
            pre_exec,
            container=container,
            generation=self._generation,
            agent=self._agent,
            shared=self._shared,
        )

    async def _execute(
        self, planned: Plan | Talk, allowed: Allowed, client: Client, peer: Peer
    ) -> None:
        runner = Runner(
            client=client,
            generation=self._generation,
            agent=self._agent,
            shared=self._shared,
            recording=self._recording,
            asks=Asks(
                self._recording.request,
                peer,
                self._converse,
                agent=self._agent,
                shared=self._shared,
                is_relayed=self._origin is not None,
            ),
        )
        await runner.run(planned, allowed.module)

    def _identify(self) -> Peer:
        if self._origin is not None:
            return self._origin.peer
        connection = self._session.connection
        credentials = peer_credentials(connection)
        self._recording.note(peer={"pid": credentials.pid, "uid": credentials.uid})
        peer = identify(connection, credentials)
        self._recording.note(container=peer.container)
        refuse_own(peer, self._shared.ancestry)
        check_claim(peer, self._request.container_id)
        return peer

    @property
    def _steps(self) -> Steps:
        return Steps(
            self._request,
            generation=self._generation,
            agent=self._agent,
            shared=self._shared,
            recording=self._recording,
        )

    async def _refuse(self, error: AirlockError) -> None:
        if isinstance(error, Denied):
            self._recording.note(layer=error.layer, rule=error.rule)
        self._recording.write("failed" if isinstance(error, Failed) else "denied", error.message)
        await self._agent.gate.pace.keep()
        with suppress(ClientGone):
            await self._session.send_error(to_wire(error, self._request.command))

    async def _abort(self, ending: Ending) -> None:
        """Record a request that was cut short, and tell a client that is still there."""
        if ending.error is not None:
            self._recording.write("invalid", ending.error.message)
            last_word = ending.error
        elif ending.reason == "stop":
            self._recording.write("aborted", "the daemon stopped")
            last_word = STOPPING
        elif ending.reason == "removed":
            self._recording.note(layer="profile", rule="registration")
            self._recording.write("denied", REMOVED.message)
            last_word = REMOVED
        else:
            self._recording.write("aborted", "the client hung up")
            return
        await say_last(self._session, last_word)


async def say_last(session: Session, error: ErrorObject) -> None:
    """Answer a client whose request was ended from outside, if it still listens."""
    patience = trio.CancelScope(deadline=trio.current_time() + LAST_WORD_S, shield=True)
    with patience, suppress(ClientGone):
        await session.send_error(error)


def to_wire(error: AirlockError, command: str) -> ErrorObject:
    """The error message for a refusal."""
    if isinstance(error, Denied):
        return ErrorObject.denied(
            error.message, layer=error.layer, rule=error.rule, hint=error.hint
        )
    if isinstance(error, UnknownCommand):
        return ErrorObject.unknown_command(command, hint=error.hint)
    return ErrorObject.failed(error.message, hint=error.hint)
