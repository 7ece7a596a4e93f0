"""The life of one request, from the parsed message to its answer and its audit record."""

import secrets
import time
from contextlib import suppress
from functools import partial

import msgspec
import trio

from airlock_daemon.audit.record import Outcome, Record, shorten, shorten_all, shorten_id
from airlock_daemon.command.launch import Ended
from airlock_daemon.connection.ending import Ending
from airlock_daemon.connection.session import ClientGone, Session
from airlock_daemon.errors import AirlockError, Denied, Failed, UnknownCommand
from airlock_daemon.identity import peer as peers
from airlock_daemon.identity.peer import Peer
from airlock_daemon.request.client_input import Hearing
from airlock_daemon.request.execution import Execution
from airlock_daemon.request.state import Host, Service, log
from airlock_daemon.workspace import directory as workspace
from airlock_daemon.workspace.directory import Workspace
from airlock_daemon.workspace.mapping import see_mounts
from airlock_daemon.workspace.path_arguments import hold_paths, judge_paths
from airlock_modules import Module, PathUse, evaluate
from airlock_wire import ErrorObject, Request

# How long a client that is told that its request was ended may take to read that.
LAST_WORD_S = 1.0

STOPPING = ErrorObject.failed("the daemon is stopping", hint="try again when it runs again")


class Exchange:
    """One request of one client. `run` does everything, and never raises but for cancellation."""

    def __init__(self, host: Host, service: Service, session: Session, request: Request) -> None:
        self._host = host
        self._service = service
        self._session = session
        self._request = request
        self._started = time.monotonic()
        self._is_recorded = False
        self._is_passed = False
        self._record = Record(
            event="exec" if request.method == "exec" else "check",
            request=secrets.token_hex(8),
            id=shorten_id(request.id),
            profile=service.agent.name,
            command=shorten(request.command),
            args=shorten_all(request.args),
            cwd=None if request.cwd is None else shorten(request.cwd),
            sandbox="off" if request.method == "exec" else None,
        )

    async def run(self, ending: Ending) -> None:
        """Carry the request out until it is answered, or until `ending` is told to end it."""
        descriptor = self._session.connection.fileno()
        hang_up = partial(ending.end, "hangup")
        watched = self._host.watch.watch(descriptor, hang_up)
        self._hearing = Hearing(self._session, watched, ending)
        try:
            with ending.scope:
                await self._carry_out(ending)
        finally:
            watched.drop()
        if self._is_recorded and self._session.is_answered:
            return
        await self._abort(ending)

    async def _carry_out(self, ending: Ending) -> None:
        try:
            await self._perform()
        except ClientGone:
            ending.reason = ending.reason or "hangup"
        except AirlockError as error:
            await self._refuse(error)
        except Exception as error:  # noqa: BLE001 - fail closed, whatever it is
            # Nobody may get through by a fault of ours, nor take the daemon down with it.
            log.exception("a fault of the daemon ended request %s", self._record.request)
            await self._refuse(Failed(f"the daemon failed: {type(error).__name__}"))

    async def _perform(self) -> None:
        credentials = peers.peer_credentials(self._session.connection)
        self._record.peer = dict(zip(("pid", "uid"), credentials, strict=True))
        peer = peers.identify(self._session.connection, credentials)
        self._record.container = peer.container
        peers.check_claim(peer, self._request.container_id)
        module, paths = self._decide()
        if self._request.method == "check":
            await self._check(peer, module, paths)
            return
        directory = await self._enter(peer, module)
        try:
            args = await self._hold(paths, module, directory)
            await self._execute(peer, module, directory, args)
        finally:
            await directory.leave(self._service.removals)

    def _decide(self) -> tuple[Module, tuple[PathUse, ...]]:
        """Return the module that allows the request, and the paths among the arguments."""
        decision = evaluate(self._service.grant, self._request.command, self._request.args)
        if decision.allowed:
            return self._service.grant.modules[self._request.command], decision.paths
        self._record.rule = decision.rule
        if decision.kind == "unknown-command" or decision.layer is None:
            raise UnknownCommand(decision.message, hint=decision.hint)
        raise Denied(decision.message, layer=decision.layer, rule=decision.rule, hint=decision.hint)

    async def _check(self, peer: Peer, module: Module, paths: tuple[PathUse, ...]) -> None:
        not_consulted = ["concurrency"]
        if self._request.cwd is None:
            not_consulted.insert(0, "workspace")
            await self._judge(paths, module, peer)
        else:
            directory = await self._enter(peer, module)
            try:
                await self._hold(paths, module, directory)
            finally:
                directory.close()
        self._write("allowed")
        await self._session.send_decision(tuple(not_consulted))

    async def _enter(self, peer: Peer, module: Module) -> Workspace:
        directory = await workspace.enter(
            self._request.cwd,
            peer=peer,
            agent=self._service.agent,
            module=module,
            reserved=self._host.setup.reserved,
            containers=self._host.containers,
            ancestry=self._host.ancestry,
        )
        if peer.container is not None:
            self._record.container_proven = directory.is_proven
        return directory

    async def _hold(
        self, paths: tuple[PathUse, ...], module: Module, directory: Workspace
    ) -> tuple[str, ...]:
        return await hold_paths(
            self._request.args,
            paths,
            table=module.options,
            directory=directory,
            reserved=self._host.setup.reserved,
            pause=self._service.turns.take,
        )

    async def _judge(self, paths: tuple[PathUse, ...], module: Module, peer: Peer) -> None:
        if paths:
            await judge_paths(
                self._request.args,
                paths,
                table=module.options,
                mounts=await see_mounts(
                    peer=peer, agent=self._service.agent, containers=self._host.containers
                ),
                reserved=self._host.setup.reserved,
                pause=self._service.turns.take,
            )

    async def _execute(
        self, peer: Peer, module: Module, directory: Workspace, args: tuple[str, ...]
    ) -> None:
        execution = Execution(self._host, self._service, self._session, self._request)
        execution.prepare(module, directory.descriptor, args, peer=peer)
        alone = None if module.concurrent else self._host.alone(module.name)
        place = await self._service.gate.take(alone)
        try:
            await self._service.share.take(place)
            self._host.record_ahead(msgspec.structs.replace(self._record, event="exec-start"))
            self._is_passed = execution.is_passed
            if module.timeout_s:
                await self._run_in_time(execution, module)
            else:
                await execution.run(self._hearing, self._conclude)
        finally:
            self._service.share.give_back(place)
            place.give_back()

    async def _run_in_time(self, execution: Execution, module: Module) -> None:
        with trio.move_on_after(module.timeout_s) as timer:
            await execution.run(self._hearing, self._conclude)
        if timer.cancelled_caught and not self._is_recorded:
            raise Failed(
                f"{module.name} was ended after {module.timeout_s:g} s",
                hint=f"its module ({module.source}) says so: [exec] timeout_s",
            )

    def _conclude(self, ended: Ended) -> None:
        self._record.exit_code = ended.exit_code
        self._record.signal = ended.signal
        self._write("allowed")

    async def _refuse(self, error: AirlockError) -> None:
        if isinstance(error, Denied):
            self._record.layer, self._record.rule = error.layer, error.rule
        self._write("failed" if isinstance(error, Failed) else "denied", error.message)
        await self._service.gate.pace.keep()
        with suppress(ClientGone):
            await self._session.send_error(to_wire(error, self._request.command))

    async def _abort(self, ending: Ending) -> None:
        """Record a request that was cut short, and tell a client that is still there."""
        if ending.error is not None:
            self._write("invalid", ending.error.message)
            last_word = ending.error
        elif ending.reason == "stop":
            self._write("aborted", "the daemon stopped")
            last_word = STOPPING
        else:
            self._write("aborted", "the client hung up")
            return
        await say_last(self._session, last_word)

    def _write(self, outcome: Outcome, reason: str | None = None) -> None:
        if self._is_recorded:
            return
        self._is_recorded = True
        self._record.outcome = outcome
        self._record.reason = None if reason is None else shorten(reason)
        self._record.duration_ms = round((time.monotonic() - self._started) * 1000, 3)
        if self._record.event == "exec" and not self._is_passed:
            self._record.bytes_out = self._session.bytes_out
        self._host.record(self._record)


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
