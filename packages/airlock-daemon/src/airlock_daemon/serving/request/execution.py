"""Runs a job: its slot, its command, its post-exec hook, and its answer."""

import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import trio
from msgspec.structs import replace

from airlock_daemon.boundary.command.launcher import Ended, Launch, cannot_start
from airlock_daemon.boundary.command.process import Begin, Command
from airlock_daemon.boundary.command.stdio import Direct, Emit, Piped, Stdio
from airlock_daemon.boundary.fairness.gate import Place
from airlock_daemon.errors import AND_RELOAD, Failed, own_fault
from airlock_daemon.serving.request.job import Call, Finished, Job, require_approval
from airlock_daemon.serving.request.state import log
from airlock_daemon.serving.session import ClientGone, Said
from airlock_wire import ErrorObject, RemoteProtocolError, Resize, Signal

if TYPE_CHECKING:
    from airlock_daemon.boundary.approval.questions import Asked

ENDING = {
    each.name: each.value for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
}
"""The signals that end a process by default, with their numbers."""


async def run_job(job: Job, call: Call) -> None:
    """Wait for one of the agent's slots, run the job, and answer.

    Raises Denied if a person does not approve it or no slot is available, Failed if the command
    cannot be started or exceeds its module's timeout, ClientGone.
    """
    agent, recording, module = call.agent, call.recording, job.module
    if job.asked is not None and call.asks:
        ended = await _await_approval(job, job.asked, call)
        if ended is not None:
            why = "the client ended it while it waited for a person"
            recording.write("aborted", why, exit_code=ended.exit_code, signal=ended.signal)
            await _send_result(call, Finished(ended, None))
            return
    alone = None if module.concurrent else call.shared.alone(module.name)
    # A request over a relay runs in the slot of the relay's command.
    place = Place() if call.origin is not None else await agent.gate.take(alone)
    try:
        await agent.share.take(place)
        recording.begin(sandbox=job.sandbox, is_output_seen=not job.terms.are_passed)
        hook = job.generation.agent.hooks.post_exec
        run = _run_in_time if module.timeout_s else _run
        if hook is None:
            await run(job, call, call.session.send_output, answers=True)
            return
        from airlock_daemon.serving.request.post_exec import (  # noqa: PLC0415
            Capture,
            review,
            send,
        )

        capture = Capture(job.generation.hook_limits.capture_bytes)
        is_captured = job.broker_run is None or not job.broker_run.is_exact
        emit = capture.take if is_captured else call.session.send_output
        finished = await run(job, call, emit, answers=False)
        # Still in the agent's slot, which bounds the number of hooks and the output in memory.
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


async def _await_approval(job: Job, asked: "Asked", call: Call) -> Ended | None:
    """Wait for a person's approval, where it is required; returns how a signal ended the wait.

    None if the job may start; it then gets what else the client has sent. Raises Denied,
    ClientGone.
    """
    held: list[Said] = []
    resized: Resize | None = None
    scope = trio.CancelScope()
    ended: Ended | None = None

    def hear(said: Said) -> None:
        nonlocal ended, resized
        # Only stdin is bounded, by its credit: the client may send any number of the others.
        if isinstance(said, Resize):
            resized = said
        elif not isinstance(said, Signal):
            held.append(said)
        elif said.name in ENDING:
            ended = Ended(128 + ENDING[said.name], said.name)
            scope.cancel()

    async def tell(line: str) -> None:
        buffer_start(job, call)
        text = f"airlock: {line}{job.line_end}"
        await call.session.send_output("stderr", text.encode())
        if job.terms.features:
            _listen(call, hear)

    with scope:
        await require_approval(call, asked, tell)
    # Nobody watches a client that has hung up.
    with suppress(OSError):
        call.watched.ignore()
    call.session.keep(held if resized is None else [resized, *held])
    # It may have come with the answer.
    return ended


async def _run_in_time(job: Job, call: Call, emit: Emit, *, answers: bool) -> Finished:
    """As `_run`, within the module's timeout."""
    module = job.module
    with trio.move_on_after(module.timeout_s):
        return await _run(job, call, emit, answers=answers)
    if call.recording.is_written:
        # The client did not read its answer in time.
        raise ClientGone
    raise Failed(
        f"{module.name} was ended after {module.timeout_s:g} s",
        hint=f"a person on the host can raise [exec] timeout_s of its module ({module.source})"
        f"{AND_RELOAD}",
    )


def _run(job: Job, call: Call, emit: Emit, *, answers: bool) -> Awaitable[Finished]:
    """Run the job; `emit` receives its output.

    With `answers`, answers the client when the command has ended, before its remaining processes
    are ended. No process of it is left on return or error. Raises Failed if it cannot be started,
    ClientGone if the client stops reading.
    """
    if job.broker_run is not None:
        return job.broker_run.run(job, call, emit, answers=answers)
    if job.boxed is None:
        return run_command(Steps(job, call, emit), answers=answers)
    from airlock_daemon.serving.request.boxed import run_boxed  # noqa: PLC0415

    return run_boxed(job, job.boxed, call, emit, answers=answers)


class Steps:
    """The steps of a command without a box; subclasses change them.

    `emit` receives its output.
    """

    def __init__(self, job: Job, call: Call, emit: Emit) -> None:
        if job.command_line is None:
            raise TypeError(job)
        self.line = job.command_line
        self.job = job
        self.call = call
        self.emit = emit

    def open_stdio(self) -> Stdio:
        """Open the agreed stdio, and close the passed descriptors if they are unused.

        Raises OSError.
        """
        terms, passed = self.job.terms, self.call.passed
        if terms.are_passed:
            return Direct(passed, null=self.call.shared.null)
        passed.close()
        if terms.terminal is not None:
            from airlock_daemon.boundary.command.terminal import PseudoTerminal  # noqa: PLC0415

            return PseudoTerminal(terms.terminal, has_input=terms.uses("stdin"))
        return Piped(has_input=terms.uses("stdin"))

    def launch(self, stdio: Stdio) -> Awaitable[Launch]:
        """Start the command. Raises Failed."""
        return self.call.shared.launcher.launch(self.line, stdio.standard, terminal=stdio.terminal)

    def started(self, launch: Launch) -> None:
        """The command was started."""

    def begun(self) -> None:
        """The command runs; the client learns of it next."""

    async def relay(self, command: Command, begin: Begin) -> Ended:
        """As `Command.relay`, once `begin` has returned."""
        await begin()
        return await command.relay(self.emit, self.call.session.send_credit)

    async def ended(self, finished: Finished) -> None:
        """The command has ended; its client has no answer yet."""

    def answered(self) -> None:
        """The client has been answered."""


async def run_command(steps: Steps, *, answers: bool) -> Finished:
    """Run a command by its `steps`; the contract of `_run`."""
    job, call = steps.job, steps.call
    agent, shared, limits = call.agent, call.shared, job.generation.limits
    try:
        stdio = steps.open_stdio()
    except OSError as error:
        raise cannot_start(steps.line.program, error) from error
    try:
        launch = await steps.launch(stdio)
        command = Command(
            launch, stdio, agent.turns, ahead=limits.output_bytes, credit=limits.stdin_bytes
        )
        try:
            stdio.hand_over()
            steps.started(launch)
            buffer_start(job, call)
            shared.audit.settle()
            if stdio.outputs or job.banner:
                ended = await steps.relay(command, partial(_begin, steps, command))
            else:
                # The client only waits for the end, mostly briefly.
                call.watched.call_late(partial(_begin_late, steps, command))
                ended = await steps.relay(command, _begin_nothing)
            finished = Finished(ended, command.count_input())
            await steps.ended(finished)
            await conclude(call, finished, answers=answers)
            steps.answered()
            return finished
        finally:
            shared.audit.settle()
            await command.finish()
    finally:
        stdio.close()


async def _begin(steps: Steps, command: Command) -> None:
    steps.begun()
    await tell_begun(steps.job, steps.call, command.tell)
    if steps.job.banner:
        await steps.emit("stderr", steps.job.banner)


def _begin_late(steps: Steps, command: Command) -> None:
    """As `_begin` without waiting, for a command whose output bypasses the daemon."""
    if steps.call.session.is_answered:
        return
    try:
        steps.begun()
        steps.call.session.send_buffered_now()
        if steps.job.terms.features:
            _listen(steps.call, command.tell)
    except Exception as error:  # noqa: BLE001 - one command's fault must not end the others'
        _end_by_fault(steps.call, error)


async def _begin_nothing() -> None:
    """Do nothing: `_begin_late` does it."""


async def tell_begun(job: Job, call: Call, hear: Callable[[Said], None]) -> None:
    """Send the client its start message, and call `hear` with its messages from then on."""
    await call.session.send_buffered()
    if job.terms.features:
        _listen(call, hear)


async def conclude(call: Call, finished: Finished, *, answers: bool) -> None:
    """Record how the command ended; with `answers`, answer the client now."""
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


def buffer_start(job: Job, call: Call) -> None:
    """Buffer the start message, which names the agreed features, to send with the next one."""
    if job.terms.features is not None:
        credit = job.generation.limits.stdin_bytes if job.terms.uses("stdin") else 0
        call.session.buffer_start(job.terms.features, stdin_credit=credit)


def _listen(call: Call, tell: Callable[[Said], None]) -> None:
    """Call `tell` with each message of the client until it is answered.

    It runs in the task that watches all clients, so that a client is heard even while the command's
    task waits for it to read. A client that breaks the protocol ends its request.
    """

    def hear() -> bool:
        if call.session.is_answered:
            return False
        try:
            return call.session.hear(tell)
        except RemoteProtocolError as error:
            call.cancellation.fail(error.error)
        except Exception as error:  # noqa: BLE001 - one client's fault must not end the others'
            _end_by_fault(call, error)
        return False

    call.session.replay(tell)
    call.watched.listen(hear)


def _end_by_fault(call: Call, error: Exception) -> None:
    log.exception("a fault of the daemon while it heard a client; please report it")
    fault = own_fault(error)
    call.cancellation.fail(ErrorObject.failed(fault.message, hint=fault.hint))
