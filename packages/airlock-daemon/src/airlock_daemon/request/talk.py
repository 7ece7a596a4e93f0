"""Holding a conversation of the daemon's own: no command is started for it."""

import signal
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Protocol

import trio

from airlock_daemon.brokers.git.streams import PassedStreams, SentStreams, Streams
from airlock_daemon.command.launch import Ended, cannot_start
from airlock_daemon.command.stdio import Emit
from airlock_daemon.connection.session import Said
from airlock_daemon.fairness.turns import Turns
from airlock_daemon.request.client import Client
from airlock_daemon.request.client_input import hand_on_input
from airlock_daemon.request.execution import Finished
from airlock_daemon.request.plan import Talk
from airlock_daemon.request.state import DaemonState
from airlock_daemon.setup.limits import Limits
from airlock_wire import Signal, Stream


class Conversation(Protocol):
    """What the daemon holds itself."""

    async def hold(self, streams: Streams, emit: Emit) -> Ended:
        """Hold it; `emit` gets what is said on stderr. Raises AirlockError."""


async def hold(
    talk: Talk,
    client: Client,
    shared: DaemonState,
    *,
    limits: Limits,
    turns: Turns,
    emit: Emit,
    conclude: Callable[[Finished], Awaitable[None]],
    conversation: Conversation,
) -> Finished:
    """Hold the conversation, as `execute` runs a command: a signal of the client's ends it."""
    session = client.session
    # Two tasks of a conversation may have something to say.
    turn = trio.Lock()

    async def say(stream: Stream, data: bytes) -> None:
        async with turn:
            await emit(stream, data)

    async def grant(count: int) -> None:
        async with turn:
            await session.send_credit(count)

    with closing(_open(talk, client, shared, say, grant, limits=limits, turns=turns)) as streams:
        ending = _Ending(streams)
        if talk.terms.features is not None:
            credit = limits.stdin_bytes if talk.terms.uses("stdin") else 0
            session.hold_start(talk.terms.features, stdin_credit=credit)
            await session.send_held()
        if talk.terms.features:
            hand_on_input(client, ending.tell)
        ended = await ending.run(conversation, say)
        # Its end is what the client's git waits for.
        taken = streams.taken
        streams.close()
    finished = Finished(ended, taken)
    await conclude(finished)
    return finished


class _Ending:
    """Ends a conversation for which the client gets a signal that would have ended a command."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._scope = trio.CancelScope()
        self._ended = Ended(128 + signal.SIGTERM, "SIGTERM")

    def tell(self, said: Said) -> None:
        """Take what the client has sent."""
        if isinstance(said, Signal):
            number = signal.Signals[said.name]
            if number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
                self._ended = Ended(128 + number, said.name)
                self._scope.cancel()
        else:
            self._streams.tell(said)

    async def run(self, conversation: Conversation, say: Emit) -> Ended:
        """Hold the conversation until its end, or until a signal."""
        with self._scope:
            return await conversation.hold(self._streams, say)
        return self._ended


def _open(
    talk: Talk,
    client: Client,
    shared: DaemonState,
    emit: Emit,
    grant: Callable[[int], Awaitable[None]],
    *,
    limits: Limits,
    turns: Turns,
) -> Streams:
    passed = client.session.passed
    if not talk.terms.uses("fds"):
        passed.close()
        return SentStreams(emit, grant, turns, credit=limits.stdin_bytes)
    try:
        return PassedStreams(passed, turns, null=shared.null)
    except OSError as error:
        raise cannot_start("git-remote", error) from error
