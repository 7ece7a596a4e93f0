"""The broker of git-remote: admission, the conversation with the remote, and its records."""

from typing import TYPE_CHECKING, Literal

import msgspec

from airlock_daemon.boundary.brokers.git.rules import Outcome, Remote, SshRemote, UrlRemote
from airlock_daemon.boundary.brokers.git.rules import admit as admit_errand
from airlock_daemon.boundary.brokers.git.smart_http import UrlConversation
from airlock_daemon.boundary.brokers.requester import Requester
from airlock_daemon.boundary.command.launcher import CommandLine
from airlock_daemon.boundary.command.process import Emit
from airlock_daemon.boundary.identity.peer import Peer
from airlock_daemon.errors import Denied
from airlock_daemon.serving.request.broker import (
    OwnConversation,
    agree_on_streams,
    converse,
)
from airlock_daemon.serving.request.job import Call, Finished, Job
from airlock_daemon.serving.request.recording import Recording
from airlock_modules import Module, RemoteRequest
from airlock_modules.operation import Operation
from airlock_wire import Request

if TYPE_CHECKING:
    from airlock_daemon.boundary.approval.questions import ApprovalRequest
    from airlock_daemon.boundary.brokers.git.lfs import LfsOutcome


class GitBroker:
    """Fetches, pushes and Git LFS transfers."""

    async def admit(self, request: Request, _module: Module, requester: Requester, /) -> Remote:
        """As `rules.admit`."""
        return await admit_errand(request.args, requester.generation, requester)

    def name_operation(self, _request: Request, admitted: Remote, /) -> Operation:
        """Name it; over http git says only later whether it fetches or pushes."""
        if isinstance(admitted, SshRemote):
            return _describe(admitted).operation
        if isinstance(admitted, UrlRemote):
            return Operation(("git", "connect", str(admitted.destination)))
        wanted = admitted.wanted
        return Operation(("git", "lfs", wanted.operation, str(wanted.asked.destination)))

    def plan(
        self,
        request: Request,
        module: Module,
        admitted: Remote,
        *,
        requester: Requester,
        call: Call,
        peer: Peer,
    ) -> Job:
        """Plan the conversation; raises Denied if the client lacks a needed feature."""
        terms = agree_on_streams(request, module, call)
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
            broker_run=_GitRun(admitted, requester),
            asked=_find_asked(admitted) if call.has_approvals else None,
        )


def _find_asked(admitted: Remote) -> "ApprovalRequest | None":
    """A fetch over ssh; everything else is asked about once the client has said what it wants."""
    if isinstance(admitted, SshRemote) and not admitted.asked.is_push:
        return _describe(admitted)
    return None


def _describe(remote: SshRemote) -> "ApprovalRequest":
    """A fetch or push over ssh, as far as its words say it."""
    from airlock_daemon.boundary.brokers.git.approval import describe_fetch  # noqa: PLC0415

    return describe_fetch(remote.asked)


class _GitRun(msgspec.Struct, frozen=True):
    """A conversation with a remote: over ssh, or over HTTP by the daemon itself."""

    remote: Remote
    requester: Requester
    # The client gets the remote's bytes unchanged.
    is_exact: bool = True

    async def run(self, job: Job, call: Call, emit: Emit, *, answers: bool) -> Finished:
        """As `BrokerRun.run`."""
        log = ConversationLog(call.recording)
        own: OwnConversation
        if isinstance(self.remote, SshRemote):
            from airlock_daemon.serving.request.ssh_broker import run_over_ssh  # noqa: PLC0415

            return await run_over_ssh(
                self.remote, self.requester, job, call, emit, tell=log.write, answers=answers
            )
        if isinstance(self.remote, UrlRemote):
            own = UrlConversation(self.remote, self.requester, tell=log.write)
        else:
            from airlock_daemon.boundary.brokers.git.lfs import LfsConversation  # noqa: PLC0415

            own = LfsConversation(self.remote, self.requester, tell=log.write_object)
        return await converse(own, job, call, emit, answers=answers)


class ConversationLog(msgspec.Struct, frozen=True):
    """Records a conversation with a git remote."""

    recording: Recording

    def write(self, asked: RemoteRequest, outcome: Outcome, is_pinned: bool) -> None:
        """Record the outcome of a fetch or push."""
        first = outcome.refusal
        self.recording.write_broker(
            outcome.decision,
            outcome.describe(asked, is_pinned=is_pinned),
            rule=None if first is None else first.rule,
            reason=None if first is None else f"{first.ref or 'the push'}: {first.problem}",
        )

    def write_object(self, asked: RemoteRequest, outcome: "LfsOutcome") -> None:
        """Record the outcome of one Git LFS object."""
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
            decision, outcome.describe(asked), rule=rule, reason=reason
        )
