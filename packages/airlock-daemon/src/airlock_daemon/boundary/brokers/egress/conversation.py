"""Relays a box's connection to a destination named by CONNECT or by its listener."""

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
from airlock_daemon.boundary.connection.descriptors import (
    CMSG_BYTES,
    Closer,
    drop_unread,
    list_rights,
    receive,
)
from airlock_daemon.boundary.fairness import TurnQueue
from airlock_daemon.errors import AirlockError, Denied, full_table, is_full_table
from airlock_daemon.platform.system import CLOSED_AT_EXEC

PIECE = 1 << 18
"""Maximum bytes of one step."""

IDLE_S = 600.0
"""Seconds after which a connection is closed if both sides are silent."""

FINAL_MESSAGE_S = 2.0
"""Seconds for a box to read why it is refused."""
_READ = 1 << 14

# Shared by all conversations: bytes not forwarded in the same step stay in the kernel.
_ROOM = memoryview(bytearray(PIECE))


class Meter:
    """The bytes that a box has `sent` and `received` so far."""

    def __init__(self) -> None:
        self.sent = 0
        self.received = 0

    def count_sent(self, count: int) -> None:
        """Count sent bytes."""
        self.sent += count

    def count_received(self, count: int) -> None:
        """Count received bytes."""
        self.received += count


async def send_final(
    connection: trio.SocketStream, said: bytes, turns: TurnQueue, closer: Closer
) -> None:
    """Send a box a last message before its connection is closed, within a bounded time.

    `closer` closes descriptors that still arrive.
    """
    with trio.move_on_after(FINAL_MESSAGE_S), suppress(trio.BrokenResourceError):
        await connection.send_all(said)
        await connection.send_eof()
        # Closing with unread input would send RST and discard the message.
        while await _drop_some(connection, closer):
            await turns.take()


async def _drop_some(connection: trio.SocketStream, closer: Closer) -> bool:
    with suppress(OSError):
        data, ancillary, _, _ = await connection.socket.recvmsg(_READ, CMSG_BYTES, CLOSED_AT_EXEC)
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
    """Copy bytes both ways until both sides have sent EOF, one breaks, or both are silent.

    EOF is forwarded. Closes both. Without `idle_s` there is no idle timeout. Descriptors that a box
    sends are not forwarded: `closer` closes them.
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
    """One direction. Its steps never block in a call, which would stop all agents."""

    def __init__(
        self,
        source: socket.socket,
        target: socket.socket,
        count: Callable[[int], None],
        go_on: Callable[[], None],
        turns: TurnQueue,
        closer: Closer,
    ) -> None:
        """`count` gets the bytes forwarded; `go_on` is called after each step."""
        self._closer = closer
        self._source = source
        self._target = target
        self._count = count
        self._go_on = go_on
        self._turns = turns

    async def run(self, scope: trio.CancelScope) -> None:
        """Forward until the source's EOF; cancels `scope` if a side breaks."""
        try:
            while await self._move():
                self._go_on()
            self._target.shutdown(socket.SHUT_WR)
        except OSError:
            # The other side would wait forever.
            scope.cancel()

    async def _move(self) -> bool:
        """Forward what the target takes of one piece; False at EOF. Raises OSError."""
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
        """Consume the forwarded bytes (tcp(7), MSG_TRUNC)."""
        if self._source.family == socket.AF_UNIX:
            while count:
                data, numbers = receive(self._source, count)
                self._closer.close(numbers)
                count -= len(data)
        while count:
            count -= self._source.recv_into(_ROOM, count, socket.MSG_TRUNC)


class EgressResult(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a conversation: the destination `wanted` (None if it was not understood), the
    error, and the bytes in both directions.
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
    """Relay a connection of a box, which the caller closes.

    If `named` is None, CONNECT names the destination. `tell` is called once at the end, in any
    case, unless nothing was requested.
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
    except OSError as fault:
        if not is_full_table(fault):
            raise
        error = full_table()
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
    """Refuse in HTTP with the reason, within a bounded time."""
    text = f"{error.message}; {error.hint}"
    await send_final(connection, refusal(status, text), turns, closer)
