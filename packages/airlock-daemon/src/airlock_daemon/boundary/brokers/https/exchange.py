"""Relays one granted request and its answer: both are rewritten, and stream both ways.

The head is the one that was judged. h11 writes the request and parses the service's answer; an
answer with two lengths is refused. Of an answer with a long body of known length h11 parses only
the head.
"""

import math
import re
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING

import h11
import msgspec
import trio

from airlock_daemon.boundary.brokers.http.searching import CredentialLeak, Search
from airlock_daemon.boundary.brokers.https.incoming import (
    BULK,
    AnswerHead,
    BufferedBody,
    Damaged,
    Incoming,
    Reader,
    Uneven,
    send,
)
from airlock_daemon.boundary.brokers.https.scopes import TokenTooBroad, read_scopes
from airlock_daemon.boundary.brokers.https.service import Service
from airlock_daemon.errors import Failed
from airlock_modules.apis import Api
from airlock_modules.apis.uploads import Seal

if TYPE_CHECKING:
    from airlock_daemon.boundary.fairness import TurnSource

_CUT_OFF = "it was cut off, or is not as HTTP has it"
# 1xx answers before the final one.
_MAX_INTERIM = 8
_MAX_REWRITTEN = 1 << 20

# A model may think this long before it answers, and `logs -f` may be silent. A disconnect is
# noticed otherwise: the tool's by EOF, the service's by TCP keepalive.
_ANSWER_S = 1800.0
_QUIET_S = 6 * 3600.0
# After this, waiting for the answer also watches for the tool's disconnect.
_PROMPT_S = 0.05
# A body that any kernel buffers without waiting for the service.
_SENT_AT_ONCE = 1 << 14
# Wait no longer for a 100 of the service (RFC 9110, 10.1.1).
_CONTINUE_S = 1.0

_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
# Request headers that are written here.
_OWN = _HOP_BY_HOP | {b"host", b"content-length", b"expect"}
NOT_SENT = b"airlock-dropped"
"""An answer's header that names the request's headers which were not forwarded."""

# Answer headers: cookies are credentials, and the others would lead around the broker.
_DROPPED = _HOP_BY_HOP | {b"set-cookie", b"set-cookie2", b"alt-svc", b"strict-transport-security"}

# None of them has a body.
_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS"})
# Services close connections that are idle, most after a minute or more, some while a request is on
# its way. One that must not be repeated gets a connection that is not near that.
_MAX_IDLE_S = 20.0

_Headers = list[tuple[bytes, bytes]]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a request.

    `status` is the answer's, 0 if the tool got none. `sent` and `received` count bytes of bodies;
    `fault` is why it was cut short. `is_reusable`: the tool's connection continues with `rest`, the
    bytes after the request. `is_upgraded`: it is now a stream, as is the service's, with `early`,
    the bytes after the answer. `dropped` names headers that were not forwarded.
    """

    status: int
    sent: int = 0
    received: int = 0
    fault: str | None = None
    is_reusable: bool = False
    is_upgraded: bool = False
    rest: bytes = b""
    early: bytes = b""
    dropped: tuple[str, ...] = ()


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A granted request, ready to send. `body` was buffered; None if it streams.

    `dropped` names headers missing in `headers`. No answer may contain `secrets`; they are spent
    after a 401, or a 400 or 403 whose body matches `spent`. `rewrite` replaces the body of a
    successful answer, or raises Failed. With `takes_packed` a compressed answer is forwarded
    unsearched.
    """

    query: str
    headers: tuple[tuple[bytes, bytes], ...]
    dropped: tuple[str, ...]
    secrets: tuple[str, ...]
    body: BufferedBody | None = None
    rewrite: Callable[[bytes], bytes] | None = None
    takes_packed: bool = False
    spent: re.Pattern[bytes] | None = None


class _Gone(Exception):
    """The tool has disconnected."""


class _Stale(Exception):
    """A reused connection was closed before any answer."""


class Exchange:
    """Relays one request."""

    def __init__(
        self,
        incoming: Incoming,
        prepared: Prepared,
        service: Service,
        turns: "TurnSource",
        *,
        api: Api,
        authority: str,
        spend: Callable[[], Awaitable[None]],
        seal: Seal,
    ) -> None:
        """`spend` is called when the service rejects the credential; `seal` seals uploads."""
        self._incoming = incoming
        self._prepared = prepared
        self._service = service
        self._turns = turns
        self._api = api
        self._authority = authority
        self._seal = seal
        path, query = incoming.head.path, prepared.query
        self._request = h11.Request(
            method=incoming.head.method,
            target=f"{path}?{query}" if query else path,
            headers=_write_headers(incoming, authority, prepared),
        )
        self._search = Search(*prepared.secrets)
        self._spent = prepared.spent
        self._spend = spend
        self._may_go = trio.Event()
        # Set once the whole request was read; only then can a read detect the tool's disconnect.
        self._sent = trio.Event()
        self._is_sent = False
        # For an answer's long body of known length: bytes still to come, and bytes already here.
        self._left: int | None = None
        self._came = b""
        self._reader = Reader(turns, self._wait_for_more)
        self._quiet_s = _ANSWER_S
        self._received = 0
        self._status = 0
        self._is_upgraded = False
        self._early = b""

    async def carry(self) -> Result:
        """Relay it. Raises Denied and Failed if the tool got no answer yet."""
        is_repeatable = self._incoming.head.method in _REPEATABLE
        max_idle_s = math.inf if is_repeatable else _MAX_IDLE_S
        is_kept = await self._service.prepare(max_idle_s=max_idle_s)
        try:
            await self._carry()
        except _Stale:
            if not is_kept or not is_repeatable:
                raise Failed(
                    "the service closed the connection without an answer", hint="try again"
                ) from None
            await self._service.prepare(fresh=True)
            try:
                await self._carry()
            except _Stale:
                raise Failed(
                    "the service closed the connection without an answer", hint="try again"
                ) from None
        except _Gone:
            return self._end("the tool has gone")
        except Failed as error:
            if self._status:
                return self._end(error.message)
            raise
        return self._end(None)

    def _end(self, fault: str | None) -> Result:
        is_clean = self._is_sent and self._incoming.is_finished
        return Result(
            status=self._status,
            sent=self._incoming.count if self._prepared.body is None else self._prepared.body.size,
            received=self._received,
            fault=fault,
            is_reusable=fault is None and is_clean and not self._is_upgraded,
            is_upgraded=fault is None and self._is_upgraded,
            rest=self._incoming.rest,
            early=self._early,
            dropped=self._prepared.dropped,
        )

    async def _carry(self) -> None:
        """Send the request and forward the answer, concurrently for a long or streamed body."""
        size = 0 if self._prepared.body is None else self._prepared.body.size
        if self._incoming.is_complete and size <= _SENT_AT_ONCE:
            # The service may have answered already.
            with suppress(trio.BrokenResourceError):
                await self._send_whole()
            self._sent.set()
            await self._pass_answer()
            return
        faults: list[Exception] = []
        # A nursery would wrap an error in a group.
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send, faults, nursery.cancel_scope)
            try:
                await self._pass_answer()
            except Exception as error:  # noqa: BLE001 - raised again below
                faults.insert(0, error)
            nursery.cancel_scope.cancel()
        if faults:
            raise faults[0]

    async def _send(self, faults: list[Exception], scope: trio.CancelScope) -> None:
        """Send the request. A failure of the service shows in its answer."""
        try:
            try:
                await self._send_whole()
            except trio.BrokenResourceError:
                # The service may have answered already.
                return
            if self._incoming.is_complete:
                self._sent.set()
        except Exception as error:  # noqa: BLE001 - raised again by _carry
            faults.append(error)
            scope.cancel()

    async def _send_whole(self) -> None:
        if self._prepared.body is not None:
            await self._write(self._request)
            at = 0
            for piece in self._prepared.body.read_all():
                at += len(piece)
                if at > BULK:
                    await self._turns.take()
                await self._write(h11.Data(data=piece))
            await self._write(h11.EndOfMessage())
            self._is_sent = True
            return
        begun: tuple[h11.Request, ...] = (self._request,)
        if not self._incoming.has_begun:
            await self._write(*begun)
            begun = ()
        if self._incoming.is_held_back:
            with trio.move_on_after(_CONTINUE_S):
                await self._may_go.wait()
            await self._tell_tool(self._incoming.allow())
        while data := await self._incoming.read():
            await self._write(*begun, h11.Data(data=data))
            begun = ()
        await self._write(*begun, h11.EndOfMessage())
        self._is_sent = True

    async def _write(self, *events: h11.Request | h11.Data | h11.EndOfMessage) -> None:
        try:
            data = b"".join(self._service.talk.send(event) or b"" for event in events)
        except h11.LocalProtocolError:
            # h11 enforces the announced length.
            raise Damaged("its body has not the length that it announced") from None
        await send(self._service.stream, data)

    async def _pass_answer(self) -> None:
        response = await self._read_head()
        if response is None:
            return
        headers = self._clean(response.headers)
        self._left = _find_length(self._incoming.head.method, response)
        if self._left is not None:
            self._came = self._service.talk.trailing_data[0]
        if self._api.is_too_wide(read_scopes(response.headers)):
            raise TokenTooBroad(self._api)
        if response.status_code == 401:
            await self._spend()
        if self._prepared.dropped:
            headers.append((NOT_SENT, ", ".join(self._prepared.dropped).encode()))
        if not self._incoming.is_complete:
            # The rest of the request is not read.
            headers.append((b"connection", b"close"))
        reason = b"" if self._search.is_in(b"", response.reason) else response.reason
        head = AnswerHead(status=response.status_code, reason=reason, headers=headers)
        try:
            rewrite = self._prepared.rewrite
            if rewrite is not None and head.status < HTTPStatus.MULTIPLE_CHOICES:
                await self._pass_rewritten(rewrite, head)
            else:
                await self._pass(head)
        except CredentialLeak:
            raise Failed(
                "the answer has the credential, and was cut there",
                hint="a person on the host can ask whoever runs the service why it repeats it",
            ) from None

    async def _read_head(self) -> h11.Response | None:
        """Read the answer's head; None if the connection is upgraded."""
        for _ in range(_MAX_INTERIM):
            event = await self._next_event()
            if isinstance(event, h11.Response):
                return event
            if not isinstance(event, h11.InformationalResponse):
                break
            if event.status_code == 101:
                asked = (self._incoming.head.get("upgrade") or "").encode()
                if not _is_asked(asked, event.headers):
                    raise _broken("it goes on with another protocol than was asked for")
                headers = self._clean(event.headers)
                self._status = 101
                self._is_upgraded = True
                self._early = self._service.talk.trailing_data[0]
                await self._tell_tool(self._incoming.switch(asked, headers))
                return None
            self._may_go.set()
        raise _broken("it does not begin as one does")

    async def _pass(self, head: AnswerHead) -> None:
        """Forward an answer: its head at once, with the bytes of the body that are here."""
        begun: AnswerHead | None = head
        while True:
            data, is_over = self._take_piece()
            await self._look_at_error(head.status, data)
            passed = self._search.feed(data)
            if is_over:
                passed += self._search.finish()
            if begun or passed or is_over:
                # Trailers are dropped.
                await self._answer(begun, passed, is_end=is_over)
            begun = None
            if is_over:
                return
            await self._receive(_QUIET_S)

    async def _pass_rewritten(self, rewrite: Callable[[bytes], bytes], head: AnswerHead) -> None:
        """Read an answer whole, and forward what `rewrite` makes of it."""
        data, is_over = self._take_piece()
        while not is_over:
            if self._received > _MAX_REWRITTEN:
                raise _broken("it is too long")
            await self._receive(_QUIET_S)
            more, is_over = self._take_piece()
            data += more
        body = rewrite(data)
        headers = [(name, value) for name, value in head.headers if name != b"content-length"]
        headers.append((b"content-length", b"%d" % len(body)))
        written = AnswerHead(status=head.status, reason=head.reason, headers=headers)
        await self._answer(written, body, is_end=True)

    async def _look_at_error(self, status: int, data: bytes) -> None:
        """Report, once, an error whose body says that the credential is spent."""
        is_error = status in (HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN)
        if is_error and self._spent is not None and self._spent.search(data):
            self._spent = None
            await self._spend()

    def _take_piece(self) -> tuple[bytes, bool]:
        """Return the body's bytes that are here, and whether it has ended."""
        if self._left is None:
            data, is_over = self._take_events()
        else:
            data, behind = self._came[: self._left], self._came[self._left :]
            self._left, self._came = self._left - len(data), b""
            is_over = not self._left
            if is_over:
                self._service.end_answer(behind)
        self._received += len(data)
        return data, is_over

    def _take_events(self) -> tuple[bytes, bool]:
        pieces: list[bytes] = []
        while isinstance(event := self._take_event(), h11.Data):
            pieces.append(bytes(event.data))
        is_over = isinstance(event, h11.EndOfMessage)
        if not is_over and event is not h11.NEED_DATA:
            raise _broken("it does not go on as one does")
        return b"".join(pieces), is_over

    async def _answer(self, head: AnswerHead | None, data: bytes, *, is_end: bool) -> None:
        if head is not None:
            self._status = head.status
        try:
            await self._tell_tool(self._incoming.answer(head, data, is_end=is_end))
        except Uneven:
            raise _broken("it has another length than it announced") from None

    async def _tell_tool(self, told: Awaitable[None]) -> None:
        try:
            await told
        except trio.BrokenResourceError:
            raise _Gone from None

    async def _next_event(self) -> object:
        """The next event of the head. Raises _Stale if the service sent nothing."""
        while (event := self._take_event()) is h11.NEED_DATA:
            if not await self._receive(_ANSWER_S) and not self._service.talk.trailing_data[0]:
                raise _Stale
        return event

    async def _receive(self, quiet_s: float) -> bool:
        """Receive more of the answer; returns whether there was more."""
        self._quiet_s = quiet_s
        try:
            data = await self._reader.read(self._service.stream)
        except trio.TooSlowError:
            raise _broken(f"nothing of it came in {quiet_s:g} s") from None
        except trio.BrokenResourceError:
            data = b""
        if self._left is not None:
            self._came = data
            if not data:
                raise _broken(_CUT_OFF)
            return True
        try:
            self._service.talk.receive_data(data)
        except h11.RemoteProtocolError:
            raise _broken("something came behind its end") from None
        return bool(data)

    async def _wait_for_more(self) -> None:
        """Wait for more of the answer. Raises _Gone if the tool disconnects after `_PROMPT_S`.

        Most answers come sooner, and a task that watches the tool would cost more than the wait.
        """
        stream = self._service.stream
        with trio.move_on_after(_PROMPT_S):
            await stream.wait_for_more()
            return
        is_gone = False
        with trio.fail_after(self._quiet_s):
            async with trio.open_nursery() as nursery:

                async def watch() -> None:
                    nonlocal is_gone
                    await self._sent.wait()
                    await self._incoming.wait_for_hanging_up()
                    is_gone = True
                    nursery.cancel_scope.cancel()

                nursery.start_soon(watch)
                await stream.wait_for_more()
                nursery.cancel_scope.cancel()
        if is_gone:
            raise _Gone

    def _take_event(self) -> object:
        try:
            return self._service.talk.next_event()
        except h11.RemoteProtocolError:
            raise _broken(_CUT_OFF) from None

    def _clean(self, headers: Iterable[tuple[bytes, bytes]]) -> _Headers:
        """The headers that the tool gets. Raises Failed if the answer is refused."""
        found = list(headers)
        names = {name for name, _ in found}
        if {b"content-length", b"transfer-encoding"} <= names:
            raise _broken("it has two lengths")
        packed = {value.lower() for name, value in found if name == b"content-encoding"}
        if self._search.is_on and packed - {b"identity"}:
            if not self._prepared.takes_packed:
                raise _broken("it is compressed, which was not asked for")
            self._search = Search()
        if any(self._search.is_in(name, value) for name, value in found):
            raise _broken("a header of it has the credential")
        listed = b",".join(value for name, value in found if name == b"connection")
        dropped = _DROPPED | {each.strip().lower() for each in listed.split(b",")}
        if self._search.is_on and "range" not in self._api.headers and self._api.aws is None:
            # The tool's Range was not forwarded.
            dropped |= {b"accept-ranges"}
        kept = [(name, value) for name, value in found if name not in dropped]
        return self._seal.close(kept, self._authority) if self._api.has_uploads else kept


def _is_asked(protocol: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether the headers of a 101 name this protocol and no other."""
    named = [value.lower() for name, value in headers if name == b"upgrade"]
    return protocol != b"" and named == [protocol.lower()]


def _write_headers(incoming: Incoming, authority: str, prepared: Prepared) -> _Headers:
    head, body, is_searched = incoming.head, prepared.body, bool(prepared.secrets)
    dropped = _OWN | ({b"accept-encoding"} if is_searched else set())
    written = [(b"host", authority.encode())]
    written += [(name, value) for name, value in prepared.headers if name not in dropped]
    if is_searched:
        written.append((b"accept-encoding", b"identity"))
    length, coding = head.get("content-length"), head.get("transfer-encoding")
    if body is not None:
        written.append((b"content-length", b"%d" % body.size))
    elif coding is not None:
        written.append((b"transfer-encoding", b"chunked"))
    elif length is not None:
        written.append((b"content-length", length.encode()))
    if incoming.is_held_back and body is None:
        written.append((b"expect", b"100-continue"))
    upgrade = head.get("upgrade")
    if head.has_body:
        # A service that leaves it unread would take it for the next request of the connection.
        written.append((b"connection", b"close"))
    elif upgrade is not None:
        written += [(b"connection", b"Upgrade"), (b"upgrade", upgrade.encode())]
    return written


def _find_length(method: str, response: h11.Response) -> int | None:
    """The length of a long body; None if h11 parses it, which costs more per byte."""
    if method == "HEAD" or response.status_code in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
        return None
    length = next((int(value) for name, value in response.headers if name == b"content-length"), 0)
    return length if length > BULK else None


def _broken(why: str) -> Failed:
    return Failed(
        f"the answer of the service is not passed on: {why}",
        hint="try again; whoever runs the service can see what it answers",
    )
