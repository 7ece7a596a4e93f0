"""The broker of git-sign: its conversation with a client, and its records."""

from typing import Literal

import msgspec

from airlock_daemon.boundary.brokers.requester import Requester
from airlock_daemon.boundary.brokers.sign.signing import Admitted, SignConversation, describe
from airlock_daemon.boundary.brokers.sign.signing import admit as admit_signing
from airlock_daemon.boundary.command import Emit
from airlock_daemon.boundary.identity.peer import Peer
from airlock_daemon.errors import AirlockError, Denied
from airlock_daemon.serving.request.broker import agree_on_streams, converse
from airlock_daemon.serving.request.job import Call, Finished, Job
from airlock_daemon.serving.request.recording import Recording
from airlock_modules import Module
from airlock_modules.operation import Operation
from airlock_modules.remotes.signing import Unsigned
from airlock_wire import Request


class SignBroker:
    """Signs commits and tags."""

    async def admit(self, request: Request, module: Module, requester: Requester, /) -> Admitted:
        """As `signing.admit`."""
        return await admit_signing(request.args, module, requester)

    def name_operation(self, _request: Request, _admitted: Admitted, /) -> Operation:
        """Name it; what is signed is known only later."""
        return Operation(("sign", "git"))

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
        """Plan the conversation; raises Denied if the client lacks a needed feature."""
        return Job(
            generation=call.generation,
            module=module,
            terms=agree_on_streams(request, module, call),
            peer=peer,
            command_line=None,
            broker_run=_SignRun(admitted, requester),
        )


class _SignRun(msgspec.Struct, frozen=True):
    """Signs what the client sends."""

    admitted: Admitted
    requester: Requester
    # A signature that a hook has changed is none.
    is_exact: bool = True

    async def run(self, job: Job, call: Call, emit: Emit, *, answers: bool) -> Finished:
        """As `BrokerRun.run`."""
        log = SigningLog(call.recording)
        conversation = SignConversation(self.admitted, self.requester, tell=log.write)
        return await converse(conversation, job, call, emit, answers=answers)


class SigningLog(msgspec.Struct, frozen=True):
    """Records what is signed."""

    recording: Recording

    def write(self, asked: Unsigned, error: AirlockError | None) -> None:
        """Record that it was signed, or why it was not."""
        decision: Literal["allowed", "denied", "failed"] = "allowed"
        if error is not None:
            decision = "denied" if isinstance(error, Denied) else "failed"
        self.recording.write_broker(
            decision,
            describe(asked),
            rule=error.rule if isinstance(error, Denied) else None,
            reason=None if error is None else error.message,
        )
