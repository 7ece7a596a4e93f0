"""One connection: bytes of a socket on one side, messages of `airlock_wire` on the other."""

import socket
from collections.abc import Callable, Collection
from contextlib import suppress

import trio

from airlock_daemon.connection.closing import Closer
from airlock_daemon.connection.descriptors import (
    COUNT,
    BadDescriptors,
    Passed,
    drop_unread,
    receive,
    receive_plain,
    too_many,
)
from airlock_daemon.fairness.gate import Gate, too_large
from airlock_daemon.fairness.turns import Turns
from airlock_daemon.setup.limits import Limits
from airlock_wire import (
    ErrorObject,
    HalfClosed,
    Line,
    LocalProtocolError,
    RemoteProtocolError,
    Request,
    Resize,
    ServerSession,
    Signal,
    StdinData,
    StdinEnd,
    Stream,
)
from airlock_wire import Limits as WireLimits

Said = StdinData | StdinEnd | Signal | Resize

# What is read at once, and how often in one turn.
RECEIVE = 65536
RECEIVES = 4

# A client that sends many small messages gets a smaller share of each turn.
RECEIVE_SMALL = 4096
MANY = 8

# A piece of output of this size is one of many.
BULK = 65536
SEND_BUFFER = 1 << 20


class ClientGone(Exception):
    """The client hung up, or a write to it failed."""


class Session:
    """The daemon's side of one connection. Its owner must `close` it.

    `passed` are the descriptors that came with the request, which are closed with the session at
    the latest.
    """

    def __init__(
        self, connection: socket.socket, limits: Limits, *, gate: Gate, closer: Closer, turns: Turns
    ) -> None:
        self._gate = gate
        self._closer = closer
        self._turns = turns
        self.connection = connection
        self.bytes_out = 0
        self.is_answered = False
        self._held = b""
        self.passed = Passed((), closer)
        self._is_begun = False
        self.bytes_in = 0
        self._is_torn = False
        self._is_wide = False
        self._chunk = RECEIVE
        self._wire = ServerSession(
            limits=WireLimits(request_bytes=limits.request_bytes, arguments=limits.arguments)
        )

    @property
    def request_id(self) -> str | int | float | None:
        """The id of the request as far as it could be read."""
        return self._wire.request_id

    def receive_at_once(self) -> Request | HalfClosed | None:
        """Take what has come of the request, as much as belongs into one turn; None for not all.

        HalfClosed is for a client that closed without a word. Raises RemoteProtocolError for
        anything that is no request, ClientGone for a client that hung up.
        """
        for _ in range(RECEIVES):
            try:
                data = self._receive_request()
            except BlockingIOError:
                return None
            except OSError as error:
                raise ClientGone from error
            except BadDescriptors as error:
                raise _broken(error) from error
            self.bytes_in += len(data)
            self._wire.receive_data(data)
            event = self._wire.next_event()
            if isinstance(event, Request):
                self._examine_descriptors(event)
                return event
            if isinstance(event, HalfClosed):
                return event
        return None

    async def receive(self) -> Request | HalfClosed:
        """Wait for the whole request; as `receive_at_once` otherwise.

        Raises Denied where too much of other requests is under way.
        """
        held = 0
        try:
            while True:
                if not self._gate.hold(self.bytes_in - held):
                    raise too_large()
                held = self.bytes_in
                await trio.lowlevel.wait_readable(self.connection)
                await self._turns.take()
                event = self.receive_at_once()
                if event is not None:
                    return event
        finally:
            self._gate.release(held)

    def _receive_request(self) -> bytes:
        if self._is_begun or self._closer.is_stuck:
            return receive_plain(self.connection, RECEIVE, self._closer)
        # The first byte alone: more could bring descriptors that ride on a later one.
        data, numbers = receive(self.connection, 1)
        self.passed = Passed(numbers, self._closer)
        self._is_begun = True
        if len(numbers) > COUNT:
            self.passed.close()
            raise too_many()
        if data:
            try:
                return data + receive_plain(self.connection, RECEIVE, self._closer)
            except BlockingIOError:
                return data
        return data

    def _examine_descriptors(self, request: Request) -> None:
        if not self.passed.numbers:
            return
        try:
            if request.method != "exec" or "fds" not in (request.features or ()):
                raise BadDescriptors(
                    "descriptors came with a request that does not use them",
                    hint='list "fds" in the features of an exec request, or send no descriptor',
                )
            _ = self.passed.kinds
        except BadDescriptors as error:
            self.passed.close()
            raise _broken(error) from error

    def hear(self, tell: Callable[[Said], None]) -> bool:
        """Give `tell` what the client says, as much as may be read without waiting in one turn.

        Returns whether there may be more to come. Raises RemoteProtocolError.
        """
        try:
            data = receive_plain(self.connection, self._chunk, self._closer)
        except BlockingIOError:
            return True
        except OSError:
            # It hung up, which is told in another way.
            return False
        except BadDescriptors as error:
            raise _broken(error) from error
        self._wire.receive_data(data)
        count = 0
        while isinstance(event := self._wire.next_event(), Said):
            tell(event)
            count += 1
        self._chunk = RECEIVE_SMALL if count > MANY else RECEIVE
        return bool(data)

    def hold_start(self, features: Collection[str], *, stdin_credit: int) -> None:
        """Say which features are used, at the latest with what is sent next.

        `stdin_credit` is in bytes, 0 where stdin is not among them.
        """
        self._held = self._wire.send_start(features, stdin_credit=stdin_credit)

    async def send_held(self) -> None:
        """Send what is held back."""
        await self._send(b"")

    async def send_credit(self, count: int) -> None:
        """Let the client send so many bytes more."""
        await self._send(self._wire.send_credit(count))

    async def send_output(self, stream: Stream, data: bytes) -> None:
        """Send a piece of output; waits while the client does not read."""
        self.bytes_out += len(data)
        if len(data) >= BULK and not self._is_wide:
            # As much as the kernel grants (socket(7), wmem_max): fewer waits for the client.
            self._is_wide = True
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        await self._send(self._wire.send_output(stream, data))

    async def send_result(
        self, exit_code: int, *, signal: str | None, stdin_bytes: int | None
    ) -> None:
        """Answer a command that has run."""
        await self._answer(
            self._wire.send_result(exit_code, signal=signal, stdin_bytes=stdin_bytes)
        )

    async def send_decision(self, not_consulted: tuple[str, ...]) -> None:
        """Answer a `check` that is allowed."""
        await self._answer(self._wire.send_decision(not_consulted=not_consulted))

    async def send_error(self, error: ErrorObject) -> None:
        """Answer with an error, unless there was an answer already, or a line was cut off."""
        if self._is_torn:
            return
        try:
            data = self._wire.send_error(error)
        except LocalProtocolError:
            return
        await self._answer(data)

    async def _answer(self, data: bytes) -> None:
        self.is_answered = True
        await self._send(data)
        # The client has all that it waits for, and should not wait for what is cleaned up here.
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)

    async def _send(self, data: Line) -> None:
        if self._held:
            data, self._held = self._held + bytes(data), b""
        view = memoryview(data)
        try:
            while view:
                try:
                    view = view[self.connection.send(view, socket.MSG_DONTWAIT) :]
                    self._is_torn = bool(view)
                except BlockingIOError:
                    await trio.lowlevel.wait_writable(self.connection)
        except OSError as error:
            raise ClientGone from error

    def close(self) -> None:
        """Close the connection and what came with the request."""
        self.passed.close()
        drop_unread(self.connection, self._closer)
        self.connection.close()


def _broken(error: BadDescriptors) -> RemoteProtocolError:
    return RemoteProtocolError(ErrorObject.invalid_request(error.message, hint=error.hint))
