"""A broker's conversation with a client that the daemon has itself, without a process for it."""

import signal
from contextlib import closing
from typing import Protocol

import trio

from airlock_daemon.boundary.brokers.git.streams import ClientStreams, SentStreams, Streams
from airlock_daemon.boundary.command.launcher import Ended, cannot_start
from airlock_daemon.boundary.command.process import Emit
from airlock_daemon.boundary.identity.peer import Peer
from airlock_daemon.errors import Denied
from airlock_daemon.serving.request.broker import may_pass
from airlock_daemon.serving.request.execution import ENDING, buffer_start, conclude, tell_begun
from airlock_daemon.serving.request.job import AgreedFeatures, Call, Finished, Job, agree
from airlock_daemon.serving.session import Said
from airlock_modules import Module
from airlock_wire import Request, Signal, Stream


class OwnConversation(Protocol):
    """A conversation over the client's stdin and stdout."""

    async def run(self, streams: Streams, say: Emit) -> Ended:
        """Run it to its end; `say` receives text for stderr."""


def agree_on_streams(request: Request, module: Module, call: Call, peer: Peer) -> AgreedFeatures:
    """The features for a conversation in bytes. Raises Denied if the client lacks one."""
    terms = agree(request, may_pass=may_pass(call, peer), is_captured=True)
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
            streams = ClientStreams(call.passed, turns, null=call.shared.null)
        except OSError as error:
            raise cannot_start(job.module.name, error) from error
    else:
        call.passed.close()
        streams = SentStreams(say, grant, turns, credit=job.generation.limits.stdin_bytes)
    ended = Ended(128 + signal.SIGTERM, "SIGTERM")
    scope = trio.CancelScope()

    def hear(said: Said) -> None:
        nonlocal ended
        if not isinstance(said, Signal):
            streams.tell(said)
            return
        number = ENDING.get(said.name)
        if number is not None:
            ended = Ended(128 + number, said.name)
            scope.cancel()

    with closing(streams):
        buffer_start(job, call)
        await tell_begun(job, call, hear)
        with scope:
            ended = await conversation.run(streams, say)
        finished = Finished(ended, streams.taken)
    # The client's git waits for its streams to close.
    await conclude(call, finished, answers=answers)
    return finished
