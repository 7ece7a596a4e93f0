"""Runs a job's command, of a tool or of a broker, by steps that its kind may change."""

from collections.abc import Awaitable
from functools import partial

from airlock_daemon.boundary.command import Begin, Command, Emit, Ended, Launch, Stdio, cannot_start
from airlock_daemon.serving.request.execution import (
    buffer_start,
    conclude,
    end_by_fault,
    listen,
    send_start,
)
from airlock_daemon.serving.request.job import Call, Finished, Job


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
        terms, passed = self.job.terms, self.call.session.passed
        from airlock_daemon.boundary.command.stdio import open_stdio  # noqa: PLC0415 - of tools alone

        if not terms.are_passed:
            passed.close()
        return open_stdio(
            passed if terms.are_passed else None,
            terms.terminal,
            has_input=terms.uses("stdin"),
            null=self.call.shared.null,
        )

    def launch(self, stdio: Stdio) -> Awaitable[Launch]:
        """Start the command. Raises Failed."""
        return self.call.shared.launcher.launch(self.line, stdio.standard, terminal=stdio.terminal)

    def started(self) -> None:
        """The command was started."""

    def begun(self) -> None:
        """The command runs; the client learns of it next."""

    def relay(self, command: Command, begin: Begin | None) -> Awaitable[Ended]:
        """As `Command.relay`."""
        return command.relay(self.emit, self.call.session.send_credit, begin)

    async def ended(self, finished: Finished) -> None:
        """The command has ended; its client has no answer yet."""

    def answered(self) -> None:
        """The client has been answered."""


async def run_command(steps: Steps, *, answers: bool) -> Finished:
    """Run a command by its `steps`; the contract of `BrokerRun.run`.

    No process of it is left on return or error.
    """
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
            steps.started()
            buffer_start(job, call)
            shared.audit.log.settle()
            if stdio.outputs or job.banner:
                ended = await steps.relay(command, partial(_begin, steps, command))
            else:
                # The client only waits for the end, mostly briefly.
                client = call.session.connection.fileno()
                shared.watch.call_later(client, partial(_begin_late, steps, command))
                ended = await steps.relay(command, None)
            finished = Finished(ended, stdio.count_input())
            await steps.ended(finished)
            await conclude(call, finished, answers=answers)
            steps.answered()
            return finished
        finally:
            shared.audit.log.settle()
            await command.finish(agent.gate.strand)
    finally:
        stdio.close()


async def _begin(steps: Steps, command: Command) -> None:
    steps.begun()
    await send_start(steps.job, steps.call, command.handle)
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
            listen(steps.call, command.handle)
    except Exception as error:  # noqa: BLE001 - one command's fault must not end the others'
        end_by_fault(steps.call, error)
