"""Runs ssh: sessions with other machines, with their records, and git's conversations."""

from contextlib import closing

import msgspec

from airlock_daemon.boundary.brokers.git.conversation import Conversation
from airlock_daemon.boundary.brokers.git.rules import SshRemote
from airlock_daemon.boundary.brokers.requester import Requester
from airlock_daemon.boundary.brokers.ssh.session import (
    Admitted,
    Counted,
    LoginAdvice,
    Transport,
    describe,
    describe_session,
    tell_verbosely,
)
from airlock_daemon.boundary.brokers.ssh.session import admit as admit_session
from airlock_daemon.boundary.brokers.ssh.session import name_operation as name_session
from airlock_daemon.boundary.command import (
    Begin,
    Command,
    CommandLine,
    Emit,
    Ended,
    Stdio,
    build_environment,
)
from airlock_daemon.boundary.identity.peer import Peer
from airlock_daemon.serving.request.broker import may_pass
from airlock_daemon.serving.request.command import Steps, run_command
from airlock_daemon.serving.request.job import Call, Finished, Job, agree, find_term
from airlock_daemon.serving.request.recording import Recording
from airlock_modules import Module, Session, select_forwarded
from airlock_modules.operation import Operation
from airlock_wire import Request


class SshBroker:
    """Runs ssh sessions."""

    async def admit(self, request: Request, module: Module, requester: Requester, /) -> Admitted:
        """As `session.admit`."""
        return await admit_session(request.args, module, requester.generation, requester)

    def name_operation(self, _request: Request, admitted: Admitted, /) -> Operation:
        """As `session.name_operation`."""
        return name_session(admitted.asked)

    def plan(
        self,
        request: Request,
        module: Module,
        admitted: Admitted,
        *,
        requester: Requester,
        call: Call,
        peer: Peer,
    ) -> Job:
        """Plan to run ssh like a tool."""
        generation = call.generation
        is_captured = generation.agent.hooks.post_exec is not None
        can_pass = not is_captured and may_pass(call)
        terms = agree(request, may_pass=can_pass, is_captured=is_captured)
        client = request.env if terms.uses("env") else {}
        sent = select_forwarded(client, module.forward)
        built = build_environment(
            module,
            generation.agent.profile,
            # With the ssh-agent of now.
            daemon={**call.shared.environment, **requester.variables},
            search_path=generation.programs.path,
            client=client,
            term=find_term(request, terms, call.session.passed),
        )
        variables = {**requester.variables, **built}
        banner = tell_verbosely(admitted)
        # ssh puts the terminal into raw mode, which adds no carriage returns.
        end = "\r\n" if terms.terminal is not None else "\n"
        return Job(
            generation=generation,
            module=module,
            terms=terms,
            peer=peer,
            command_line=CommandLine(
                admitted.program, admitted.argv, variables, requester.directory
            ),
            broker_run=_SshRun(admitted),
            asked=describe_session(admitted.asked, sent) if call.has_approvals else None,
            banner=f"{banner}{end}".encode() if banner else b"",
        )


class _SshRun(msgspec.Struct, frozen=True):
    """Runs ssh, and records its session."""

    admitted: Admitted
    is_exact: bool = False

    async def run(self, job: Job, call: Call, emit: Emit, *, answers: bool) -> Finished:
        """As `BrokerRun.run`."""
        with closing(SessionLog(self.admitted, job, call.recording, emit)) as log:
            steps = _SshSteps(job, call, log)
            return await run_command(steps, answers=answers)


class SessionLog:
    """Records an ssh session, whose output passes through `emit`; its owner must `close` it."""

    def __init__(self, admitted: Admitted, job: Job, recording: Recording, emit: Emit) -> None:
        self._admitted = admitted
        self._job = job
        self._recording = recording
        self._advice = None
        if isinstance(asked := admitted.asked, Session):
            login = asked.login
            self._advice = LoginAdvice(emit, user=login.user, host=login.host, port=login.port)
            emit = self._advice.emit
        self._counted = Counted(emit)
        self._sent: int | None = None
        self._is_written = False

    @property
    def emit(self) -> Emit:
        """Receives the output of ssh."""
        return self._counted.emit

    async def end(self, ended: Ended, sent: int | None) -> None:
        """Advise the client, and record the session's end; `sent` is the client's bytes."""
        self._sent = sent
        if self._advice is not None:
            await self._advice.conclude(ended, end=self._job.line_end)
        self.close()

    def close(self) -> None:
        """Write the record, unless already written."""
        if self._is_written:
            return
        self._is_written = True
        received = None if self._job.terms.uses("fds") else self._counted.stdout
        detail = describe(self._admitted, sent=self._sent, received=received)
        self._recording.write_broker("allowed", detail, rule=None, reason=None)


class _SshSteps(Steps):
    """The steps of an ssh session."""

    def __init__(self, job: Job, call: Call, log: SessionLog) -> None:
        super().__init__(job, call, log.emit)
        self._log = log

    def open_stdio(self) -> Stdio:
        """The client's pipes for stdin and stdout, the daemon's for stderr. Raises OSError."""
        if self.job.terms.uses("fds"):
            return Transport(self.call.session.passed, is_held=False)
        return super().open_stdio()

    async def ended(self, finished: Finished) -> None:
        """Advise the client, and write the record, before the answer."""
        await self._log.end(finished.ended, finished.stdin_bytes)


async def run_over_ssh(
    remote: SshRemote, requester: Requester, job: Job, call: Call, emit: Emit, *, answers: bool
) -> Finished:
    """Run and record a conversation over ssh. The contract of `BrokerRun.run`."""
    tell = call.recording.write_broker
    conversation = Conversation(remote, requester, null=call.shared.null, tell=tell)
    return await run_command(_GitSteps(job, call, emit, conversation), answers=answers)


class _GitSteps(Steps):
    """The steps of a conversation over ssh."""

    def __init__(self, job: Job, call: Call, emit: Emit, conversation: Conversation) -> None:
        super().__init__(job, call, emit)
        self._conversation = conversation

    def open_stdio(self) -> Stdio:
        """The client's pipes, or pipes of the daemon. Raises OSError."""
        is_passed = self.job.terms.uses("fds")
        return self._conversation.open(self.call.session.passed, is_passed=is_passed)

    async def relay(self, command: Command, begin: Begin | None) -> Ended:
        """As `Conversation.relay`."""
        grant = self.call.session.send_credit
        return await self._conversation.relay(command, self.emit, grant, begin)
