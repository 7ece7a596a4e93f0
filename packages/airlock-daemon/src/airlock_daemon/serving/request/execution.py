"""Runs a job: its slot, its command, its post-exec hook, and its answer."""

import signal
from collections.abc import Awaitable, Callable

import trio
from msgspec.structs import replace

from airlock_daemon.boundary.audit_text import shorten
from airlock_daemon.boundary.command import Emit
from airlock_daemon.boundary.fairness import Slot
from airlock_daemon.errors import AND_RELOAD, Failed, own_fault
from airlock_daemon.serving.audit.record import DETAIL
from airlock_daemon.serving.request.job import Call, Finished, Job
from airlock_daemon.serving.request.state import log
from airlock_daemon.serving.session import ClientGone, ClientMessage
from airlock_wire import ErrorObject, RemoteProtocolError

ENDING = {
    each.name: each.value for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
}
"""The signals that end a process by default, with their numbers."""


async def run_job(job: Job, call: Call) -> None:
    """Wait for one of the agent's slots, run the job, and answer.

    Raises Denied if a person does not approve it or no slot is available, Reloaded if it was
    approved and the rules changed meanwhile, Failed if the command cannot be started or exceeds its
    module's timeout, ClientGone.
    """
    agent, recording, module = call.agent, call.recording, job.module
    if call.held is not None or (job.asked is not None and call.has_approvals):
        from airlock_daemon.serving.request.approvals import hold_job  # noqa: PLC0415

        ended = await hold_job(job, call)
        if ended is not None:
            why = "the client ended it while it waited for a person"
            recording.write("aborted", why, exit_code=ended.exit_code, signal=ended.signal)
            await _send_result(call, Finished(ended, None))
            return
    alone = None if module.concurrent else call.shared.alone(module.name)
    if call.origin is None:
        place = await agent.gate.acquire(alone)
    else:
        # A request over a relay runs in the slot of the relay's command.
        agent.gate.require_few_stranded()
        place = Slot()
    try:
        await agent.share.acquire(place)
        recording.begin(sandbox=job.sandbox, is_output_seen=not job.terms.are_passed)
        hook = job.generation.agent.hooks.post_exec
        run = _run_in_time if module.timeout_s else _run
        if hook is None:
            await run(job, call, call.session.send_output, answers=True)
            return
        from airlock_daemon.serving.request.post_exec import Capture, review, send  # noqa: PLC0415

        capture = Capture(job.generation.hook_limits.capture_bytes)
        is_captured = job.broker_run is None or not job.broker_run.is_exact
        emit = capture.take if is_captured else call.session.send_output
        finished = await run(job, call, emit, answers=False)
        # Still in the agent's slot, which bounds the number of hooks and the output in memory.
        place.release_one(alone)
        reviewed = await review(
            capture,
            finished.ended,
            hook,
            generation=job.generation,
            agent=agent,
            shared=call.shared,
        )
        recording.note(detail=shorten(reviewed.detail, limit=DETAIL))
        if is_captured:
            await send(reviewed, call.session, agent.turns)
            finished = replace(finished, ended=reviewed.ended)
        recording.write("allowed")
        await _send_result(call, finished)
    finally:
        agent.share.release(place)
        place.release()


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
        from airlock_daemon.serving.request.command import Steps, run_command  # noqa: PLC0415

        return run_command(Steps(job, call, emit), answers=answers)
    from airlock_daemon.serving.request.boxed import run_boxed  # noqa: PLC0415

    return run_boxed(job, job.boxed, call, emit, answers=answers)


async def send_start(job: Job, call: Call, handle: Callable[[ClientMessage], None]) -> None:
    """Send the client its start message, and `handle` its messages from then on."""
    await call.session.send_buffered()
    if job.terms.features:
        listen(call, handle)


async def conclude(call: Call, finished: Finished, *, answers: bool) -> None:
    """Record how the command ended; with `answers`, answer the client now."""
    ended = finished.ended
    if answers:
        call.recording.write("allowed", exit_code=ended.exit_code, signal=ended.signal)
        await _send_result(call, finished)
    else:
        call.recording.note(exit_code=ended.exit_code, signal=ended.signal)


def _send_result(call: Call, finished: Finished) -> Awaitable[None]:
    ended = finished.ended
    return call.session.send_result(
        ended.exit_code, signal=ended.signal, stdin_bytes=finished.stdin_bytes
    )


def buffer_start(job: Job, call: Call) -> None:
    """Buffer the start message, which names the agreed features, to send with the next one."""
    if job.terms.features is not None:
        credit = job.generation.limits.stdin_bytes if job.terms.uses("stdin") else 0
        call.session.buffer_start(job.terms.features, stdin_credit=credit)


def listen(call: Call, tell: Callable[[ClientMessage], None]) -> None:
    """Call `tell` with each message of the client until it is answered.

    It runs in the task that watches all clients, so that a client is heard even while the command's
    task waits for it to read. A client that breaks the protocol ends its request.
    """

    def hear() -> bool:
        if call.session.is_answered:
            return False
        try:
            return call.session.read_messages(tell)
        except RemoteProtocolError as error:
            call.cancellation.fail(error.error)
        except Exception as error:  # noqa: BLE001 - one client's fault must not end the others'
            end_by_fault(call, error)
        return False

    call.session.replay(tell)
    call.watched.listen(hear)


def end_by_fault(call: Call, error: Exception) -> None:
    """End a request by a fault of the daemon, which is logged."""
    log.exception("a fault of the daemon while it heard a client; please report it")
    fault = own_fault(error)
    call.cancellation.fail(ErrorObject.failed(fault.message, hint=fault.hint))
