"""Running the command of a request that is allowed, from its start to the end of its processes."""

import socket
from collections.abc import Awaitable, Callable
from contextlib import closing
from functools import partial

import msgspec

from airlock_daemon.brokers.git.conversation import Conversation
from airlock_daemon.brokers.git.transport import Transport
from airlock_daemon.command.launch import Ended, Launch, cannot_start
from airlock_daemon.command.process import Command
from airlock_daemon.command.stdio import Emit, Stdio
from airlock_daemon.connection.descriptors import Passed
from airlock_daemon.connection.session import Session
from airlock_daemon.request.accompanying import accompany
from airlock_daemon.request.client import Client
from airlock_daemon.request.client_input import hand_on_input
from airlock_daemon.request.closing_notes import UNSIGNED, find_notes, makes_commit
from airlock_daemon.request.egress import Egress
from airlock_daemon.request.negotiation import open_stdio
from airlock_daemon.request.plan import Plan
from airlock_daemon.request.relay import Relay
from airlock_daemon.request.state import AgentState, DaemonState
from airlock_daemon.sandbox.fencing import Fencing
from airlock_daemon.sandbox.launch import BoxedLaunch
from airlock_daemon.sandbox.leftovers import Leftover
from airlock_daemon.sandbox.making import Workshop
from airlock_daemon.sandbox.room import Room
from airlock_daemon.sandbox.starting import start_boxed
from airlock_daemon.setup.limits import Limits

Lead = Callable[[socket.socket], Egress]
"""Makes what serves the connections of a box, whose listeners come over the socket."""


class Finished(msgspec.Struct, frozen=True):
    """How a command ended, and how many bytes of the client's input it took, None if unknown."""

    ended: Ended
    stdin_bytes: int | None


async def execute(
    plan: Plan,
    client: Client,
    shared: DaemonState,
    agent: AgentState,
    *,
    limits: Limits,
    emit: Emit,
    conclude: Callable[[Finished], Awaitable[None]],
    conversation: Conversation | None = None,
    fencing: Fencing | None = None,
    asking: Relay | None = None,
    lead: Lead | None = None,
) -> Finished:
    """Run the command: `emit` gets its output as it comes, then `conclude` how it ended.

    A `conversation` is what a broker has it for, and holds; one without bubblewrap is started by
    `fencing`; over `asking` one in a box asks brokers, and `lead` makes what leads out of that.

    Returns that too, by whatever way, when none of its processes is left. Raises Failed where it
    cannot be started, ClientGone where the client does not take what it gets.
    """
    session = client.session
    transport = None if conversation is None else _open_transport(plan, conversation, session)
    with closing(transport or _open(plan, session.passed, null=shared.null)) as stdio:
        room = _find_room(plan, agent)
        start = _choose_start(plan, shared, agent, room, fencing)
        launch = await _launch(plan, stdio, shared, start, asking)
        command = Command(
            launch, stdio, agent.turns, ahead=limits.output_bytes, credit=limits.stdin_bytes
        )
        try:
            stdio.hand_over()
            if asking is not None:
                asking.hand_over()
            if plan.terms.features is not None:
                credit = limits.stdin_bytes if plan.terms.uses("stdin") else 0
                session.hold_start(plan.terms.features, stdin_credit=credit)
            begin = partial(_begin, plan, client, command, emit, room)
            relay = command.relay
            if conversation is not None and transport is not None:
                relay = partial(conversation.relay, command, transport)
            relay = partial(relay, emit, session.send_credit, begin)
            egress = _lead_out(launch, lead)
            for companion in (asking, egress):
                if companion is not None:
                    relay = partial(accompany, companion, relay)
            shared.audit.settle()
            ended = await relay()
            await _add_notes(plan, launch, ended, emit, agent=agent, fencing=fencing, egress=egress)
            finished = Finished(ended, command.count_input())
            await conclude(finished)
            if room is not None and plan.boxed is not None:
                room.refill(plan.boxed.reserved, has_ended=True)
            return finished
        finally:
            shared.audit.settle()
            await command.finish()


def _find_room(plan: Plan, agent: AgentState) -> Room | None:
    """Where a box may wait for it: none that was made before has docker's logins."""
    return agent.room if plan.boxed is not None and not plan.boxed.maker.has_engine else None


def _lead_out(launch: Launch, lead: Lead | None) -> Egress | None:
    if lead is None or not isinstance(launch, BoxedLaunch) or launch.doors is None:
        return None
    return lead(launch.doors)


_Start = Callable[..., Awaitable[Launch]]


def _choose_start(
    plan: Plan,
    shared: DaemonState,
    agent: AgentState,
    room: Room | None,
    fencing: Fencing | None,
) -> _Start | None:
    """What starts a command that is to have a box, None for one that has none."""
    boxed = plan.boxed
    if boxed is None:
        return None
    if fencing is not None:
        return fencing.start
    if boxed.maker.bubblewrap is None:
        raise TypeError(boxed.maker)
    workshop = Workshop(
        bubblewrap=boxed.maker.bubblewrap,
        launcher=shared.launcher,
        identity=boxed.maker.identity,
        reserved=boxed.reserved,
        null=shared.null,
        lookups=agent.lookups,
        open_group=agent.open_group,
    )
    return partial(start_boxed, by=workshop, room=room)


async def _launch(
    plan: Plan, stdio: Stdio, shared: DaemonState, start: _Start | None, asking: Relay | None
) -> Launch:
    what, boxed = plan.command_line, plan.boxed
    if boxed is None or start is None:
        return await shared.launcher.launch(what, stdio.standard, terminal=stdio.terminal)
    return await start(
        what,
        stdio.standard,
        boxed.box,
        terminal=stdio.terminal,
        kept=() if asking is None else (asking.number,),
    )


async def _begin(
    plan: Plan, client: Client, command: Command, emit: Emit, room: Room | None
) -> None:
    """Tell the client that its command runs, and listen to what it says to that."""
    if room is not None and plan.boxed is not None:
        # The agent may ask for more while this runs.
        room.refill(plan.boxed.reserved, has_ended=False)
    await client.session.send_held()
    if plan.terms.features:
        hand_on_input(client, command.tell)
    if plan.notice:
        await emit("stderr", plan.notice)


async def _add_notes(
    plan: Plan,
    launch: Launch,
    ended: Ended,
    emit: Emit,
    *,
    agent: AgentState,
    fencing: Fencing | None,
    egress: Egress | None,
) -> None:
    """Tell the client what the tool in a box could not know."""
    line, boxed = plan.command_line, plan.boxed
    if boxed is None:
        return
    leftovers: tuple[Leftover, ...] = ()
    if fencing is not None:
        leftovers = fencing.find_leftovers()
    elif isinstance(launch, BoxedLaunch):
        leftovers = launch.leftovers
    refused = () if egress is None else egress.refused
    notes = list(find_notes(line, boxed, ended, leftovers=leftovers, refused=refused))
    if ended.exit_code == 0 and agent.owes_word_of_signing and makes_commit(line):
        agent.owes_word_of_signing = False
        notes.append(UNSIGNED)
    if notes:
        # The client's terminal is raw where the tool has another one.
        end = "\n" if plan.terms.terminal is None else "\r\n"
        await emit("stderr", "".join(f"airlock: {note}{end}" for note in notes).encode())


def _open_transport(plan: Plan, conversation: Conversation, session: Session) -> Transport:
    try:
        return conversation.open(session.passed, is_passed=plan.terms.uses("fds"))
    except OSError as error:
        raise cannot_start(plan.command_line.program, error) from error


def _open(plan: Plan, passed: Passed, *, null: int) -> Stdio:
    try:
        if plan.session is not None and plan.terms.uses("fds"):
            return Transport(passed, is_held=False)
        return open_stdio(plan.terms, passed, null=null)
    except OSError as error:
        raise cannot_start(plan.command_line.program, error) from error
