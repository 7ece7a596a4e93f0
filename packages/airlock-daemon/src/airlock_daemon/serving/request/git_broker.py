"""The broker of git-remote: admission, the conversation with the remote, and its records."""

from typing import TYPE_CHECKING

import msgspec

from airlock_daemon.boundary.brokers.git.rules import (
    Remote,
    SshRemote,
    UrlRemote,
    describe_fetch,
    must_wait,
    name_operation,
    open_own,
)
from airlock_daemon.boundary.brokers.git.rules import admit as admit_errand
from airlock_daemon.boundary.brokers.git.smart_http import UrlConversation
from airlock_daemon.boundary.brokers.requester import Requester
from airlock_daemon.boundary.command import Emit
from airlock_daemon.boundary.identity.peer import Peer
from airlock_daemon.serving.request.broker import OwnConversation, agree_on_streams, converse
from airlock_daemon.serving.request.job import Call, Finished, Job
from airlock_modules import Module
from airlock_modules.operation import Operation
from airlock_wire import Request

if TYPE_CHECKING:
    from airlock_daemon.boundary.approval.questions import ApprovalRequest


class GitBroker:
    """Fetches, pushes and Git LFS transfers."""

    async def admit(self, request: Request, _module: Module, requester: Requester, /) -> Remote:
        """As `rules.admit`."""
        return await admit_errand(request.args, requester.generation, requester)

    def name_operation(self, _request: Request, admitted: Remote, /) -> Operation:
        """Name it; over http git says only later whether it fetches or pushes."""
        if isinstance(admitted, SshRemote):
            return name_operation(admitted.asked)
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
        return Job(
            generation=call.generation,
            module=module,
            terms=terms,
            peer=peer,
            command_line=(
                admitted.build_line(requester) if isinstance(admitted, SshRemote) else None
            ),
            broker_run=_GitRun(admitted, requester),
            asked=_find_asked(admitted) if call.has_approvals else None,
        )


def _find_asked(admitted: Remote) -> "ApprovalRequest | None":
    """A fetch over ssh; everything else is asked about once the client has said what it wants."""
    if isinstance(admitted, SshRemote) and not admitted.asked.is_push:
        return describe_fetch(admitted.asked)
    return None


class _GitRun(msgspec.Struct, frozen=True):
    """A conversation with a remote: over ssh, or over HTTP by the daemon itself."""

    remote: Remote
    requester: Requester
    # The client gets the remote's bytes unchanged.
    is_exact: bool = True

    async def run(self, job: Job, call: Call, emit: Emit, *, answers: bool) -> Finished:
        """As `BrokerRun.run`."""
        own: OwnConversation
        remote, requester, log = self.remote, self.requester, call.recording
        if isinstance(remote, UrlRemote):
            own = UrlConversation(remote, requester, tell=log.write_broker)
        elif not isinstance(remote, SshRemote):
            own = open_own(remote, requester, call.shared.launcher, tell=log.write_conversation)
        elif must_wait(remote, requester):
            own = open_own(remote, requester, call.shared.launcher, tell=log.write_broker)
        else:
            from airlock_daemon.serving.request.ssh_broker import run_over_ssh  # noqa: PLC0415

            return await run_over_ssh(remote, requester, job, call, emit, answers=answers)
        return await converse(own, job, call, emit, answers=answers)
