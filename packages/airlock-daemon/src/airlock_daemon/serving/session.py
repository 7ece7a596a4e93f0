"""One connection: a socket's bytes on one side, messages of `airlock_wire` on the other."""

import math
import socket
import time
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from typing import Literal

import trio

from airlock_daemon.boundary.connection.descriptors import (
    COUNT,
    BadDescriptors,
    ClientDescriptors,
    Closer,
    drop_unread,
    receive,
    receive_plain,
    too_many_descriptors,
)
from airlock_daemon.boundary.fairness import Gate, TurnQueue, too_large_error
from airlock_daemon.platform.system import GONE, HANGUPS_ALONE, READABLE, Readiness
from airlock_daemon.setup.generation import Limits
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

ClientMessage = StdinData | StdinEnd | Signal | Resize

# Bytes per read, and reads per turn.
RECEIVE = 65536
RECEIVES = 4

# A client that sends many small messages is read in smaller pieces.
RECEIVE_SMALL = 4096
MANY = 8

# Output in pieces of this size is bulk output.
BULK = 65536
SEND_BUFFER = 1 << 20


# Seconds that a client has to read why its request was ended.
FINAL_ERROR_S = 1.0

STOPPING = ErrorObject.failed("the daemon is stopping", hint="try again when it runs again")

REMOVED = ErrorObject.denied(
    "this agent is not registered any more",
    layer="profile",
    rule="registration",
    hint="a person on the host can register it again: airlock agent add",
)


class ClientGone(Exception):
    """The client hung up, or a write to it failed."""


class Session:
    """The daemon's side of one connection. Its owner must `close` it.

    `passed` are the descriptors that came with the request, closed with the session at the latest.
    """

    def __init__(
        self,
        connection: socket.socket,
        limits: Limits,
        *,
        gate: Gate,
        closer: Closer,
        turns: TurnQueue,
    ) -> None:
        self.passed = ClientDescriptors((), closer)
        self._gate = gate
        self._closer = closer
        self._turns = turns
        self.connection = connection
        self.bytes_out = 0
        self.is_answered = False
        self._buffered = b""
        self._is_started = False
        self._stored: list[ClientMessage] = []
        self.bytes_in = 0
        self._is_partly_sent = False
        self._has_large_buffer = False
        self._chunk = RECEIVE
        self._wire = ServerSession(
            limits=WireLimits(request_bytes=limits.request_bytes, arguments=limits.arguments)
        )

    @property
    def request_id(self) -> str | int | float | None:
        """The request's id, as far as it was parsed."""
        return self._wire.request_id

    def receive_at_once(self) -> Request | HalfClosed | None:
        """Read the request, at most one turn's worth; None if it is incomplete.

        HalfClosed: the client closed without sending. Raises RemoteProtocolError for an invalid
        request, ClientGone if the client hung up.
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
                if self.passed.numbers:
                    self._examine_descriptors(event)
                return event
            if isinstance(event, HalfClosed):
                return event
        return None

    async def receive(self) -> Request | HalfClosed:
        """Wait for the whole request; otherwise as `receive_at_once`.

        Raises Denied if the agent's requests in progress take too many bytes.
        """
        held = 0
        try:
            while True:
                if not self._gate.reserve(self.bytes_in - held):
                    raise too_large_error()
                held = self.bytes_in
                await trio.lowlevel.wait_readable(self.connection)
                await self._turns.take()
                event = self.receive_at_once()
                if event is not None:
                    return event
        finally:
            self._gate.release(held)

    def _receive_request(self) -> bytes:
        if self.bytes_in or self._closer.is_stuck:
            return receive_plain(self.connection, RECEIVE, self._closer)
        # One byte only: a longer read could bring descriptors attached to a later byte.
        data, numbers = receive(self.connection, 1)
        if numbers:
            self.passed.numbers = tuple(numbers)
            if len(numbers) > COUNT:
                self.passed.close()
                raise too_many_descriptors()
        if data:
            try:
                return data + receive_plain(self.connection, RECEIVE, self._closer)
            except BlockingIOError:
                return data
        return data

    def _examine_descriptors(self, request: Request) -> None:
        try:
            if request.method != "exec" or "fds" not in (request.features or ()):
                raise BadDescriptors(
                    "descriptors came with a request that does not use them",
                    hint='list "fds" in the features of an exec request, or send no descriptor',
                )
            self.passed.examine()
        except BadDescriptors as error:
            self.passed.close()
            raise _broken(error) from error

    def read_messages(self, handle: Callable[[ClientMessage], None]) -> bool:
        """Call `handle` with the client's messages, at most one turn's worth, without blocking.

        Returns whether more may come. Raises RemoteProtocolError.
        """
        try:
            data = receive_plain(self.connection, self._chunk, self._closer)
        except BlockingIOError:
            return True
        except OSError:
            # The watch reports the hangup.
            return False
        except BadDescriptors as error:
            raise _broken(error) from error
        self._wire.receive_data(data)
        count = 0
        while isinstance(event := self._wire.next_event(), ClientMessage):
            handle(event)
            count += 1
        self._chunk = RECEIVE_SMALL if count > MANY else RECEIVE
        return bool(data)

    def store_messages(self, messages: list[ClientMessage]) -> None:
        """Keep messages that were heard before anything could use them, for `replay`."""
        self._stored = messages

    def replay(self, handle: Callable[[ClientMessage], None]) -> None:
        """Call `handle` with the kept messages, once."""
        kept, self._stored = self._stored, []
        for each in kept:
            handle(each)

    def buffer_start(self, features: Collection[str], *, stdin_credit: int) -> None:
        """Buffer the start message with the agreed features; it goes with the next message.

        `stdin_credit` is in bytes, 0 without stdin. A second call does nothing: a client may have
        been told that it waits.
        """
        if self._is_started:
            return
        self._is_started = True
        self._buffered = self._wire.send_start(features, stdin_credit=stdin_credit)

    async def send_buffered(self) -> None:
        """Send the buffered message."""
        await self._send(b"")

    def send_buffered_now(self) -> None:
        """Send the buffered bytes without blocking; the rest goes with the next message.

        The client's watch reports a hangup.
        """
        if not self._buffered:
            return
        with suppress(OSError):
            self._buffered = self._buffered[
                self.connection.send(self._buffered, socket.MSG_DONTWAIT) :
            ]

    async def send_credit(self, count: int) -> None:
        """Let the client send `count` more bytes."""
        await self._send(self._wire.send_credit(count))

    async def send_output(self, stream: Stream, data: bytes) -> None:
        """Send a piece of output; waits until the client reads."""
        self.bytes_out += len(data)
        if len(data) >= BULK and not self._has_large_buffer:
            # As much as the kernel allows (socket(7), wmem_max), to wait less often.
            self._has_large_buffer = True
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        await self._send(self._wire.send_output(stream, data))

    def send_result(
        self, exit_code: int, *, signal: str | None, stdin_bytes: int | None
    ) -> Awaitable[None]:
        """Answer with a command's result."""
        return self._answer(
            self._wire.send_result(exit_code, signal=signal, stdin_bytes=stdin_bytes)
        )

    def send_decision(self, not_consulted: tuple[str, ...]) -> Awaitable[None]:
        """Answer a `check` that is allowed."""
        return self._answer(self._wire.send_decision(not_consulted=not_consulted))

    async def send_error(self, error: ErrorObject) -> None:
        """Answer with an error, unless already answered or a line was sent in part."""
        if self._is_partly_sent:
            return
        try:
            data = self._wire.send_error(error)
        except LocalProtocolError:
            return
        await self._answer(data)

    async def send_final_error(self, error: ErrorObject) -> None:
        """Answer a client whose request was cancelled, if it still reads."""
        patience = trio.CancelScope(deadline=trio.current_time() + FINAL_ERROR_S, shield=True)
        with patience, suppress(ClientGone):
            await self.send_error(error)

    async def _answer(self, data: bytes) -> None:
        self.is_answered = True
        await self._send(data)
        # The client has its answer and should not wait for our cleanup.
        try:  # noqa: SIM105 - on the way of every request
            self.connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    async def _send(self, data: Line | memoryview) -> None:
        if self._buffered:
            data, self._buffered = self._buffered + bytes(data), b""
        while data:
            try:
                sent = self.connection.send(data, socket.MSG_DONTWAIT)
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self.connection)
                continue
            except OSError as error:
                raise ClientGone from error
            if sent == len(data):
                self._is_partly_sent = False
                return
            self._is_partly_sent = True
            data = memoryview(data)[sent:]

    def close(self) -> None:
        """Close the connection and the passed descriptors."""
        self.passed.close()
        drop_unread(self.connection, self._closer)
        self.connection.close()


def _broken(error: BadDescriptors) -> RemoteProtocolError:
    return RemoteProtocolError(ErrorObject.invalid_request(error.message, hint=error.hint))


Reason = Literal["hangup", "stop", "removed", "fault"]


class Cancellation:
    """Cancels one request: its scope, and the reason.

    `error` is the client's protocol error, to send to it. Others may use its scope once it is over.
    """

    def __init__(self, scope: trio.CancelScope | None = None) -> None:
        self.scope = scope or trio.CancelScope()
        self._is_over = False
        self.reason: Reason | None = None
        self.error: ErrorObject | None = None

    def end(self, reason: Reason) -> None:
        """Cancel the request; the first reason counts."""
        if self.reason is None and not self._is_over:
            self.reason = reason
            self.scope.cancel()

    def close(self) -> None:
        """Cancel nothing any more."""
        self._is_over = True

    def hang_up(self) -> None:
        """Cancel the request because its client hung up."""
        self.end("hangup")

    def fail(self, error: ErrorObject) -> None:
        """Cancel the request because the client broke the protocol."""
        if self.reason is None:
            self.error = error
            self.end("fault")


# A client that closes only its sending half (EPOLLRDHUP) still reads. One that is gone is EPOLLHUP
# or EPOLLERR (GONE), which epoll always reports (epoll_ctl(2)), so a registration for no event
# waits for just that. One epoll serves every connection: two system calls per request, no task.

# Seconds. The start of a shorter command does not wake its client; nobody types that fast.
BRIEF_S = 0.03

# The clients served per turn. The kernel returns them in rotation, so that busy clients cannot
# starve others.
AT_ONCE = 8


class Watched:
    """A watched descriptor; made by `ClientWatch.watch`."""

    def __init__(
        self, watch: "ClientWatch", descriptor: int, on_hangup: Callable[[], None]
    ) -> None:
        self._watch = watch
        self._epoll = watch.epoll
        self._descriptor = descriptor
        self.on_hangup = on_hangup
        self.on_readable: Callable[[], bool] | None = None

    def listen(self, on_readable: Callable[[], bool]) -> None:
        """Call `on_readable`, which must not block, while there is something to read.

        It returns whether to go on listening.
        """
        self.on_readable = on_readable
        self._epoll.modify(self._descriptor, READABLE)

    def ignore(self) -> None:
        """Stop listening; a hangup is still reported."""
        self.on_readable = None
        self._epoll.modify(self._descriptor, HANGUPS_ALONE)

    def drop(self) -> None:
        """Stop watching; may be called again."""
        if self._watch.forget(self._descriptor):
            self._epoll.unregister(self._descriptor)


class ClientWatch:
    """Calls back when a watched descriptor's peer hangs up (once) or sends something."""

    def __init__(self) -> None:
        self.epoll = Readiness()
        self._watched: dict[int, Watched] = {}
        # By descriptor, in order of time.
        self._due: dict[int, tuple[float, Callable[[], None]]] = {}
        self._alarm = trio.CancelScope()
        self._next_due = math.inf

    def watch(self, descriptor: int, on_hangup: Callable[[], None]) -> Watched:
        """Watch `descriptor` until `drop`, which must come before it is closed.

        `on_hangup` must not block.
        """
        watched = Watched(self, descriptor, on_hangup)
        self.epoll.register(descriptor, HANGUPS_ALONE)
        self._watched[descriptor] = watched
        return watched

    def call_later(self, descriptor: int, act: Callable[[], None]) -> None:
        """Call `act`, which must not block, after BRIEF_S seconds, unless forgotten before."""
        due = time.perf_counter() + BRIEF_S
        self._due[descriptor] = (due, act)
        if due < self._next_due:
            self._next_due = due
            self._alarm.deadline = trio.current_time() + BRIEF_S

    def forget(self, descriptor: int) -> bool:
        """Stop watching a descriptor; returns whether it was watched."""
        self._due.pop(descriptor, None)
        return self._watched.pop(descriptor, None) is not None

    async def run(self) -> None:
        """Serve until cancelled."""
        number = self.epoll.fileno()
        try:
            while True:
                # Left when a late call is due: a scope per command would cost more than many of
                # them take.
                with self._alarm:
                    while True:
                        await trio.lowlevel.wait_readable(number)
                        for descriptor, events in self.epoll.poll(0, AT_ONCE):
                            watched = self._watched.get(descriptor)
                            if watched is not None:
                                self._notify(watched, events)
                self._run_due()
        finally:
            self.epoll.close()

    def _run_due(self) -> None:
        now = time.perf_counter()
        self._next_due = math.inf
        for descriptor, (due, act) in list(self._due.items()):
            if due > now:
                self._next_due = due
                break
            del self._due[descriptor]
            act()
        self._alarm = trio.CancelScope(deadline=trio.current_time() + self._next_due - now)

    def _notify(self, watched: Watched, events: int) -> None:
        if events & GONE:
            # epoll would report the hangup forever.
            watched.drop()
            watched.on_hangup()
        elif watched.on_readable is not None and not watched.on_readable():
            watched.ignore()
