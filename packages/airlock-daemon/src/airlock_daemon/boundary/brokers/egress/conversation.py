"""Relays a box's connection to a destination named by CONNECT or by its listener."""

import socket
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus

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


class BoxConnection:
    """A connection from a box, whose owner closes it; `sent` and `received` count what is relayed.

    Descriptors that the box sends over it are not forwarded, but closed.
    """

    def __init__(self, stream: trio.SocketStream, turns: TurnQueue, closer: Closer) -> None:
        self._stream = stream
        self._turns = turns
        self._closer = closer
        self.sent = 0
        self.received = 0

    async def send_final(self, said: bytes) -> None:
        """Send a last message before the connection is closed, within a bounded time."""
        with trio.move_on_after(FINAL_MESSAGE_S), suppress(trio.BrokenResourceError):
            await self._stream.send_all(said)
            await self._stream.send_eof()
            # Closing with unread input would send RST and discard the message.
            while await self._drop_some():
                await self._turns.take()

    async def _drop_some(self) -> bool:
        with suppress(OSError):
            own = self._stream.socket
            data, ancillary, _, _ = await own.recvmsg(_READ, CMSG_BYTES, CLOSED_AT_EXEC)
            self._closer.close(list_rights(ancillary))
            return bool(data)
        return False

    async def refuse(self, error: AirlockError, status: HTTPStatus) -> None:
        """Refuse in HTTP with the reason, within a bounded time."""
        await self.send_final(refusal(status, f"{error.message}; {error.hint}"))

    async def splice(self, server: trio.SocketStream, *, idle_s: float | None = IDLE_S) -> None:
        """Copy bytes both ways until both sides have sent EOF, one breaks, or both are silent.

        EOF is forwarded. Closes both. Without `idle_s` there is no idle timeout.
        """
        with _take(self._stream) as one, _take(server) as other, trio.CancelScope() as scope:

            def go_on() -> None:
                if idle_s is not None:
                    scope.deadline = trio.current_time() + idle_s

            def count_sent(count: int) -> None:
                self.sent += count

            def count_received(count: int) -> None:
                self.received += count

            go_on()
            turns, closer = self._turns, self._closer
            try:
                async with trio.open_nursery() as nursery:
                    for pouring in (
                        _Pouring(one, other, count_sent, go_on, turns, closer),
                        _Pouring(other, one, count_received, go_on, turns, closer),
                    ):
                        nursery.start_soon(pouring.run, scope)
            finally:
                if one.family == socket.AF_UNIX:
                    drop_unread(one, self._closer)

    async def converse(
        self,
        ways: Routes,
        tell: Callable[[Destination | None, AirlockError | None], None],
        *,
        named: Destination | None = None,
    ) -> None:
        """Relay the connection to a destination. If `named` is None, CONNECT names it.

        `tell` is called once at the end, in any case, unless nothing was requested: with the
        destination, None if it was not understood, and the error.
        """
        stream, turns = self._stream, self._turns
        try:
            asked = (named, b"") if named is not None else await read_head(stream, turns)
        except BadHead as bad:
            tell(None, bad)
            await self.refuse(bad, bad.status)
            return
        except trio.BrokenResourceError:
            return
        if asked is None:
            return
        wanted, behind = asked
        answer = CONNECTED if named is None else b""
        error: AirlockError | None = None
        try:
            server, early = await ways.open(wanted)
            async with server:
                with suppress(trio.BrokenResourceError):
                    await stream.send_all(answer + early)
                    self.received += len(early)
                    await server.send_all(behind)
                    self.sent += len(behind)
                    await self.splice(server)
        except AirlockError as refused:
            error = refused
        except OSError as fault:
            if not is_full_table(fault):
                raise
            error = full_table()
        finally:
            tell(wanted, error)
        if error is not None and named is None:
            is_denied = isinstance(error, Denied)
            status = HTTPStatus.FORBIDDEN if is_denied else HTTPStatus.BAD_GATEWAY
            await self.refuse(error, status)


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
