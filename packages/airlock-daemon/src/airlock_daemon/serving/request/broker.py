"""The table of brokers, their common input, and a conversation that the daemon has itself."""

import os
import re
import signal
import sys
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from typing import Any, Protocol

import trio

from airlock_daemon.boundary.brokers.requester import ClientStreams, Requester, SentStreams, Streams
from airlock_daemon.boundary.command import Emit, Ended, build_environment, cannot_start
from airlock_daemon.boundary.identity.peer import Peer
from airlock_daemon.boundary.workspace.temporary import Workspace
from airlock_daemon.errors import Denied
from airlock_daemon.serving.request.execution import ENDING, buffer_start, conclude, send_start
from airlock_daemon.serving.request.job import (
    AgreedFeatures,
    Call,
    Finished,
    Job,
    agree,
    decide_call,
    require_approval,
)
from airlock_daemon.serving.session import ClientMessage
from airlock_daemon.threads import run_in_thread
from airlock_modules import Module
from airlock_modules.operation import Operation
from airlock_wire import Request, Signal, Stream

_PROTOCOL = re.compile(r"version=[0-9]")


async def make_requester(
    request: Request, module: Module, workspace: Workspace, peer: Peer, call: Call
) -> Requester:
    """The agent's data for the broker of `module`; `workspace` is an empty directory."""
    daemon: Mapping[str, str] = call.shared.environment
    if sys.platform != "linux":
        from airlock_daemon.platform.system import find_ssh_agent  # noqa: PLC0415 - for macOS

        agent = await run_in_thread(partial(find_ssh_agent, daemon))
        daemon = {**daemon, "SSH_AUTH_SOCK": agent}
    return Requester(
        agent=call.agent,
        generation=call.generation,
        directory=workspace.descriptor,
        variables=build_variables(request, module, workspace, call, daemon),
        approve=partial(
            require_approval, call, peer, partial(_admit_again, request, workspace, peer)
        ),
    )


async def _admit_again(request: Request, workspace: Workspace, peer: Peer, call: Call) -> None:
    """Judge a request that goes on by the rules of `call`; raises what refuses it."""
    module = decide_call(request, call).module
    requester = await make_requester(request, module, workspace, peer, call)
    await find_broker(module).admit(request, module, requester)


def build_variables(
    request: Request, module: Module, workspace: Workspace, call: Call, daemon: Mapping[str, str]
) -> dict[str, str]:
    """The environment of the human's programs that run for a broker; `daemon` is the daemon's."""
    variables = build_environment(
        module,
        call.generation.agent.profile,
        daemon=daemon,
        search_path=call.generation.programs.path,
    )
    # Git must not search above the directory for a repository.
    variables["GIT_CEILING_DIRECTORIES"] = os.path.dirname(workspace.path)
    client: Mapping[str, str] = request.env if "env" in (request.features or ()) else {}
    protocol = client.get("GIT_PROTOCOL", "")
    if _PROTOCOL.fullmatch(protocol):
        variables["GIT_PROTOCOL"] = protocol
    return variables


class Broker(Protocol):
    """Uses a credential on a client's behalf; has no access to the client's workspace."""

    async def admit(self, request: Request, module: Module, requester: Requester, /) -> Any:
        """Admit a request; returns the input for `plan`.

        Raises Denied (layer "broker" for arguments and destination, "module" or "profile" by
        rules), Failed if the human's programs cannot be run.
        """

    def name_operation(self, request: Request, admitted: Any, /) -> Operation:
        """The operation of an admitted request, as far as its arguments say it."""

    def plan(
        self,
        request: Request,
        module: Module,
        admitted: Any,
        *,
        requester: Requester,
        call: Call,
        peer: Peer,
    ) -> Job:
        """Plan an admitted request; raises Denied if the client lacks a needed feature."""


def find_broker(module: Module) -> Broker:
    """The broker of a module, loaded with the first generation that grants it.

    Raises ValueError if the module has no broker.
    """
    match module.broker:
        case "git":
            from airlock_daemon.serving.request.git_broker import GitBroker  # noqa: PLC0415

            return GitBroker()
        case "ssh":
            from airlock_daemon.serving.request.ssh_broker import SshBroker  # noqa: PLC0415

            return SshBroker()
        case "sign":
            from airlock_daemon.serving.request.sign_broker import SignBroker  # noqa: PLC0415

            return SignBroker()
    raise ValueError(module.broker)


def may_pass(call: Call) -> bool:
    """Whether a broker may use the client's stdin and stdout, which have to be pipes."""
    passed = call.session.passed
    has_some = call.generation.pass_descriptors and bool(passed.numbers)
    return has_some and passed.kinds[:2] == ("pipe", "pipe")


class OwnConversation(Protocol):
    """A conversation over the client's stdin and stdout."""

    async def run(self, streams: Streams, say: Emit) -> Ended:
        """Run it to its end; `say` receives text for stderr."""


def agree_on_streams(request: Request, module: Module, call: Call) -> AgreedFeatures:
    """The features for a conversation in bytes. Raises Denied if the client lacks one."""
    terms = agree(request, may_pass=may_pass(call), is_captured=True)
    if not terms.uses("fds") and not (terms.uses("stdin") and terms.uses("base64")):
        raise Denied(
            f"{module.name} needs a client that sends its stdin and takes any bytes",
            layer="broker",
            rule="needs-stdin",
            hint='list "stdin" and "base64" in the features of the request, or use a newer shim',
        )
    return terms


async def converse(
    conversation: OwnConversation, job: Job, call: Call, emit: Emit, *, answers: bool
) -> Finished:
    """Run a conversation; a terminating signal from the client cancels it.

    As `BrokerRun.run`; raises what the conversation raises, Failed without descriptors, ClientGone.
    """
    session, turns = call.session, call.agent.turns
    # Two tasks of a conversation may write.
    turn = trio.Lock()

    async def say(stream: Stream, data: bytes) -> None:
        async with turn:
            await emit(stream, data)

    async def grant(count: int) -> None:
        async with turn:
            await session.send_credit(count)

    streams: Streams
    if job.terms.uses("fds"):
        try:
            streams = ClientStreams(call.session.passed, turns, null=call.shared.null)
        except OSError as error:
            raise cannot_start(job.module.name, error) from error
    else:
        call.session.passed.close()
        streams = SentStreams(say, grant, turns, credit=job.generation.limits.stdin_bytes)
    ended = Ended(128 + signal.SIGTERM, "SIGTERM")
    scope = trio.CancelScope()

    def hear(said: ClientMessage) -> None:
        nonlocal ended
        if not isinstance(said, Signal):
            streams.handle(said)
            return
        number = ENDING.get(said.name)
        if number is not None:
            ended = Ended(128 + number, said.name)
            scope.cancel()

    with closing(streams):
        buffer_start(job, call)
        await send_start(job, call, hear)
        with scope:
            ended = await conversation.run(streams, say)
        finished = Finished(ended, streams.bytes_read)
    # The client's git waits for its streams to close.
    await conclude(call, finished, answers=answers)
    return finished
