"""A client of one HTTP server: how it is reached, and sequential requests over one connection."""

import os
import re
import socket
import ssl
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import h11
import msgspec
import trio

from airlock_daemon.boundary.brokers.http.addresses import Address
from airlock_daemon.boundary.brokers.http.tls import TlsStream, Trust, has_pending
from airlock_daemon.errors import Failed
from airlock_daemon.threads import run_in_thread
from airlock_wire import quote

if TYPE_CHECKING:
    from airlock_daemon.boundary.brokers.http.proxy import Proxy
    from airlock_daemon.boundary.fairness import TurnQueue

PIECE = 65536

TRY_AGAIN = "try again; whoever runs the server, or a proxy before it, can see what it answers"
"""The remedy for a refused answer."""

# wbits of zlib for a gzip or zlib header (zlib.decompressobj).
_ANY_HEADER = 47
_PACKED = ("gzip", "x-gzip", "deflate")

Event = h11.Data | h11.EndOfMessage


class Answer:
    """A final response, not a 1xx."""

    def __init__(self, head: h11.Response, next_event: Callable[[], Awaitable[Event]]) -> None:
        """`next_event` gives what follows. Raises Failed for an ambiguous head."""
        self.status = head.status_code
        self.headers = _read_headers(head)
        self._next_event = next_event
        self._decoder: zlib._Decompress | None = None
        packed = self.headers.get("content-encoding", "identity").lower()
        if packed in _PACKED:
            self._decoder = zlib.decompressobj(_ANY_HEADER)
        elif packed != "identity":
            raise broken("it is packed in a way that was not asked for")

    async def read(self) -> bytes:
        """Read the next piece, of at most PIECE bytes; b"" at the end.

        Raises Failed if the answer is truncated or cannot be decompressed.
        """
        while True:
            if self._decoder is not None and self._decoder.unconsumed_tail:
                piece = self._unpack(self._decoder, self._decoder.unconsumed_tail)
            else:
                event = await self._next_event()
                if isinstance(event, h11.EndOfMessage):
                    if self._decoder is not None and not self._decoder.eof:
                        raise cut_off()
                    return b""
                piece = bytes(event.data)
                if self._decoder is not None:
                    piece = self._unpack(self._decoder, piece)
            if piece:
                return piece

    async def drop(self, *, limit: int = PIECE) -> None:
        """Read the rest, if it has at most `limit` bytes, so that the connection can be reused."""
        with suppress(Failed):
            while limit > 0 and (piece := await self.read()):
                limit -= len(piece)

    def _unpack(self, decoder: "zlib._Decompress", data: bytes) -> bytes:
        try:
            piece = decoder.decompress(data, PIECE)
        except zlib.error as error:
            raise broken("it cannot be unpacked") from error
        if decoder.unused_data:
            raise broken("something stands behind what is packed in it")
        return piece


def _read_headers(head: h11.Response) -> Mapping[str, str]:
    """The headers by lower-case name; repeated ones are joined by commas."""
    headers: dict[str, str] = {}
    for name, value in head.headers:
        key, text = name.decode("ascii"), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    # With both, an intermediary may have used the other one (RFC 9112, 6.3).
    if "content-length" in headers and "transfer-encoding" in headers:
        raise broken("it has two lengths")
    return headers


def broken(why: str) -> Failed:
    """The error for a refused answer."""
    return Failed(f"the answer of the server is not taken: {why}", hint=TRY_AGAIN)


def cut_off() -> Failed:
    """The error for a truncated answer or connection."""
    return broken("it was cut off")


# How long a server may send or take nothing once it has the whole request. Packing a large
# repository takes minutes, in which git's own servers send progress every few seconds.
QUIET_S = 300.0
# Limit of a head's bytes.
_HEAD = 1 << 16
# What a parse error quotes of the answer, where a server may repeat the credential.
_QUOTED = re.compile(r":? (?:bytearray\(b|b)['\"].*", re.DOTALL)
# Limit of 1xx answers before the final one.
_FIRST_WORDS = 8

Body = Callable[[], Awaitable[bytes]]
T = TypeVar("T")


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request. `body` is whole, or returns piece after piece, b"" at the end."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | Body = b""


class _Stale(Exception):
    """A reused connection was closed before any answer."""


class HttpClient:
    """A client; its owner must `close` it. `connect` opens a stream to the server."""

    def __init__(
        self, connect: Callable[[], Awaitable[trio.abc.Stream]], turns: "TurnQueue"
    ) -> None:
        self._connect = connect
        self._turns = turns
        self._stream: trio.abc.Stream | None = None
        self._talk = h11.Connection(h11.CLIENT)
        self._is_sending = False
        self._waiting: trio.CancelScope | None = None

    async def exchange(self, request: Request, read: Callable[[Answer], Awaitable[T]]) -> T:
        """Send a request; `read` gets the answer once its head has arrived.

        A server may answer before it has the whole body; the rest is not sent once `read` returns.
        Raises Failed if server or connection fail, and what `read` and the body raise.
        """
        if self._stream is not None and has_pending(self._stream):
            await self.close()
        is_kept = self._stream is not None
        try:
            return await self._exchange(request, read)
        except _Stale:
            if not is_kept or not isinstance(request.body, bytes):
                raise cut_off() from None
        try:
            return await self._exchange(request, read)
        except _Stale:
            raise cut_off() from None

    async def close(self) -> None:
        """Close the connection without TLS's close_notify."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await trio.aclose_forcefully(stream)

    async def _exchange(self, request: Request, read: Callable[[Answer], Awaitable[T]]) -> T:
        if self._stream is None:
            self._stream = await self._connect()
            self._talk = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD)
        done: list[T] = []
        faults: list[Exception] = []
        try:
            # A nursery would wrap an error in a group.
            async with trio.open_nursery() as nursery:
                self._is_sending = True
                nursery.start_soon(self._send, request, self._stream, faults, nursery.cancel_scope)
                try:
                    done.append(await read(await self._read_head()))
                except Exception as error:  # noqa: BLE001 - raised again below
                    faults.append(error)
                nursery.cancel_scope.cancel()
            if not done:
                raise faults[0]
        finally:
            await self._end_exchange(is_whole=bool(done))
        return done[0]

    async def _end_exchange(self, *, is_whole: bool) -> None:
        talk = self._talk
        is_over = talk.our_state is h11.DONE and talk.their_state is h11.DONE
        # Bytes after an answer could be taken for the answer to the next request.
        if is_whole and is_over and not talk.trailing_data[0]:
            talk.start_next_cycle()
        else:
            await self.close()

    async def _send(
        self,
        request: Request,
        stream: trio.abc.Stream,
        faults: list[Exception],
        scope: trio.CancelScope,
    ) -> None:
        """Send the request. The body's errors end the exchange; the server's show later."""
        try:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                # A streamed body takes a turn per piece.
                await self._turns.take()
                headers = list(request.headers)
                if not isinstance(request.body, bytes):
                    # A server that leaves an agent's bytes unread takes them for a request.
                    headers.append(("Connection", "close"))
                head = h11.Request(method=request.method, target=request.target, headers=headers)
                if isinstance(request.body, bytes):
                    body = h11.Data(data=request.body)
                    await self._write(stream, head, body, h11.EndOfMessage())
                else:
                    await self._write(stream, head)
                    while data := await request.body():
                        await self._write(stream, h11.Data(data=data))
                    await self._write(stream, h11.EndOfMessage())
        except h11.LocalProtocolError:
            # h11's message quotes the invalid header, which may be a credential.
            faults.append(_unsendable())
            scope.cancel()
        except Exception as error:  # noqa: BLE001 - a nursery would put it into a group
            faults.append(error)
            scope.cancel()
        self._is_sending = False
        if self._waiting is not None:
            self._waiting.deadline = trio.current_time() + QUIET_S

    async def _write(
        self, stream: trio.abc.Stream, *events: h11.Request | h11.Data | h11.EndOfMessage
    ) -> None:
        # The only copy of a body.
        said = b"".join(
            part for event in events for part in self._talk.send_with_data_passthrough(event) or ()
        )
        try:
            with trio.fail_after(QUIET_S):
                await stream.send_all(said)
        except trio.TooSlowError:
            raise _too_slow() from None

    async def _read_head(self) -> Answer:
        for _ in range(_FIRST_WORDS):
            event = await self._next_event(is_first=True)
            if isinstance(event, h11.Response):
                return Answer(event, self._next_body_event)
            if not isinstance(event, h11.InformationalResponse):
                break
        raise broken("it does not begin as one does")

    async def _next_body_event(self) -> Event:
        event = await self._next_event()
        if not isinstance(event, Event):
            raise broken("it does not go on as one does")
        return event

    async def _next_event(self, *, is_first: bool = False) -> object:
        """The next event of the answer. Raises _Stale if the server sent nothing."""
        while True:
            try:
                event = self._talk.next_event()
            except h11.RemoteProtocolError as error:
                if self._talk.trailing_data[1]:
                    raise cut_off() from error
                raise broken(_QUOTED.sub("", str(error))) from None
            if event is h11.PAUSED:
                raise broken("it says more than was asked for")
            if event is not h11.NEED_DATA:
                return event
            data = await self._receive()
            if not data and is_first and not self._talk.trailing_data[0]:
                raise _Stale
            self._talk.receive_data(data)

    async def _receive(self) -> bytes:
        """Receive the server's next bytes, b"" at EOF."""
        assert self._stream is not None  # noqa: S101 - for mypy
        until = float("inf") if self._is_sending else trio.current_time() + QUIET_S
        data = b""
        scope = self._waiting = trio.CancelScope(deadline=until)
        with scope, suppress(trio.BrokenResourceError):
            data = bytes(await self._stream.receive_some(PIECE))
        self._waiting = None
        if scope.cancelled_caught:
            raise _too_slow()
        await self._turns.take()
        return data


def _unsendable() -> Failed:
    return Failed(
        "the request to the server would not be valid HTTP, and was not sent",
        hint="a person on the host can look for line ends and blanks in the account and the "
        "headers that it is given",
    )


def _too_slow() -> Failed:
    return Failed(
        f"the server was idle for {QUIET_S:g} s",
        hint="try again; a person on the host can see whether it answers there",
    )


def find_proxy(
    configured: str | None, variables: Mapping[str, str], *, scheme: str, host: str
) -> "Proxy | None":
    """Find the proxy for a host, None if it is reached directly.

    `configured` is git's `http.proxy` for the URL, None if unset; "" means no proxy. Raises Failed
    for an unsupported kind of proxy, without quoting its password.
    """
    url = configured
    for name in _names(scheme):
        url = variables.get(name) if url is None else url
    if not url:
        return None
    from airlock_daemon.boundary.brokers.http.proxy import Proxy, is_exempt  # noqa: PLC0415

    exempt = variables.get("no_proxy", variables.get("NO_PROXY", ""))
    return None if is_exempt(exempt, host) else Proxy.read(url)


def _names(scheme: str) -> tuple[str, ...]:
    # curl ignores HTTP_PROXY: in CGI it is a header of the client.
    upper = ("HTTPS_PROXY",) if scheme == "https" else ()
    return (f"{scheme}_proxy", *upper, "all_proxy", "ALL_PROXY")


# For one address, and for a handshake, in seconds.
CONNECT_S = 15.0

_HTTPS_PORT = 443


Route: TypeAlias = "tuple[Address, ...] | Proxy"
"""The route to a server: its addresses, tried in order, or a proxy."""


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """A server, and the route to it.

    `host` has no brackets. `trust` is None without TLS.
    """

    host: str
    port: int
    route: Route
    trust: Trust | None


async def connect(origin: Origin, limiter: trio.CapacityLimiter) -> trio.abc.Stream:
    """Open a stream to the server, which the caller closes.

    Threads come from `limiter`. Raises Failed if the server cannot be reached or its certificate
    does not match.
    """
    stream, early = await open_stream(origin, limiter)
    try:
        if early and not isinstance(origin.route, tuple):
            # The server has received nothing yet, so these bytes are not its own.
            raise origin.route.refuse(origin.host, origin.port, "did not answer as one does")
        if origin.trust is None:
            return stream
        return await _secure(stream, origin, origin.trust, limiter)
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise


async def open_stream(
    origin: Origin, limiter: trio.CapacityLimiter
) -> tuple[trio.SocketStream, bytes]:
    """Open a stream to the server, before TLS; returns also bytes after a proxy's answer.

    Raises Failed if the server cannot be reached.
    """
    if isinstance(origin.route, tuple):
        return await connect_any(origin.route, origin.port, origin.host), b""
    return await origin.route.open_stream(origin.host, origin.port, limiter)


async def connect_any(addresses: Sequence[Address], port: int, what: str) -> trio.SocketStream:
    """Open a stream to the first address that answers; `what` names it. Raises Failed."""
    problem = "it has no address"
    for address in addresses:
        kind = socket.AF_INET if address.version == 4 else socket.AF_INET6
        connection = trio.socket.socket(kind, socket.SOCK_STREAM)
        try:
            with trio.fail_after(CONNECT_S):
                await connection.connect((str(address), port))
        except (OSError, trio.TooSlowError) as error:
            connection.close()
            problem = "no answer in time"
            if isinstance(error, OSError):
                # The text of trio's own errors also has the address.
                problem = os.strerror(error.errno) if error.errno else str(error)
        except BaseException:
            connection.close()
            raise
        else:
            # trio.SocketStream sets TCP_NODELAY, without which each request could wait for 40 ms.
            return trio.SocketStream(connection)
    raise Failed(
        f"{quote(what)} cannot be reached on port {port}: {problem}",
        hint="try again; a person on the host can see whether it is reached from there",
    )


async def _secure(
    stream: trio.SocketStream, origin: Origin, trust: Trust, limiter: trio.CapacityLimiter
) -> trio.abc.Stream:
    load = trust.make_context
    context = await run_in_thread(load, limiter=limiter)
    secured = TlsStream(stream, context, origin.host)
    try:
        with trio.fail_after(CONNECT_S):
            await secured.do_handshake()
    except (trio.BrokenResourceError, trio.TooSlowError) as error:
        raise _no_handshake(origin, trust, error.__cause__) from error
    return secured


def _no_handshake(origin: Origin, trust: Trust, cause: BaseException | None) -> Failed:
    host = quote(origin.host)
    port = "" if origin.port == _HTTPS_PORT else f":{origin.port}"
    if isinstance(cause, ssl.SSLCertVerificationError):
        waived = " (http.sslVerify = false is not heeded here)" if trust.is_waived else ""
        return Failed(
            f"the certificate of {host} is not accepted: {cause.verify_message}{waived}",
            hint="a person on the host can name the authority that signed it: git config --global "
            f"http.https://{origin.host}{port}/.sslCAInfo FILE",
        )
    why = f": {cause.reason}" if isinstance(cause, ssl.SSLError) and cause.reason else ""
    return Failed(
        f"{host} does not speak TLS on port {origin.port}{why}",
        hint="look at the URL of the remote: git remote -v",
    )
