"""Runs git's conversations over ssh; imported for the first of them."""

from airlock_daemon.boundary.brokers.git.approval import describe_fetch
from airlock_daemon.boundary.brokers.git.conversation import Conversation, Transport
from airlock_daemon.boundary.brokers.git.rules import SshRemote, Tell
from airlock_daemon.boundary.brokers.requester import Requester
from airlock_daemon.boundary.command.launcher import Ended
from airlock_daemon.boundary.command.process import Begin, Command, Emit, Stdio
from airlock_daemon.serving.request.command import Steps, run_command
from airlock_daemon.serving.request.execution import conclude
from airlock_daemon.serving.request.job import Call, Finished, Job
from airlock_daemon.serving.request.own_conversation import converse


async def run_over_ssh(
    remote: SshRemote,
    requester: Requester,
    job: Job,
    call: Call,
    emit: Emit,
    *,
    tell: Tell,
    answers: bool,
) -> Finished:
    """Run a conversation over ssh; `tell` gets its outcome. The contract of `BrokerRun.run`."""
    if not _may_wait(remote, requester):
        conversation = Conversation(remote, requester, null=call.shared.null, tell=tell)
        steps = _SshSteps(job, call, emit, conversation)
        return await run_command(steps, answers=answers)
    from airlock_daemon.boundary.brokers.git.patient_push import PatientPush  # noqa: PLC0415

    if job.command_line is None:
        raise TypeError(job)
    launcher = call.shared.launcher
    push = PatientPush(remote, job.command_line, requester, launcher, tell=tell)
    finished = await converse(push, job, call, emit)
    await conclude(call, finished, answers=answers)
    return finished


def _may_wait(remote: SshRemote, requester: Requester) -> bool:
    """Whether a push may wait for a person, so that its connection would be dropped."""
    if not (remote.asked.is_push and requester.asks):
        return False
    return requester.may_ask(describe_fetch(remote.asked).forms)


class _SshSteps(Steps):
    """The steps of a conversation over ssh."""

    def __init__(self, job: Job, call: Call, emit: Emit, conversation: Conversation) -> None:
        super().__init__(job, call, emit)
        self._conversation = conversation
        self._transport: Transport | None = None

    def open_stdio(self) -> Stdio:
        """The client's pipes, or pipes of the daemon. Raises OSError."""
        is_passed = self.job.terms.uses("fds")
        self._transport = self._conversation.open(self.call.passed, is_passed=is_passed)
        return self._transport

    async def relay(self, command: Command, begin: Begin) -> Ended:
        """As `Conversation.relay`."""
        if self._transport is None:
            raise TypeError(command)
        grant = self.call.session.send_credit
        return await self._conversation.relay(command, self._transport, self.emit, grant, begin)
