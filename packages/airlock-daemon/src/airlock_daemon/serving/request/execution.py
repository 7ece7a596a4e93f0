"""Running a job: its place, its command with all that serves it, its post-exec hook, the answer."""

import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, closing
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec
import trio
from msgspec.structs import replace

from airlock_daemon.boundary.box.landlock import Fencing, private_directory
from airlock_daemon.boundary.box.launch import BoxedLaunch, Leftover, Workshop
from airlock_daemon.boundary.box.prewarmed import Room, start_boxed
from airlock_daemon.boundary.brokers.git.conversation import Conversation, Transport
from airlock_daemon.boundary.brokers.git.errand import LfsErrand, SshErrand, UrlErrand
from airlock_daemon.boundary.brokers.git.smart_http import UrlConversation
from airlock_daemon.boundary.brokers.git.streams import PassedStreams, SentStreams, Streams
from airlock_daemon.boundary.brokers.ssh.session import Admitted
from airlock_daemon.boundary.command.launcher import Ended, Launch, cannot_start
from airlock_daemon.boundary.command.order import CommandLine
from airlock_daemon.boundary.command.process import Command
from airlock_daemon.boundary.command.stdio import Direct, Emit, Piped, PseudoTerminal, Stdio
from airlock_daemon.boundary.fairness.gate import Place
from airlock_daemon.boundary.identity.peer import Peer
from airlock_daemon.errors import AND_RELOAD, Failed, own_fault
from airlock_daemon.platform.linux.procfs import read_process_file
from airlock_daemon.serving.request.broker import ConversationLog, SessionLog
from airlock_daemon.serving.request.closing_notes import UNSIGNED, find_notes, makes_commit
from airlock_daemon.serving.request.egress import Egress
from airlock_daemon.serving.request.job import Boxed, Call, Job
from airlock_daemon.serving.request.logins import add_logins
from airlock_daemon.serving.request.post_exec import Capture, review, send
from airlock_daemon.serving.request.relay import Origin, Relay
from airlock_daemon.serving.request.state import log
from airlock_daemon.serving.session import ClientGone, Said
from airlock_wire import ErrorObject, RemoteProtocolError, Signal, Stream

if TYPE_CHECKING:
    from airlock_daemon.boundary.brokers.git.lfs import LfsConversation

_Result = TypeVar("_Result")


class Finished(msgspec.Struct, frozen=True):
    """How a command ended, and how many bytes of the client's input it took, None if unknown."""

    ended: Ended
    stdin_bytes: int | None


async def run_job(job: Job, call: Call) -> None:
    """Wait for one of the agent's places, run the job, and answer.

    Raises Denied where there is no place, Failed where the command cannot be started or takes
    longer than its module says, ClientGone.
    """
    agent, recording, module = call.agent, call.recording, job.module
    alone = None if module.concurrent else call.shared.alone(module.name)
    # What was asked for over a relay runs in the place of the command that has it.
    place = Place() if call.origin is not None else await agent.gate.take(alone)
    try:
        await agent.share.take(place)
        recording.begin(sandbox=job.sandbox, is_output_seen=not job.terms.are_passed)
        hook = job.generation.agent.hooks.post_exec
        run = _run_in_time if module.timeout_s else _run
        if hook is None:
            await run(job, call, call.session.send_output, answers=True)
            return
        capture = Capture(job.generation.hook_limits.capture_bytes)
        # What a broker's client is told is the remote's, byte for byte: a hook hears of the end.
        is_captured = job.errand is None
        emit = capture.take if is_captured else call.session.send_output
        finished = await run(job, call, emit, answers=False)
        # In the agent's own place: so many hooks at once, and so much output in memory.
        place.leave(alone)
        reviewed = await review(
            capture,
            finished.ended,
            hook,
            generation=job.generation,
            agent=agent,
            shared=call.shared,
        )
        recording.note_hook(reviewed.detail)
        if is_captured:
            await send(reviewed, call.session, agent.turns)
            finished = replace(finished, ended=reviewed.ended)
        recording.write("allowed")
        await _send_result(call, finished)
    finally:
        agent.share.give_back(place)
        place.give_back()


async def _run_in_time(job: Job, call: Call, emit: Emit, *, answers: bool) -> Finished:
    """As `_run`, within the time of the module."""
    module = job.module
    with trio.move_on_after(module.timeout_s):
        return await _run(job, call, emit, answers=answers)
    if call.recording.is_written:
        # The client has not taken its answer in time.
        raise ClientGone
    raise Failed(
        f"{module.name} was ended after {module.timeout_s:g} s",
        hint=f"a person on the host can raise [exec] timeout_s of its module ({module.source})"
        f"{AND_RELOAD}",
    )


def _run(job: Job, call: Call, emit: Emit, *, answers: bool) -> Awaitable[Finished]:
    """Run the job: `emit` gets its output as it comes.

    With `answers` the client is answered when the command has ended, before what that has left
    behind is. Returns by whatever way when none of its processes is left. Raises Failed where it
    cannot be started, ClientGone where the client does not take what it gets.
    """
    line, boxed = job.command_line, job.boxed
    if line is None:
        return _run_errand(job, call, emit, answers=answers)
    if job.session is not None:
        return _run_session(job, line, job.session, call, emit, answers=answers)
    if boxed is None:
        return _run_command(job, line, call, emit, answers=answers)
    return _run_boxed(job, line, boxed, call, emit, answers=answers)


async def _run_errand(job: Job, call: Call, emit: Emit, *, answers: bool) -> Finished:
    finished = await _hold(job, call, emit)
    await _conclude(call, finished, answers=answers)
    return finished


async def _run_session(
    job: Job, line: CommandLine, session: Admitted, call: Call, emit: Emit, *, answers: bool
) -> Finished:
    with closing(SessionLog(session, job, call.recording, emit)) as login:
        return await _run_command(job, line, call, login.emit, answers=answers, login=login)


async def _run_boxed(
    job: Job, line: CommandLine, boxed: Boxed, call: Call, emit: Emit, *, answers: bool
) -> Finished:
    agent = call.agent
    async with AsyncExitStack() as undo:
        fencing = relay = None
        if boxed.maker.bubblewrap is None:
            identity = boxed.maker.identity
            private = await undo.enter_async_context(private_directory(identity, agent.removals))
            group = agent.open_group()
            if group is not None:
                undo.callback(group.close)
            fencing = Fencing(
                launcher=call.shared.launcher,
                identity=identity,
                reserved=boxed.reserved,
                lookups=agent.lookups,
                private=private,
                group=group,
            )
        if boxed.box.asks:
            relay = undo.enter_context(closing(_open_relay(boxed.box.asks, job.peer, call)))
        if boxed.maker.has_engine:
            logins = await add_logins(
                boxed, generation=job.generation, agent=agent, shared=call.shared
            )
            job = replace(job, boxed=logins)
        return await _run_command(
            job, line, call, emit, answers=answers, fencing=fencing, relay=relay
        )


async def _run_command(
    job: Job,
    line: CommandLine,
    call: Call,
    emit: Emit,
    *,
    answers: bool,
    login: SessionLog | None = None,
    fencing: Fencing | None = None,
    relay: Relay | None = None,
) -> Finished:
    """As `_run`. What becomes of a session of ssh is told to `login`.

    One in a box without bubblewrap is started by `fencing`; over `relay` one in a box asks brokers.
    """
    agent, shared, boxed, limits = call.agent, call.shared, job.boxed, job.generation.limits
    # None that was made before has docker's logins.
    room = None if boxed is None or boxed.maker.has_engine else agent.room
    conversation, stdio = _open_stdio(job, line, call)
    try:
        launch = await _launch(job, line, stdio, call, fencing=fencing, relay=relay, room=room)
        command = Command(
            launch, stdio, agent.turns, ahead=limits.output_bytes, credit=limits.stdin_bytes
        )
        try:
            stdio.hand_over()
            if relay is not None:
                relay.hand_over()
            _hold_start(job, call)
            egress = None if boxed is None else _open_egress(job, launch, call)
            grant = call.session.send_credit
            shared.audit.settle()
            if conversation is not None and isinstance(stdio, Transport):
                begin = partial(_begin, job, call, command, emit, room)
                ended = await conversation.relay(command, stdio, emit, grant, begin)
            else:
                if stdio.outputs or job.notice:
                    await _begin(job, call, command, emit, room)
                else:
                    # The client has nothing to do but to wait, and mostly not for long.
                    call.watched.call_late(partial(_begin_late, job, call, command, room))
                if relay is not None or egress is not None:
                    companions = [each for each in (relay, egress) if each is not None]
                    ended = await _accompany(companions, partial(command.relay, emit, grant))
                else:
                    ended = await command.relay(emit, grant)
            if boxed is not None:
                leftovers = fencing.find_leftovers() if fencing else _list_leftovers(launch)
                refused = egress.refused if egress else ()
                notes = find_notes(line, boxed, ended, leftovers=leftovers, refused=refused)
                await _add_notes([*notes], job, line, ended, emit, call)
            finished = Finished(ended, command.count_input())
            if login is not None:
                # Before the client is answered.
                await login.end(ended, finished.stdin_bytes)
            await _conclude(call, finished, answers=answers)
            if room is not None and boxed is not None:
                room.refill(boxed.reserved, has_ended=True)
            return finished
        finally:
            shared.audit.settle()
            await command.finish()
    finally:
        stdio.close()


async def _begin(job: Job, call: Call, command: Command, emit: Emit, room: Room | None) -> None:
    """Tell the client that its command runs, and listen to what it says to that."""
    await call.session.send_held()
    _begin_late(job, call, command, room)
    if job.notice:
        await emit("stderr", job.notice)


def _begin_late(job: Job, call: Call, command: Command, room: Room | None) -> None:
    """The same without waiting, of a command that has nothing to say to the client."""
    if call.session.is_answered:
        return
    if room is not None and job.boxed is not None:
        # The agent may ask for more while this runs.
        room.refill(job.boxed.reserved, has_ended=False)
    call.session.send_held_now()
    if job.terms.features:
        _listen(call, command.tell)


async def _conclude(call: Call, finished: Finished, *, answers: bool) -> None:
    ended = finished.ended
    if answers:
        call.recording.write("allowed", exit_code=ended.exit_code, signal=ended.signal)
        await _send_result(call, finished)
    else:
        call.recording.note(exit_code=ended.exit_code, signal=ended.signal)


async def _send_result(call: Call, finished: Finished) -> None:
    ended = finished.ended
    await call.session.send_result(
        ended.exit_code, signal=ended.signal, stdin_bytes=finished.stdin_bytes
    )


def _hold_start(job: Job, call: Call) -> None:
    """Have the client told which features are used, with what it gets next."""
    if job.terms.features is not None:
        credit = job.generation.limits.stdin_bytes if job.terms.uses("stdin") else 0
        call.session.hold_start(job.terms.features, stdin_credit=credit)


def _open_stdio(job: Job, line: CommandLine, call: Call) -> tuple[Conversation | None, Stdio]:
    """Open what the terms ask for, and close the passed descriptors where they are not used."""
    terms, passed = job.terms, call.session.passed
    try:
        if isinstance(job.errand, SshErrand) and job.requester is not None:
            tell = ConversationLog(call.recording).write
            conversation = Conversation(job.errand, job.requester, null=call.shared.null, tell=tell)
            return conversation, conversation.open(passed, is_passed=terms.are_passed)
        if terms.are_passed:
            if job.session is not None:
                return None, Transport(passed, is_held=False)
            return None, Direct(passed, null=call.shared.null)
        passed.close()
        if terms.terminal is not None:
            return None, PseudoTerminal(terms.terminal, has_input=terms.uses("stdin"))
        return None, Piped(has_input=terms.uses("stdin"))
    except OSError as error:
        raise cannot_start(line.program, error) from error


async def _launch(
    job: Job,
    line: CommandLine,
    stdio: Stdio,
    call: Call,
    *,
    fencing: Fencing | None,
    relay: Relay | None,
    room: Room | None,
) -> Launch:
    shared, boxed = call.shared, job.boxed
    if boxed is None:
        return await shared.launcher.launch(line, stdio.standard, terminal=stdio.terminal)
    kept = () if relay is None else (relay.number,)
    if fencing is not None:
        return await fencing.start(
            line, stdio.standard, boxed.box, terminal=stdio.terminal, kept=kept
        )
    if boxed.maker.bubblewrap is None:
        raise TypeError(boxed.maker)
    workshop = Workshop(
        bubblewrap=boxed.maker.bubblewrap,
        launcher=shared.launcher,
        identity=boxed.maker.identity,
        reserved=boxed.reserved,
        null=shared.null,
        lookups=call.agent.lookups,
        open_group=call.agent.open_group,
    )
    return await start_boxed(
        line,
        stdio.standard,
        boxed.box,
        by=workshop,
        terminal=stdio.terminal,
        kept=kept,
        room=room,
    )


def _open_relay(commands: tuple[str, ...], peer: Peer, call: Call) -> Relay:
    """Make a relay over which `commands` may be asked for. Raises Failed."""
    # The descriptors of a box are the client's, or those that the daemon has made for it.
    mounts = peer.mountinfo + read_process_file(os.getpid(), "mountinfo")
    peer = replace(peer, kind="container", mountinfo=mounts)
    origin = Origin(call.recording.request, commands, peer)
    try:
        return Relay(origin, call.converse, agent=call.agent, shared=call.shared)
    except OSError as error:
        raise Failed(
            f"the relay of the box cannot be made: {error.strerror}",
            hint="close connections, or raise the limit of open files (ulimit -n) for the daemon",
        ) from error


def _open_egress(job: Job, launch: Launch, call: Call) -> Egress | None:
    """What serves the connections out of the box, None where it has no way out."""
    if job.boxed is None or job.boxed.box.doors is None:
        return None
    if not isinstance(launch, BoxedLaunch) or launch.doors is None:
        return None
    return Egress(
        job.boxed.box.doors,
        launch.doors,
        job.module,
        recording=call.recording,
        agent=call.agent,
        shared=call.shared,
    )


class _Companion(Protocol):
    """Serves what the tools of one command ask for."""

    async def serve(self, nursery: trio.Nursery) -> None:
        """Serve until cancelled; may have the nursery do some of it."""


async def _accompany(
    companions: Sequence[_Companion], run: Callable[[], Awaitable[_Result]]
) -> _Result:
    """Serve while `run` does what it does, whose result is returned; at its end all end."""
    outcome: _Result | Exception
    async with trio.open_nursery() as nursery:
        for companion in companions:
            nursery.start_soon(companion.serve, nursery)
        try:
            outcome = await run()
        except Exception as error:  # noqa: BLE001 - a nursery would put it into a group
            outcome = error
        nursery.cancel_scope.cancel()
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _list_leftovers(launch: Launch) -> tuple[Leftover, ...]:
    return launch.leftovers if isinstance(launch, BoxedLaunch) else ()


async def _add_notes(
    notes: list[str], job: Job, line: CommandLine, ended: Ended, emit: Emit, call: Call
) -> None:
    """Tell the client what the tool in a box could not know."""
    if ended.exit_code == 0 and call.agent.owes_word_of_signing and makes_commit(line):
        call.agent.owes_word_of_signing = False
        notes.append(UNSIGNED)
    if notes:
        said = "".join(f"airlock: {note}{job.line_end}" for note in notes)
        await emit("stderr", said.encode())


def _listen(call: Call, tell: Callable[[Said], None]) -> None:
    """Have `tell` told what the client says, until it has its answer.

    This happens in the task that watches all clients, so that a client is heard also while the
    command's own task waits for it to read. One that breaks the protocol ends its request.
    """

    def hear() -> bool:
        if call.session.is_answered:
            return False
        try:
            return call.session.hear(tell)
        except RemoteProtocolError as error:
            call.ending.fail(error.error)
        except Exception as error:  # noqa: BLE001 - one client's fault must not end the others'
            log.exception("a fault of the daemon while it heard a client; please report it")
            fault = own_fault(error)
            call.ending.fail(ErrorObject.failed(fault.message, hint=fault.hint))
        return False

    call.watched.listen(hear)


async def _hold(job: Job, call: Call, emit: Emit) -> Finished:
    """Hold a conversation that needs no command: a signal of the client's ends it."""
    session, turns = call.session, call.agent.turns
    conversation = _make_conversation(job, call)
    # Two tasks of a conversation may have something to say.
    turn = trio.Lock()

    async def say(stream: Stream, data: bytes) -> None:
        async with turn:
            await emit(stream, data)

    async def grant(count: int) -> None:
        async with turn:
            await session.send_credit(count)

    streams: Streams
    if job.terms.are_passed:
        try:
            streams = PassedStreams(session.passed, turns, null=call.shared.null)
        except OSError as error:
            raise cannot_start("git-remote", error) from error
    else:
        session.passed.close()
        streams = SentStreams(say, grant, turns, credit=job.generation.limits.stdin_bytes)
    ended = Ended(128 + signal.SIGTERM, "SIGTERM")
    scope = trio.CancelScope()

    def hear(said: Said) -> None:
        nonlocal ended
        if not isinstance(said, Signal):
            streams.tell(said)
            return
        number = signal.Signals[said.name]
        # Those that would have ended a command.
        if number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            ended = Ended(128 + number, said.name)
            scope.cancel()

    with closing(streams):
        _hold_start(job, call)
        await session.send_held()
        if job.terms.features:
            _listen(call, hear)
        with scope:
            ended = await conversation.hold(streams, say)
        # The end of the streams is what the client's git waits for.
        return Finished(ended, streams.taken)


def _make_conversation(job: Job, call: Call) -> "UrlConversation | LfsConversation":
    records = ConversationLog(call.recording)
    if isinstance(job.errand, UrlErrand) and job.requester is not None:
        return UrlConversation(job.errand, job.requester, tell=records.write)
    if isinstance(job.errand, LfsErrand) and job.requester is not None:
        # Most daemons carry no large files.
        from airlock_daemon.boundary.brokers.git.lfs import LfsConversation  # noqa: PLC0415

        return LfsConversation(job.errand, job.requester, tell=records.write_object)
    raise TypeError(job.errand)
