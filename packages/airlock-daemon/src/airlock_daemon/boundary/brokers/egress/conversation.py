"""One conversation of a box with a destination: asked for by CONNECT, or named by its listener."""

import socket
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus

import msgspec
import trio

from airlock_daemon.boundary.brokers.egress.destinations import (
    CONNECTED,
    BadHead,
    Destination,
    Routes,
    read_head,
    refusal,
)
from airlock_daemon.boundary.connection.closing import Closer
from airlock_daemon.boundary.connection.descriptors import ROOM, drop_unread, list_rights, receive
from airlock_daemon.boundary.fairness.turns import TurnQueue
from airlock_daemon.errors import AirlockError, Denied

PIECE = 1 << 18
"""Bytes that are carried in a step, at most."""

IDLE_S = 600.0
"""Two sides that have said nothing for so long are parted."""

LAST_WORD_S = 2.0
"""Seconds for a box to read why there is no connection."""
_READ = 1 << 14
_CLOSED_AT_EXEC = socket.MSG_CMSG_CLOEXEC

# Of all conversations: what is not taken in the same step stays where it is, in the kernel.
_ROOM = memoryview(bytearray(PIECE))


class Meter:
    """How many bytes a box has `sent`, and how many it has `received`, so far."""

    def __init__(self) -> None:
        self.sent = 0
        self.received = 0

    def count_sent(self, count: int) -> None:
        """Count bytes that went out."""
        self.sent += count

    def count_received(self, count: int) -> None:
        """Count bytes that came in."""
        self.received += count


async def say_last(
    connection: trio.SocketStream, said: bytes, turns: TurnQueue, closer: Closer
) -> None:
    """Say something to a box before its connection is closed, within a bounded time.

    Descriptors that still come are closed by `closer`.
    """
    with trio.move_on_after(LAST_WORD_S), suppress(trio.BrokenResourceError):
        await connection.send_all(said)
        await connection.send_eof()
        # What still comes, unread, would take the answer away from who has not read it (RST).
        while await _drop_some(connection, closer):
            await turns.take()


async def _drop_some(connection: trio.SocketStream, closer: Closer) -> bool:
    with suppress(OSError):
        data, ancillary, _, _ = await connection.socket.recvmsg(_READ, ROOM, _CLOSED_AT_EXEC)
        closer.close(list_rights(ancillary))
        return bool(data)
    return False


async def splice(
    box: trio.SocketStream,
    server: trio.SocketStream,
    turns: TurnQueue,
    meter: Meter,
    closer: Closer,
    *,
    idle_s: float | None = IDLE_S,
) -> None:
    """Carry bytes until both have ended what they say, one is gone, or nobody says anything.

    The end of what one says is told to the other. Both are closed then. Without `idle_s` they may
    be silent for as long as they like. Descriptors that a box sends along go nowhere: `closer`
    closes them.
    """
    with _take(box) as one, _take(server) as other, trio.CancelScope() as scope:

        def go_on() -> None:
            if idle_s is not None:
                scope.deadline = trio.current_time() + idle_s

        go_on()
        try:
            async with trio.open_nursery() as nursery:
                for pouring in (
                    _Pouring(one, other, meter.count_sent, go_on, turns, closer),
                    _Pouring(other, one, meter.count_received, go_on, turns, closer),
                ):
                    nursery.start_soon(pouring.run, scope)
        finally:
            if one.family == socket.AF_UNIX:
                drop_unread(one, closer)


def _take(stream: trio.SocketStream) -> socket.socket:
    taken = socket.socket(fileno=stream.socket.detach())
    taken.setblocking(False)
    return taken


class _Pouring:
    """One of the two directions. Its steps do not wait in a call: that would be of all agents."""

    def __init__(
        self,
        source: socket.socket,
        target: socket.socket,
        count: Callable[[int], None],
        go_on: Callable[[], None],
        turns: TurnQueue,
        closer: Closer,
    ) -> None:
        """`count` is told of what went on, and `go_on` that something did."""
        self._closer = closer
        self._source = source
        self._target = target
        self._count = count
        self._go_on = go_on
        self._turns = turns

    async def run(self, scope: trio.CancelScope) -> None:
        """Carry on until the source has said everything; `scope` is ended where one is gone."""
        try:
            while await self._move():
                self._go_on()
            self._target.shutdown(socket.SHUT_WR)
        except OSError:
            # Whoever is left would wait for what cannot come.
            scope.cancel()

    async def _move(self) -> bool:
        """Carry a piece as far as it is taken; False at the end. Raises OSError."""
        await trio.lowlevel.wait_readable(self._source)
        await self._turns.take()
        with suppress(BlockingIOError):
            count = self._source.recv_into(_ROOM, PIECE, socket.MSG_PEEK)
            if count == 0:
                return False
            written = 0
            with suppress(BlockingIOError):
                written = self._target.send(_ROOM[:count])
            self._count(written)
            self._drop(written)
            if written < count:
                await trio.lowlevel.wait_writable(self._target)
        return True

    def _drop(self, count: int) -> None:
        """Have the kernel forget what was carried (tcp(7), MSG_TRUNC)."""
        if self._source.family == socket.AF_UNIX:
            while count:
                data, numbers = receive(self._source, count)
                self._closer.close(numbers)
                count -= len(data)
        while count:
            count -= self._source.recv_into(_ROOM, count, socket.MSG_TRUNC)


class EgressResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a conversation: `wanted` as it was understood, None where it was not, why
    there was none, and the bytes that went either way.
    """

    wanted: Destination | None
    error: AirlockError | None = None
    sent: int = 0
    received: int = 0


async def converse(
    connection: trio.SocketStream,
    ways: Routes,
    turns: TurnQueue,
    tell: Callable[[EgressResult], None],
    closer: Closer,
    *,
    named: Destination | None = None,
) -> None:
    """Hold a conversation over a connection of a box, which the caller closes.

    Where it is not `named`, HTTP says which destination is wanted. `tell` is called once when it
    ends, in whatever way, unless nothing was asked for.
    """
    try:
        asked = (named, b"") if named is not None else await read_head(connection, turns)
    except BadHead as bad:
        tell(EgressResult(wanted=None, error=bad))
        await refuse(connection, bad, bad.status, turns, closer)
        return
    except trio.BrokenResourceError:
        return
    if asked is None:
        return
    wanted, behind = asked
    answer = CONNECTED if named is None else b""
    meter = Meter()
    error: AirlockError | None = None
    try:
        server, early = await ways.open(wanted)
        async with server:
            with suppress(trio.BrokenResourceError):
                await connection.send_all(answer + early)
                meter.count_received(len(early))
                await server.send_all(behind)
                meter.count_sent(len(behind))
                await splice(connection, server, turns, meter, closer)
    except AirlockError as refused:
        error = refused
    finally:
        tell(EgressResult(wanted=wanted, error=error, sent=meter.sent, received=meter.received))
    if error is not None and named is None:
        is_denied = isinstance(error, Denied)
        status = HTTPStatus.FORBIDDEN if is_denied else HTTPStatus.BAD_GATEWAY
        await refuse(connection, error, status, turns, closer)


async def refuse(
    connection: trio.SocketStream,
    error: AirlockError,
    status: HTTPStatus,
    turns: TurnQueue,
    closer: Closer,
) -> None:
    """Say in HTTP why there is no connection, within a bounded time."""
    text = f"{error.message}; {error.hint}"
    await say_last(connection, refusal(status, text), turns, closer)
