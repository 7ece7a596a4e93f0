"""The last steps of a request: a place to run, the command, its post-exec hook, the answer."""

from collections.abc import Awaitable, Callable
from contextlib import closing, nullcontext
from functools import partial

import trio
from msgspec.structs import replace

from airlock_daemon.brokers.aws.giving import Given
from airlock_daemon.brokers.git.conversation import Conversation
from airlock_daemon.brokers.git.outcome import Outcome
from airlock_daemon.brokers.git.party import Party
from airlock_daemon.brokers.git.telling import describe
from airlock_daemon.brokers.git.url_conversation import UrlConversation
from airlock_daemon.brokers.ssh.session import Admitted
from airlock_daemon.brokers.ssh.telling import describe as describe_session
from airlock_daemon.command.order import Identity
from airlock_daemon.command.stdio import Counted, Emit
from airlock_daemon.connection.session import ClientGone
from airlock_daemon.errors import AND_RELOAD, Failed
from airlock_daemon.fairness.gate import Place
from airlock_daemon.request.asks import Asks
from airlock_daemon.request.capture import Capture
from airlock_daemon.request.client import Client
from airlock_daemon.request.egress import Egress
from airlock_daemon.request.execution import Finished, Lead, execute
from airlock_daemon.request.fetching import execute_holding
from airlock_daemon.request.holding import hold
from airlock_daemon.request.plan import Plan, Talk
from airlock_daemon.request.post_exec import review, send
from airlock_daemon.request.recording import Recording
from airlock_daemon.request.relay import Relay
from airlock_daemon.request.state import AgentState, DaemonState
from airlock_daemon.sandbox.doors import Doors
from airlock_daemon.sandbox.fencing import private_directory
from airlock_daemon.setup.generation import Generation
from airlock_modules import Module, RemoteRequest

_Run = Callable[[], Awaitable[Finished]]
_Way = Callable[..., Awaitable[Finished]]


async def run_command(
    planned: Plan | Talk,
    module: Module,
    client: Client,
    *,
    generation: Generation,
    agent: AgentState,
    shared: DaemonState,
    recording: Recording,
    asks: Asks,
) -> None:
    """Wait for one of the agent's places, run the command of `module`, and answer.

    What was asked for over a relay runs in the place of the command that has it.

    Raises Denied where there is no place, Failed where the command cannot be started or takes
    longer than its module says, ClientGone.
    """
    alone = None if module.concurrent else shared.alone(module.name)
    place = Place() if asks.is_relayed else await agent.gate.take(alone)
    try:
        await agent.share.take(place)
        recording.note(sandbox=_name_box(planned))
        recording.write_start()
        recording.is_output_seen = not planned.terms.uses("fds")
        run = _choose(planned, module, client, generation, agent, shared, recording, asks)
        hook = generation.agent.hooks.post_exec
        if hook is None:
            conclude = partial(_conclude, client, recording)
            run = partial(run, emit=client.session.send_output, conclude=conclude)
            await _run_in_time(run, module, recording)
            return
        capture = Capture(generation.hook_limits.capture_bytes)
        # What a broker's client is told is the remote's, byte for byte: a hook hears of the end.
        is_captured = isinstance(planned, Plan) and planned.errand is None
        emit = capture.take if is_captured else client.session.send_output
        run = partial(run, emit=emit, conclude=partial(_note, recording))
        finished = await _run_in_time(run, module, recording)
        # In the agent's own place: so many hooks at once, and so much output in memory.
        place.leave(alone)
        reviewed = await review(
            capture, finished.ended, hook, generation=generation, agent=agent, shared=shared
        )
        recording.note_hook(reviewed.detail)
        if is_captured:
            await send(reviewed, client.session, agent.turns)
            finished = replace(finished, ended=reviewed.ended)
        await _answer(client, recording, finished)
    finally:
        agent.share.give_back(place)
        place.give_back()


def _name_box(planned: Plan | Talk) -> str:
    """What a record says of where a command runs.

    A broker has no box since it needs none, which is not the same as a tool that runs without.
    """
    if isinstance(planned, Talk) or planned.errand is not None or planned.session is not None:
        return "broker"
    return "off" if planned.boxed is None else planned.boxed.maker.name


def _choose(
    planned: Plan | Talk,
    module: Module,
    client: Client,
    generation: Generation,
    agent: AgentState,
    shared: DaemonState,
    recording: Recording,
    asks: Asks,
) -> _Way:
    """The way to carry a plan out: `execute` for a command, or `hold`; it wants `emit` and more."""
    limits = generation.limits
    party = Party(
        generation=generation,
        current=lambda: agent.generation,
        turns=agent.turns,
        gate=agent.gate,
    )
    if isinstance(planned, Talk):
        held = UrlConversation(
            planned.errand,
            party,
            means=planned.means,
            tell=partial(_tell_outcome, recording),
        )
        return partial(
            hold, planned, client, shared, limits=limits, turns=agent.turns, conversation=held
        )
    boxed = planned.boxed
    run: _Way = partial(
        execute,
        plan=planned,
        client=client,
        shared=shared,
        limits=limits,
        turns=agent.turns,
        lookups=agent.lookups,
        room=agent.room,
        open_group=agent.open_group,
    )
    if planned.session is not None:
        is_seen = not planned.terms.uses("fds")
        return partial(_run_session, run, planned.session, recording, is_seen=is_seen)
    if boxed is not None:
        lead = partial(_lead_out, boxed.box.doors, module, recording, agent, shared)
        if boxed.held:
            run = partial(
                execute_holding, run, planned, boxed, shared, agent, generation, lead=lead
            )
        else:
            run = partial(run, lead=lead(None))
        if boxed.box.asks:
            run = partial(_run_asking, run, partial(asks.open, boxed.box.asks))
        if boxed.maker.bubblewrap is None:
            run = partial(_run_privately, run, boxed.maker.identity, agent)
        return run
    if planned.errand is None:
        return run
    asked, is_pinned = planned.errand.asked, planned.errand.is_pinned
    return partial(
        run,
        conversation=Conversation(
            planned.errand,
            party,
            null=shared.null,
            tell=lambda outcome: _tell_outcome(recording, asked, outcome, is_pinned),
        ),
    )


def _lead_out(
    doors: Doors | None,
    module: Module,
    recording: Recording,
    agent: AgentState,
    shared: DaemonState,
    given: Given | None,
) -> Lead | None:
    """What makes the ways out of a box with these doors, one of which may give keys."""
    if doors is None:
        return None
    return partial(
        Egress,
        doors,
        source=module.source,
        recording=recording,
        agent=agent,
        shared=shared,
        given=given,
    )


async def _run_session(
    run: _Way,
    admitted: Admitted,
    recording: Recording,
    *,
    is_seen: bool,
    emit: Emit,
    conclude: Callable[[Finished], Awaitable[None]],
) -> Finished:
    """Run a session of ssh, and record it when it ends, by whatever way."""
    counted = Counted(emit)
    sent: int | None = None

    def tell() -> None:
        received = counted.stdout if is_seen else None
        detail = describe_session(admitted, sent=sent, received=received)
        recording.write_broker("allowed", detail, rule=None, reason=None)

    is_told = False

    async def end(finished: Finished) -> None:
        nonlocal sent, is_told
        sent, is_told = finished.stdin_bytes, True
        # Before the client is answered.
        tell()
        await conclude(finished)

    try:
        return await run(emit=counted.emit, conclude=end)
    finally:
        if not is_told:
            tell()


async def _run_privately(
    run: _Way, identity: Identity, agent: AgentState, **more: object
) -> Finished:
    async with private_directory(identity, agent.removals) as private:
        with nullcontext() if (group := agent.open_group()) is None else closing(group):
            return await run(private=private, group=group, **more)


async def _run_asking(run: _Way, make: Callable[[], Relay], **more: object) -> Finished:
    with closing(make()) as relay:
        return await run(asking=relay, **more)


async def _run_in_time(run: _Run, module: Module, recording: Recording) -> Finished:
    if not module.timeout_s:
        return await run()
    with trio.move_on_after(module.timeout_s):
        return await run()
    if recording.is_written:
        # The client has not taken its answer in time.
        raise ClientGone
    raise Failed(
        f"{module.name} was ended after {module.timeout_s:g} s",
        hint=f"a person on the host can raise [exec] timeout_s of its module ({module.source})"
        f"{AND_RELOAD}",
    )


async def _note(recording: Recording, finished: Finished) -> None:
    recording.note(exit_code=finished.ended.exit_code, signal=finished.ended.signal)


async def _conclude(client: Client, recording: Recording, finished: Finished) -> None:
    await _note(recording, finished)
    await _answer(client, recording, finished)


async def _answer(client: Client, recording: Recording, finished: Finished) -> None:
    recording.write("allowed")
    ended = finished.ended
    await client.session.send_result(
        ended.exit_code, signal=ended.signal, stdin_bytes=finished.stdin_bytes
    )


def _tell_outcome(
    recording: Recording, asked: RemoteRequest, outcome: Outcome, is_pinned: bool
) -> None:
    first = outcome.refusal
    recording.write_broker(
        outcome.decision,
        describe(asked, outcome, is_pinned=is_pinned),
        rule=None if first is None else first.rule,
        reason=None if first is None else f"{first.ref or 'the push'}: {first.problem}",
    )
