"""One request, from the parsed message to its answer and its audit record.

`_perform`, `run_tool` and `_run_broker` are its steps, in the order of section 4.3 of the
specification. The first step that refuses raises; `_refuse` alone answers and records that.
"""

import functools
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

import trio
from msgspec.structs import replace

from airlock_daemon.boundary.audit_text import shorten, shorten_all
from airlock_daemon.boundary.identity.peer import (
    Peer,
    check_claim,
    find_credentials,
    identify,
    refuse_own,
)
from airlock_daemon.boundary.workspace.temporary import Workspace
from airlock_daemon.errors import AirlockError, Denied, Failed, full_table, is_full_table, own_fault
from airlock_daemon.serving.request.broker import find_broker, make_requester
from airlock_daemon.serving.request.execution import run_job
from airlock_daemon.serving.request.job import (
    Allowed,
    Call,
    Reloaded,
    decide_call,
    prove,
)
from airlock_daemon.serving.request.recording import Recording
from airlock_daemon.serving.request.state import AgentState, DaemonState, log
from airlock_daemon.serving.session import (
    REMOVED,
    STOPPING,
    Cancellation,
    ClientGone,
    Session,
)
from airlock_daemon.setup.generation import Generation
from airlock_wire import Request

if TYPE_CHECKING:
    from airlock_daemon.serving.request.relay import Converse, Origin


class Run(Protocol):
    """Runs an allowed request, or returns the hook's rewritten request."""

    async def __call__(
        self, request: Request, allowed: Allowed, peer: Peer, call: Call, *, pre_exec: str | None
    ) -> Request | None:
        """`pre_exec` is the path of the hook, None without."""


class Visit(Session):
    """A client's connection; `origin` is its relay's command, None on the agent's own socket."""

    def __init__(
        self, connection: socket.socket, agent: AgentState, origin: "Origin | None"
    ) -> None:
        self.origin = origin
        super().__init__(
            connection,
            agent.generation.limits,
            gate=agent.gate,
            closer=agent.closer,
            turns=agent.turns,
        )


async def serve_request(
    request: Request,
    session: Visit,
    cancellation: Cancellation,
    *,
    agent: AgentState,
    shared: DaemonState,
    converse: "Converse",
) -> None:
    """Serve a request until it is answered or cancelled.

    The agent's present generation decides it. `cancellation` cancels this task. `converse` serves
    the command's relay. Raises nothing but cancellation.
    """
    generation, origin = agent.generation, session.origin
    name = generation.agent.name
    watched = shared.watch.watch(session.connection.fileno(), cancellation.hang_up)
    if origin is None:
        shared.running.add(cancellation)
    try:
        if origin is None:
            recording = Recording(shared, session, request, name)
        else:
            recording = origin.record(shared, session, request, name)
        call = Call(
            session=session,
            watched=watched,
            cancellation=cancellation,
            shared=shared,
            agent=agent,
            generation=generation,
            recording=recording,
            converse=converse,
            origin=origin,
        )
        try:
            while True:
                try:
                    await _perform(request, call)
                except Reloaded as reloaded:
                    call = replace(call, generation=agent.generation, held=reloaded.job)
                    continue
                except ClientGone:
                    cancellation.reason = cancellation.reason or "hangup"
                except AirlockError as error:
                    await _refuse(error, call)
                    # A cycle through its frames would keep the request in memory until garbage
                    # collection.
                    error.__traceback__ = None
                except Exception as error:  # noqa: BLE001 - fail closed, whatever it is
                    # Our own faults must neither let a request through nor end the daemon.
                    await _refuse(_explain(error, recording), call)
                return
        finally:
            # Without a reason it was cancelled with all others, and nobody is answered.
            if cancellation.reason is not None:
                await _abort(call)
    finally:
        watched.drop()
        cancellation.close()
        shared.running.discard(cancellation)


async def _perform(request: Request, call: Call) -> None:
    """Perform all steps of a request; raises its refusal."""
    generation = call.generation
    if call.origin is None:
        handed = _hand_over(request, generation)
        if handed is not request:
            request = handed
            call.recording.note(command=shorten(request.command), args=shorten_all(request.args))
    peer = _identify(request, call)
    # Start nothing while the daemon stops.
    await trio.lowlevel.checkpoint_if_cancelled()
    agent = generation.agent
    # What runs in a box has nothing of an engine that its client, who was judged, lacks.
    if call.origin is None and peer.kind == "container" and not agent.profile.engine_socket:
        await call.shared.containers.refuse_engine_socket(peer, generation)
    allowed = decide_call(request, call)
    if request.method == "check":
        not_consulted = await _check(request, allowed, peer, call)
        call.recording.write("allowed")
        await call.session.send_decision(not_consulted)
        return
    run = _find_run(allowed)
    rewritten = await run(request, allowed, peer, call, pre_exec=agent.hooks.pre_exec)
    if rewritten is not None:
        # Repeat all steps but the hook and the peer's identification.
        rewritten = _hand_over(rewritten, generation)
        call.recording.note_rewritten(request, rewritten)
        allowed = decide_call(rewritten, call)
        await _find_run(allowed)(rewritten, allowed, peer, call, pre_exec=None)


def _hand_over(request: Request, generation: Generation) -> Request:
    """As `Generation.hand_over`, for a request."""
    command, args = generation.hand_over(request.command, request.args)
    if command == request.command:
        return request
    return replace(request, command=command, args=args)


def _identify(request: Request, call: Call) -> Peer:
    """Identify the client's process by the kernel alone; over a relay, the command's client."""
    if call.origin is not None:
        return call.origin.peer
    connection = call.session.connection
    credentials = find_credentials(connection)
    call.recording.note(peer={"pid": credentials.pid, "uid": credentials.uid})
    peer = identify(connection, credentials)
    if peer.container is not None:
        call.recording.note(container=peer.container)
    refuse_own(peer, call.shared.ancestry)
    check_claim(peer, request.container_id)
    return peer


def _find_run(allowed: Allowed) -> Run:
    """What runs an allowed request, or returns the hook's rewritten request."""
    return _load_tools() if allowed.module.broker is None else _run_broker


@functools.cache
def _load_tools() -> "Run":
    from airlock_daemon.serving.request.tool import run_tool  # noqa: PLC0415

    return run_tool


async def _run_broker(
    request: Request, allowed: Allowed, peer: Peer, call: Call, *, pre_exec: str | None
) -> Request | None:
    """Run a broker's request in an empty directory, or return the hook's rewritten request."""
    module = allowed.module
    broker = find_broker(module)
    workspace = Workspace.make_empty(None)
    try:
        requester = await make_requester(request, module, workspace, peer, call)
        admitted = await broker.admit(request, module, requester)
        if pre_exec is not None:
            container = await prove(peer, call)
            operation = broker.name_operation(request, admitted)
            from airlock_daemon.serving.request.hooks import consult  # noqa: PLC0415

            rewritten = await consult(
                request, pre_exec, call, container=container, operation=operation
            )
            if rewritten != request:
                return rewritten
        job = broker.plan(request, module, admitted, requester=requester, call=call, peer=peer)
        await run_job(job, call)
        return None
    finally:
        await workspace.release(call.agent.removals)


async def _check(request: Request, allowed: Allowed, peer: Peer, call: Call) -> tuple[str, ...]:
    """Perform the steps of `check`; returns the names of the skipped steps."""
    module = allowed.module
    not_consulted = ["concurrency"]
    if call.generation.agent.hooks.pre_exec is not None:
        not_consulted.insert(0, "hook")
    if call.has_approvals:
        not_consulted.insert(-1, "approval")
    if module.broker is not None:
        workspace = Workspace.make_empty(None)
        try:
            requester = await make_requester(request, module, workspace, peer, call)
            await find_broker(module).admit(request, module, requester)
        finally:
            await workspace.release(call.agent.removals)
        return tuple(not_consulted)
    from airlock_daemon.serving.request.tool import check_tool  # noqa: PLC0415

    if request.cwd is None:
        not_consulted.insert(0, "workspace")
    await check_tool(request, allowed, peer, call)
    return tuple(not_consulted)


def _explain(error: Exception, recording: Recording) -> AirlockError:
    """The refusal of a request that a fault of the daemon ended."""
    if is_full_table(error):
        return full_table()
    log.exception("a fault of the daemon ended request %s; please report it", recording.request)
    return own_fault(error)


async def _refuse(error: AirlockError, call: Call) -> None:
    if isinstance(error, Denied):
        call.recording.note(layer=error.layer, rule=error.rule)
    call.recording.write("failed" if isinstance(error, Failed) else "denied", error.message)
    await call.agent.gate.pace.wait()
    with suppress(ClientGone):
        await call.session.send_error(error.to_wire())


async def _abort(call: Call) -> None:
    """Record a request that was cut short, and answer a client that is still connected."""
    cancellation, recording = call.cancellation, call.recording
    if recording.is_written and call.session.is_answered:
        return
    call.watched.drop()
    if cancellation.error is not None:
        recording.write("invalid", cancellation.error.message)
        last_word = cancellation.error
    elif cancellation.reason == "stop":
        recording.write("aborted", "the daemon stopped")
        last_word = STOPPING
    elif cancellation.reason == "removed":
        recording.note(layer="profile", rule="registration")
        recording.write("denied", REMOVED.message)
        last_word = REMOVED
    else:
        recording.write("aborted", "the client hung up")
        return
    await call.session.send_final_error(last_word)
