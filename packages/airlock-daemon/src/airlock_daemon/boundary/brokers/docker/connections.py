"""The two connections of a call to a docker engine: the client's, and one of its own to the engine.

A call never shares the engine's connection with another one, so that no byte of a body can be read
there as the next request. The engine is trusted to speak HTTP; the client is not.
"""

import socket
from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Self

import h11
import msgspec
import trio

from airlock_daemon.boundary.connection.descriptors import Closer, receive
from airlock_daemon.errors import Failed
from airlock_modules.engine import View, rewrite_error
from airlock_wire import quote

PIECE = 1 << 18
_OPEN_S = 30.0
_SENT_AHEAD = 1 << 20
_MAX_ANSWER = 4 << 20
ASK_S = 60.0
"""Patience with the answer to a short call."""
# The engine has no virtual hosts.
_HOST = (b"Host", b"docker")

Headers = Sequence[tuple[bytes, bytes]]


class ClientStream:
    """A client's connection, as `https.incoming.Stream`; descriptors that come by it are closed."""

    def __init__(self, connection: socket.socket, closer: Closer) -> None:
        """The caller owns the connection, which does not block."""
        self._connection = connection
        self._closer = closer
        self._pending = bytearray()

    def receive_now(self, max_bytes: int) -> bytes | None:
        """As `Stream.receive_now`."""
        try:
            data, numbers = receive(self._connection, min(max_bytes, PIECE))
        except BlockingIOError:
            return None
        except OSError as error:
            raise trio.BrokenResourceError from error
        if numbers:
            self._closer.close(numbers)
        return data

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """As `Stream.receive_some`."""
        while (data := self.receive_now(max_bytes or PIECE)) is None:
            await self.wait_for_more()
        return data

    async def wait_for_more(self) -> None:
        """As `Stream.wait_for_more`."""
        await trio.lowlevel.wait_readable(self._connection)

    def send_now(self, data: bytes) -> bool:
        """As `Stream.send_now`."""
        self._pending += data
        try:
            with suppress(BlockingIOError):
                while self._pending:
                    del self._pending[: self._connection.send(self._pending)]
        except OSError as error:
            raise trio.BrokenResourceError from error
        return not self._pending

    async def send_all(self, data: bytes) -> None:
        """As `Stream.send_all`."""
        while not self.send_now(data):
            data = b""
            await trio.lowlevel.wait_writable(self._connection)


class EngineHead(msgspec.Struct, frozen=True, kw_only=True):
    """The head of the engine's answer; names of headers are in lower case."""

    status: int
    headers: Headers

    def get(self, name: bytes) -> bytes | None:
        """The value of a header, or None."""
        return next((value for key, value in self.headers if key == name), None)


class EngineConnection:
    """A connection to the engine for one call. Use it as an async context manager."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._http = h11.Connection(h11.CLIENT)
        # What `read_much` has yet to return.
        self._ahead = bytearray()

    @classmethod
    async def open(cls, engine: str) -> Self:
        """Connect to the engine's socket. Raises Failed."""
        why = f"it did not answer within {_OPEN_S:g} s"
        with trio.move_on_after(_OPEN_S):
            try:
                stream = await trio.open_unix_socket(engine)
                # An archive or a build's context is not sent in step with the engine's reading.
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SENT_AHEAD)
                return cls(stream)
            except (OSError, RuntimeError) as error:
                why = getattr(error, "strerror", None) or "no such socket"
        raise Failed(
            f"the docker engine at {quote(engine)} of the host cannot be reached: {why}",
            hint="a person on the host can start it, or let the daemon's user use its socket",
        )

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        await self.stream.aclose()

    async def begin(self, method: str, target: str, headers: Headers) -> None:
        """Send the head of a request. Raises Failed."""
        request = h11.Request(method=method, target=target, headers=[_HOST, *headers])
        await self._send(request)

    async def write(self, data: bytes) -> None:
        """Send a piece of the body. Raises Failed."""
        try:
            pieces = self._http.send_with_data_passthrough(h11.Data(data=data))
            # As they are: to join them would copy the piece.
            left = [memoryview(each) for each in pieces or ()]
            while left:
                count = await self.stream.socket.sendmsg(left)
                while left and count >= len(left[0]):
                    count -= len(left.pop(0))
                if left:
                    left[0] = left[0][count:]
        except (OSError, trio.ClosedResourceError):
            # It may have answered before it has read everything; the answer says why.
            return
        except h11.LocalProtocolError as error:
            raise broken(f"the call cannot be written: {error}") from error

    async def end(self) -> None:
        """End the request. Raises Failed."""
        await self._send(h11.EndOfMessage())

    async def read_head(self) -> EngineHead:
        """Read the head of the answer, 101 among them. Raises Failed."""
        while True:
            event = await self._next()
            if isinstance(event, h11.Response) or (
                isinstance(event, h11.InformationalResponse)
                and event.status_code == HTTPStatus.SWITCHING_PROTOCOLS
            ):
                headers = [(bytes(name).lower(), bytes(value)) for name, value in event.headers]
                return EngineHead(status=event.status_code, headers=headers)
            if not isinstance(event, h11.InformationalResponse):
                raise broken("it sent no answer")

    async def read(self) -> bytes:
        """Read a piece of the answer's body, b"" at its end. Raises Failed."""
        while self._http.their_state is h11.SEND_BODY:
            event = await self._next()
            if isinstance(event, h11.Data):
                if event.data:
                    return bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return b""
            else:
                raise broken("its answer was cut off")
        return b""

    async def read_all(self) -> bytes:
        """Read the whole body of an answer that is not long. Raises Failed."""
        found = bytearray()
        while piece := await self.read():
            found += piece
            if len(found) > _MAX_ANSWER:
                raise broken(f"its answer is longer than {_MAX_ANSWER >> 20} MiB")
        return bytes(found)

    async def read_much(self, limit: int) -> bytes:
        """Read the next `limit` bytes of the answer's body, fewer at its end. Raises Failed."""
        while len(self._ahead) < limit and (piece := await self.read()):
            self._ahead += piece
        found = bytes(self._ahead[:limit])
        del self._ahead[:limit]
        return found

    @property
    def early(self) -> bytes:
        """The bytes that came after a switch of protocols."""
        return bytes(self._http.trailing_data[0])

    async def _send(self, event: h11.Event) -> None:
        try:
            if data := self._http.send(event):
                await self.stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            # It may have answered before it has read everything; the answer says why.
            return
        except h11.LocalProtocolError as error:
            raise broken(f"the call cannot be written: {error}") from error

    async def _next(self) -> object:
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                self._http.receive_data(await self.stream.receive_some(PIECE))
        except (h11.RemoteProtocolError, trio.BrokenResourceError) as error:
            raise broken("it closed the connection, or does not speak HTTP") from error
        return event


async def request_json(
    engine: str, method: str, target: str, body: bytes | None = None
) -> tuple[int, object]:
    """Make one short call; returns status and JSON, None if there is none. Raises Failed."""
    headers = [(b"Content-Length", str(len(body or b"")).encode())] if method != "GET" else []
    if body is not None:
        headers.append((b"Content-Type", b"application/json"))
    with trio.move_on_after(ASK_S):
        async with await EngineConnection.open(engine) as connection:
            await connection.begin(method, target, headers)
            if body:
                await connection.write(body)
            await connection.end()
            head = await connection.read_head()
            return head.status, read_json(await connection.read_all())
    raise broken(f"it did not answer within {ASK_S:g} s")


def read_json(data: bytes) -> object:
    """What an engine's answer is in JSON; None for another one."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def broken(why: str) -> Failed:
    """The failure of a call that the engine did not serve to its end."""
    return Failed(
        f"the docker engine of the host did not serve this call: {why}",
        hint="try again; a person on the host finds the engine's own messages there",
    )


def unusual(status: int, answer: object, view: View, *, hint: str = "try again") -> Failed:
    """The failure of an engine that answers what the broker asks otherwise than it should."""
    said = rewrite_error(answer, view)["message"]
    return Failed(
        f"the docker engine of the host answered {status} to what this call needs: {said}",
        hint=f"{hint}; a person on the host finds the engine's own messages there",
    )
