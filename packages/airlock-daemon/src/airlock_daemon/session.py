"""One connection: bytes of a socket on one side, messages of `airlock_wire` on the other."""

import os
import socket
from contextlib import suppress

import trio

from airlock_daemon.limits import Limits
from airlock_daemon.process import Stream
from airlock_wire import (
    ErrorObject,
    HalfClosed,
    LocalProtocolError,
    Request,
    ServerSession,
)
from airlock_wire import Limits as WireLimits

RECEIVE = 65536


class ClientGone(Exception):
    """The client hung up, or a write to it failed."""


class Session:
    """The daemon's side of one connection. Whoever opens it must `close` it."""

    def __init__(self, connection: trio.socket.SocketType, limits: Limits) -> None:
        self.connection = connection
        self.bytes_out = 0
        self.is_answered = False
        self._wire = ServerSession(
            limits=WireLimits(request_bytes=limits.request_bytes, arguments=limits.arguments)
        )

    @property
    def request_id(self) -> str | int | float | None:
        """The id of the request as far as it could be read."""
        return self._wire.request_id

    async def receive(self) -> Request | None:
        """Read the one request; None when the client closed without a word.

        Raises RemoteProtocolError for anything that is no request, ClientGone when it hung up.
        """
        while True:
            event = self._wire.next_event()
            if isinstance(event, Request):
                return event
            if isinstance(event, HalfClosed):
                return None
            try:
                data = await self.connection.recv(RECEIVE)
            except OSError as error:
                raise ClientGone from error
            self._wire.receive_data(data)

    async def send_output(self, stream: Stream, data: bytes) -> None:
        """Send a piece of output; waits while the client does not read."""
        self.bytes_out += len(data)
        await self._send(self._wire.send_output(stream, data))

    async def send_result(self, exit_code: int) -> None:
        """Answer a command that has run."""
        await self._answer(self._wire.send_result(exit_code))

    async def send_decision(self, not_consulted: tuple[str, ...]) -> None:
        """Answer a `check` that is allowed."""
        await self._answer(self._wire.send_decision(not_consulted=not_consulted))

    async def send_error(self, error: ErrorObject) -> None:
        """Answer with an error, unless there was an answer already."""
        try:
            data = self._wire.send_error(error)
        except LocalProtocolError:
            return
        await self._answer(data)

    def refuse_at_once(self, error: ErrorObject) -> None:
        """Send an error without waiting; it fits into the empty buffer of a new connection."""
        with suppress(OSError):
            os.write(self.connection.fileno(), self._wire.send_error(error))

    async def _answer(self, data: bytes) -> None:
        self.is_answered = True
        await self._send(data)
        # The client has all that it waits for, and should not wait for what is cleaned up here.
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)

    async def _send(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[await self.connection.send(view) :]
        except OSError as error:
            raise ClientGone from error

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()
