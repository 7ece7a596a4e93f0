"""A request to a broker: its admission, what is run or held for it, and its records."""

import os
import re
from collections.abc import Mapping
from typing import Literal

import msgspec

from airlock_daemon.boundary.brokers.git.admission import admit as admit_errand
from airlock_daemon.boundary.brokers.git.audit_detail import (
    LfsOutcome,
    Outcome,
    describe,
    describe_object,
)
from airlock_daemon.boundary.brokers.git.remote import Remote, SshRemote
from airlock_daemon.boundary.brokers.requester import Requester
from airlock_daemon.boundary.brokers.ssh.session import Admitted, LoginAdvice, tell_verbosely
from airlock_daemon.boundary.brokers.ssh.session import admit as admit_session
from airlock_daemon.boundary.brokers.ssh.session import describe as describe_session
from airlock_daemon.boundary.command.launcher import Ended
from airlock_daemon.boundary.command.order import CommandLine, build_environment
from airlock_daemon.boundary.command.stdio import Counted, Emit
from airlock_daemon.boundary.identity.peer import Peer
from airlock_daemon.boundary.workspace.directory import Workspace
from airlock_daemon.errors import Denied
from airlock_daemon.serving.request.job import Call, Job, agree, find_term
from airlock_daemon.serving.request.recording import Recording
from airlock_modules import Module, RemoteRequest, Session
from airlock_wire import Request

_PROTOCOL = re.compile(r"version=[0-9]")


def make_requester(request: Request, module: Module, workspace: Workspace, call: Call) -> Requester:
    """The agent as the broker of `module` sees it; `workspace` is an empty directory."""
    return Requester(
        agent=call.agent,
        generation=call.generation,
        directory=workspace.descriptor,
        variables=build_variables(request, module, workspace, call),
    )


def build_variables(
    request: Request, module: Module, workspace: Workspace, call: Call
) -> dict[str, str]:
    """The environment in which the human's programs run for a broker."""
    variables = build_environment(
        module,
        call.generation.agent.profile,
        daemon=call.shared.environment,
        search_path=call.generation.programs.path,
    )
    # No repository above the directory is looked for.
    variables["GIT_CEILING_DIRECTORIES"] = os.path.dirname(workspace.path)
    client: Mapping[str, str] = request.env if "env" in (request.features or ()) else {}
    protocol = client.get("GIT_PROTOCOL", "")
    if _PROTOCOL.fullmatch(protocol):
        variables["GIT_PROTOCOL"] = protocol
    return variables


async def admit(request: Request, module: Module, requester: Requester) -> Remote | Admitted:
    """Admit what the request asks the broker of `module` for.

    Raises Denied (layer "broker" for words and destination, "module" or "profile" by git's rules),
    Failed where the human's programs cannot be asked.
    """
    if module.broker == "ssh":
        return await admit_session(request.args, module, requester.generation, requester)
    return await admit_errand(request.args, requester.generation, requester)


def plan_broker(
    request: Request,
    module: Module,
    admitted: Remote | Admitted,
    *,
    requester: Requester,
    call: Call,
    peer: Peer,
) -> Job:
    """Plan to run or hold what was admitted; raises Denied for a client that cannot take part."""
    passed = call.session.passed
    # The client's stdin and stdout may be a program's where they are pipes; its stderr never is.
    may_pass = call.generation.pass_descriptors and bool(passed.numbers)
    may_pass = may_pass and passed.kinds[:2] == ("pipe", "pipe") and passed.are_usable(peer)
    if isinstance(admitted, Admitted):
        return _plan_session(
            request, module, admitted, requester=requester, call=call, peer=peer, may_pass=may_pass
        )
    terms = agree(request, may_pass=may_pass, is_captured=True)
    if not terms.uses("fds") and not (terms.uses("stdin") and terms.uses("base64")):
        raise Denied(
            "git-remote needs a client that sends its stdin and takes any bytes",
            layer="broker",
            rule="needs-stdin",
            hint='list "stdin" and "base64" in the features of the request, or use a newer shim',
        )
    line = None
    if isinstance(admitted, SshRemote):
        line = CommandLine(
            admitted.program, admitted.argv, requester.variables, requester.directory
        )
    return Job(
        generation=call.generation,
        module=module,
        terms=terms,
        peer=peer,
        command_line=line,
        requester=requester,
        remote=admitted,
    )


def _plan_session(
    request: Request,
    module: Module,
    admitted: Admitted,
    *,
    requester: Requester,
    call: Call,
    peer: Peer,
    may_pass: bool,
) -> Job:
    """As for a tool."""
    generation = call.generation
    is_captured = generation.agent.hooks.post_exec is not None
    terms = agree(request, may_pass=may_pass and not is_captured, is_captured=is_captured)
    built = build_environment(
        module,
        generation.agent.profile,
        daemon=call.shared.environment,
        search_path=generation.programs.path,
        client=request.env if terms.uses("env") else {},
        term=find_term(request, terms, call.session.passed),
    )
    variables = {**requester.variables, **built}
    banner = tell_verbosely(admitted)
    # A terminal that ssh has in hand makes no line ends of its own.
    end = "\r\n" if terms.terminal is not None else "\n"
    return Job(
        generation=generation,
        module=module,
        terms=terms,
        peer=peer,
        command_line=CommandLine(admitted.program, admitted.argv, variables, requester.directory),
        requester=requester,
        session=admitted,
        banner=f"{banner}{end}".encode() if banner else b"",
    )


class ConversationLog(msgspec.Struct, frozen=True):
    """Writes the records of a conversation with a remote of git."""

    recording: Recording

    def write(self, asked: RemoteRequest, outcome: Outcome, is_pinned: bool) -> None:
        """Write what became of a fetch or push."""
        first = outcome.refusal
        self.recording.write_broker(
            outcome.decision,
            describe(asked, outcome, is_pinned=is_pinned),
            rule=None if first is None else first.rule,
            reason=None if first is None else f"{first.ref or 'the push'}: {first.problem}",
        )

    def write_object(self, asked: RemoteRequest, outcome: LfsOutcome) -> None:
        """Write what became of one object of Git LFS."""
        error = outcome.error
        decision: Literal["allowed", "denied", "failed", "aborted"]
        rule, reason = None, None
        if isinstance(error, Denied):
            decision, rule, reason = "denied", error.rule, error.message
        elif error is not None:
            decision, reason = "failed", error.message
        elif outcome.is_done:
            decision = "allowed"
        else:
            decision, reason = "aborted", "the conversation ended in the middle of the object"
        self.recording.write_conversation(
            decision, describe_object(asked, outcome), rule=rule, reason=reason
        )


class SessionLog:
    """Writes the record of a session of ssh, which passes by `emit`; its owner must `close` it."""

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
        """What the output of ssh is given to."""
        return self._counted.emit

    async def end(self, ended: Ended, sent: int | None) -> None:
        """Advise the client, and write how the session ended, with `sent` bytes of the client's."""
        self._sent = sent
        if self._advice is not None:
            await self._advice.conclude(ended, end=self._job.line_end)
        self.close()

    def close(self) -> None:
        """Write the record, unless it was written before."""
        if self._is_written:
            return
        self._is_written = True
        received = None if self._job.terms.uses("fds") else self._counted.stdout
        detail = describe_session(self._admitted, sent=self._sent, received=received)
        self._recording.write_broker("allowed", detail, rule=None, reason=None)
