"""Serves a tool's requests to one host of an API over one connection, one after the other.

Each head is parsed strictly, then judged; the placeholder is replaced, and the head as judged is
sent to the service. After a refusal the connection is closed.
"""

import os
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import trio

from airlock_daemon.boundary.brokers.egress.destinations import Destination
from airlock_daemon.boundary.brokers.http import TlsStream
from airlock_daemon.boundary.brokers.https.aws import (
    AwsContext,
    AwsRequest,
    read_request,
    sign_request,
)
from airlock_daemon.boundary.brokers.https.exchange import Exchange, Prepared, Result
from airlock_daemon.boundary.brokers.https.incoming import PIECE, BufferedBody, Damaged, Incoming
from airlock_daemon.boundary.brokers.https.messages import MAX_BODY as SHOWN_BODY
from airlock_daemon.boundary.brokers.https.messages import (
    Answer,
    Content,
    Finished,
    Question,
    Refusal,
    Refused,
    Spent,
    ToDaemon,
    seal_body,
)
from airlock_daemon.boundary.brokers.https.refusals import answer
from airlock_daemon.boundary.brokers.https.scopes import Scopes, TokenRejected, TokenTooBroad
from airlock_daemon.boundary.brokers.https.service import Service
from airlock_daemon.boundary.brokers.https.splicing import send_final, splice
from airlock_daemon.errors import AirlockError, Denied, Failed
from airlock_modules.apis import (
    MAX_BODY,
    Api,
    BadHead,
    ForeignCredential,
    GraphQlField,
    Head,
    exchange,
    head_end,
    read_graphql,
    read_head,
    uses_placeholder,
)
from airlock_modules.apis.uploads import Seal, check_metadata, has_metadata

if TYPE_CHECKING:
    from airlock_daemon.boundary.fairness import TurnSource

# A tool with a single request disconnects sooner.
_PAUSE_S = 0.05
# Meanwhile the tool is not heard.
_AHEAD_S = 2.0
# Between two requests; for a whole head; for a whole buffered body.
_IDLE_S = 300.0
_HEAD_S = 15.0
_BODY_S = 20.0
# For the daemon's answer: it may run a credential command or ask a person.
_JUDGED_S = 90.0
_LAST_S = 1.0
_UPGRADES = frozenset({"websocket", "spdy/3.1"})

# For an upload with metadata in one request: SDKs split uploads of more than 8 MiB.
_MAX_UPLOAD = 64 << 20

# Headers that say nothing about the operation, and differ each time that a tool tries again.
_UNBOUND = frozenset(
    (
        *(b"accept", b"accept-encoding", b"accept-language", b"authorization", b"content-length"),
        *(b"date", b"traceparent", b"tracestate", b"user-agent", b"x-amz-content-sha256"),
        *(b"x-amz-date", b"x-amz-security-token", b"x-amz-user-agent", b"x-request-id"),
    )
)
_UNBOUND_PREFIXES = (b"amz-sdk-", b"x-stainless-", b"x-goog-api-client")
_SHOWN = "a request that a person has to approve"

_PLAIN = "send it as plain HTTP/1.1"
_SEND_LESS = "leave it out; a person on the host can do what it would"
_SIGN = "use an SDK of AWS, with the access key that this container was given"
_TRY_AGAIN = "try again; if it stays so, a person on the host can look at the daemon's messages"


class Daemon(msgspec.Struct, frozen=True, kw_only=True):
    """The daemon's side of a conversation; `ask` sends the open file of a body, if any."""

    ask: Callable[[Question, int | None], Awaitable[Answer]]
    number: Callable[[], int]
    report: Callable[[ToDaemon], Awaitable[None]]


class _Refused(Exception):
    """The worker itself refuses a request."""

    def __init__(self, refusal: Refusal, head: Head | None) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal
        self.head = head


class ServedApi(msgspec.Struct, frozen=True, kw_only=True):
    """An API as a worker serves it.

    `judged` limits concurrent GraphQL judgements of all APIs. `scopes` has the known tokens, `seal`
    is that of uploads.
    """

    api: Api
    placeholder: str
    aws: AwsContext
    judged: trio.Semaphore
    scopes: Scopes
    seal: Seal
    fingerprint: str


class Conversation:
    """One connection's requests. The owner closes `client` and `service`."""

    def __init__(
        self,
        client: TlsStream,
        service: Service,
        daemon: Daemon,
        turns: "TurnSource",
        served: ServedApi,
        *,
        wanted: Destination,
        connection: int,
        opaque: trio.CancelScope,
    ) -> None:
        """`opaque` is cancelled to end an upgraded connection."""
        self._client = client
        self._service = service
        self._daemon = daemon
        self._turns = turns
        self._served = served
        self._api = served.api
        self._wanted = wanted
        self._connection = connection
        self._opaque = opaque
        self._authority = str(wanted).removesuffix(":443")
        self._buffer = b""
        self._is_ended = False

    async def run(self) -> None:
        """Serve requests until either side ends. Raises BrokenResourceError if one disconnects."""
        while True:
            try:
                raw = await self._read_raw()
                if raw is None or not await self._serve(raw):
                    return
                await self._connect_ahead()
            except _Refused as refused:
                await self._tell_refused(refused)
                await self._refuse(refused.refusal, refused.head)
                return

    async def _connect_ahead(self) -> None:
        """Connect to the service while the tool pauses, so that its next request need not wait."""
        if self._buffer or self._client.has_unread:
            return
        with trio.move_on_after(_PAUSE_S):
            await self._client.wait_for_more()
            return
        with trio.move_on_after(_AHEAD_S):
            await self._service.connect_ahead()

    async def _read_raw(self) -> bytes | None:
        """Read the next head; None if the tool closed the connection. Buffers later bytes."""
        until = trio.current_time() + (_HEAD_S if self._buffer else _IDLE_S)
        while (end := _find_end(self._buffer)) is None:
            with trio.move_on_at(until) as scope:
                data = await self._client.receive_some(PIECE)
            if scope.cancelled_caught or not data:
                if not self._buffer:
                    return None
                raise _bad("it was cut off, or came too slowly", None, status=408)
            if not self._buffer:
                until = trio.current_time() + _HEAD_S
            self._buffer += data
        raw, self._buffer = self._buffer[:end], self._buffer[end:]
        if raw.startswith(b"PRI * HTTP/2.0\r\n"):
            raise _bad("HTTP/2 is not supported, nor what needs it, such as gRPC", None)
        return raw

    async def _serve(self, raw: bytes) -> bool:
        """Serve one request; returns whether the connection continues. Raises _Refused."""
        try:
            head = read_head(raw, self._authority, loose_paths=self._api.loose_paths)
        except BadHead as error:
            raise _bad(str(error), None, hint=error.hint or _PLAIN) from None
        head = self._open_upload(head)
        incoming = Incoming(self._client, head, self._buffer, self._turns)
        self._buffer = b""
        upgrade = _read_upgrade(head)
        signed: AwsRequest | None = None
        body: BufferedBody | None = None
        graphql: BufferedBody | None = None
        if self._api.aws is not None:
            if upgrade is not None:
                raise _bad("an upgrade", head)
            signed = await self._read_aws(incoming)
            body = signed.body
        elif self._api.is_graphql(head.method, head.path):
            body = graphql = await self._read_body(incoming, "a GraphQL request", MAX_BODY)
        elif self._api.metadata is not None and _has_metadata(head):
            body = await self._read_upload(incoming, self._api.metadata)
        began = trio.current_time()
        try:
            given = await self._judge(head, upgrade, signed, graphql)
            if given.wants_content:
                if body is None and not incoming.is_complete:
                    body = await self._read_body(incoming, _SHOWN, SHOWN_BODY)
                    if signed is not None:
                        signed = msgspec.structs.replace(signed, body=body)
                given = await self._show(head, upgrade, signed, graphql, body)
            if given.refusal is not None:
                await self._refuse(given.refusal, head)
                return False
            return await self._answer(incoming, given, began, signed, body)
        finally:
            if body is not None:
                body.close()

    async def _judge(
        self,
        head: Head,
        upgrade: str | None,
        signed: AwsRequest | None,
        graphql: BufferedBody | None,
        content: Content | None = None,
        body: int | None = None,
    ) -> Answer:
        """Ask the daemon to judge a request; `signed` is set for AWS, `graphql` for GraphQL.

        `content` and `body`, an open file, are set if it has asked for them.
        """
        async with nullcontext() if graphql is None else self._served.judged:
            question = Question(
                question=self._daemon.number(),
                connection=self._connection,
                api=self._api.name,
                fingerprint=self._served.fingerprint,
                host=self._wanted.host,
                method=head.method,
                path=head.path,
                query_names=head.query_names if signed is None else (),
                graphql=None if graphql is None else _read_graphql(head, graphql),
                upgrade=upgrade,
                has_form=head.has_form,
                aws=None if signed is None else signed.call,
                content=content,
                needs_secret=(
                    self._needs_secret(head) if signed is None else signed.session is None
                ),
            )
            if content is None:
                return await self._ask(question, head, body)
        # A person may take long, and others must be judged meanwhile.
        return await self._ask(question, head, body)

    async def _show(
        self,
        head: Head,
        upgrade: str | None,
        signed: AwsRequest | None,
        graphql: BufferedBody | None,
        body: BufferedBody | None,
    ) -> Answer:
        """As `_judge`, for a request that a person has to approve, and sees whole."""
        if body is not None and body.size > SHOWN_BODY:
            raise _bad(f"{_SHOWN} of more than {SHOWN_BODY >> 20} MiB", head, status=413)
        if signed is not None:
            query, headers = signed.head.query, signed.head.headers
        else:
            # With the placeholder in place of the credential.
            own = self._served.placeholder
            exchanged = exchange(head, self._api, own, own)
            query, headers = exchanged.query, exchanged.headers
        content = Content(
            port=self._wanted.port,
            query=query,
            headers=tuple(
                (name.decode("latin-1"), value.decode("latin-1"))
                for name, value in headers
                if _is_bound(name)
            ),
        )
        file = seal_body(b"" if body is None else body.read(0, SHOWN_BODY))
        try:
            return await self._judge(head, upgrade, signed, graphql, content, file)
        finally:
            os.close(file)

    def _prepare(
        self, head: Head, secret: str | None, signed: AwsRequest | None, body: BufferedBody | None
    ) -> Prepared:
        """Prepare the request with its credential. Raises Failed."""
        if signed is not None:
            return sign_request(signed, self._served.aws, self._api, secret)
        exchanged = exchange(head, self._api, self._served.placeholder, secret or "")
        return Prepared(
            query=exchanged.query,
            headers=exchanged.headers,
            dropped=exchanged.dropped,
            secrets=(secret,) if secret else (),
            body=body,
        )

    async def _read_aws(self, incoming: Incoming) -> AwsRequest:
        head = incoming.head
        try:
            return await read_request(
                incoming,
                self._served.aws,
                self._api,
                placeholder=self._served.placeholder,
                host=self._wanted.host,
            )
        except BadHead as error:
            raise _bad(str(error), head, hint=_SIGN) from None
        except ForeignCredential as error:
            raise self._foreign(error, head) from None
        except Failed as error:
            refusal = Refusal(message=error.message, hint=error.hint, status=400)
            raise _Refused(refusal, head) from None

    async def _answer(
        self,
        incoming: Incoming,
        given: Answer,
        began: float,
        signed: AwsRequest | None,
        body: BufferedBody | None,
    ) -> bool:
        """Relay a granted request; returns whether the connection continues."""
        result: Result | None = None
        try:
            result = await self._carry(incoming, given, signed, body)
            if result.is_upgraded:
                result = await self._splice(result)
        finally:
            await self._finish(given.question, began, result)
        self._buffer = result.rest
        if not result.is_reusable and not result.is_upgraded:
            await self._end()
        return result.is_reusable

    async def _splice(self, result: Result) -> Result:
        """Splice after an upgrade until it ends; returns the result with the total bytes."""
        service = self._service.stream
        sent, received = await splice(
            self._client, service, result.rest, result.early, self._turns, self._opaque
        )
        return msgspec.structs.replace(
            result, sent=result.sent + sent, received=result.received + received, rest=b""
        )

    def _needs_secret(self, head: Head) -> bool:
        try:
            return uses_placeholder(head, self._api, self._served.placeholder)
        except ForeignCredential as error:
            raise self._foreign(error, head) from None

    def _foreign(
        self,
        error: ForeignCredential,
        head: Head,
        hint: str = "use the placeholder that this container was given",
    ) -> _Refused:
        refusal = Refusal(
            message=f"{self._api.name} is refused: {error}",
            hint=hint,
            rule="credential",
        )
        return _Refused(refusal, head)

    def _open_upload(self, head: Head) -> Head:
        """Replace a sealed upload in the head with the service's own."""
        if not self._api.has_uploads:
            return head
        try:
            return self._served.seal.open(head, self._authority)
        except ForeignCredential as error:
            raise self._foreign(error, head, hint="begin it in this container") from None

    async def _read_upload(self, incoming: Incoming, names: tuple[str, ...]) -> BufferedBody:
        """Read the body of an upload; refuse metadata with other names."""
        body = await self._read_body(incoming, "an upload with metadata", _MAX_UPLOAD)
        try:
            check_metadata(incoming.head, body.read_all(), names)
        except BadHead as error:
            body.close()
            raise _bad(str(error), incoming.head, hint=_SEND_LESS) from None
        return body

    async def _read_body(self, incoming: Incoming, what: str, limit: int) -> BufferedBody:
        """Read the body of a request that is buffered before it is judged."""
        head = incoming.head

        async def read() -> bytes:
            piece = await incoming.read()
            if incoming.count > limit:
                raise _bad(f"{what} of more than {limit >> 20} MiB", head, status=413)
            return piece

        try:
            with trio.fail_after(_BODY_S):
                await incoming.allow()
                return await self._served.aws.spool.store(read)
        except trio.TooSlowError:
            why = f"its body did not come in {_BODY_S:g} s"
            raise _bad(why, head, status=408) from None
        except Failed as error:
            refusal = Refusal(message=error.message, hint=error.hint, status=400)
            raise _Refused(refusal, head) from None

    async def _ask(self, question: Question, head: Head, body: int | None) -> Answer:
        try:
            with trio.fail_after(_JUDGED_S):
                given = await self._daemon.ask(question, body)
        except trio.TooSlowError:
            problem = f"the daemon did not answer in {_JUDGED_S:g} s"
            refusal = Refusal(message=problem, hint=_TRY_AGAIN, rule="daemon", status=503)
            raise _Refused(refusal, head) from None
        except AirlockError as error:
            # Too many query names or GraphQL fields for one message.
            raise _bad(f"it asks for too much at once ({error.message})", head) from None
        if given.wants_content and question.content is None:
            return given
        if given.refusal is None and question.needs_secret and given.secret is None:
            problem = f"the daemon has no credential for {self._api.name}"
            return Answer(
                question=question.question,
                refusal=Refusal(message=problem, hint=_TRY_AGAIN, rule="credential", status=503),
            )
        return given

    async def _carry(
        self,
        incoming: Incoming,
        given: Answer,
        signed: AwsRequest | None,
        body: BufferedBody | None,
    ) -> Result:
        """Relay a request; an error before the service's answer becomes an answer to the tool."""
        self._service.present(given.certificate)
        # Called when the service rejects the credential.
        spend = partial(self._daemon.report, Spent(api=self._api.name, version=given.version))
        try:
            if given.secret is not None:
                await self._served.scopes.demand_narrow(
                    self._service,
                    self._authority,
                    secret=given.secret,
                    version=given.version,
                    spend=spend,
                )
            return await Exchange(
                incoming,
                self._prepare(incoming.head, given.secret, signed, body),
                self._service,
                self._turns,
                api=self._api,
                authority=self._authority,
                spend=spend,
                seal=self._served.seal,
            ).carry()
        except AirlockError as error:
            status = 400 if isinstance(error, Damaged) else 502
            rule = ""
            if isinstance(error, TokenRejected):
                status = 401
            if isinstance(error, TokenTooBroad):
                self._served.scopes.mark_too_broad(given.version)
            if isinstance(error, Denied):
                status, rule = 403, error.rule or ""
            refusal = Refusal(message=error.message, hint=error.hint, rule=rule, status=status)
            await self._service.close()
            await self._refuse(refusal, incoming.head)
            return Result(
                status=status, sent=incoming.count, fault=error.message, rest=incoming.rest
            )

    async def _finish(self, question: int, began: float, result: Result | None) -> None:
        duration = int((trio.current_time() - began) * 1000)
        ended = result or Result(status=0, fault="it was ended")
        # Shielded: the daemon learns of a cancelled request too.
        scope = trio.CancelScope(shield=True)
        if result is None:
            scope.deadline = trio.current_time() + _LAST_S
        with scope:
            await self._daemon.report(
                Finished(
                    question=question,
                    status=ended.status,
                    sent=ended.sent,
                    received=ended.received,
                    duration_ms=duration,
                    fault=ended.fault,
                    dropped=ended.dropped,
                )
            )

    async def _tell_refused(self, refused: _Refused) -> None:
        refusal, head = refused.refusal, refused.head
        await self._daemon.report(
            Refused(
                connection=self._connection,
                host=self._wanted.host,
                port=self._wanted.port,
                method=head.method if head is not None else "",
                path=head.path if head is not None else "",
                rule=refusal.rule,
                reason=refusal.message,
            )
        )

    async def _refuse(self, refusal: Refusal, head: Head | None) -> None:
        await self._end(answer(refusal, self._api, head))

    async def _end(self, said: bytes = b"") -> None:
        """Send the last bytes and EOF, once.

        A truncated answer is evident from its length. An abrupt close could discard bytes that the
        tool has not read, or look like a TLS error.
        """
        if not self._is_ended:
            self._is_ended = True
            await send_final(self._client, said)


def _is_bound(name: bytes) -> bool:
    """Whether a person approves a header: not if it differs each time that a tool tries again."""
    return name not in _UNBOUND and not name.startswith(_UNBOUND_PREFIXES)


def _find_end(buffer: bytes) -> int | None:
    try:
        return head_end(buffer)
    except BadHead as error:
        raise _bad(str(error), None, status=431) from None


def _has_metadata(head: Head) -> bool:
    try:
        return has_metadata(head)
    except BadHead as error:
        raise _bad(str(error), head) from None


def _read_graphql(head: Head, body: BufferedBody) -> tuple[GraphQlField, ...]:
    try:
        return read_graphql(head, body.read(0, body.size))
    except BadHead as error:
        raise _bad(str(error), head) from None


def _read_upgrade(head: Head) -> str | None:
    """The protocol that the tool upgrades to, None for HTTP."""
    upgrade = head.get("upgrade")
    if upgrade is None:
        return None
    if upgrade.lower() not in _UPGRADES:
        raise _bad("an upgrade to a protocol that is not supported", head)
    if head.has_body:
        raise _bad("an upgrade with a body", head)
    return upgrade.lower()


def _bad(why: str, head: Head | None, *, status: int = 400, hint: str = _PLAIN) -> _Refused:
    message = f"the request is refused: {why}"
    return _Refused(Refusal(message=message, hint=hint, rule="request", status=status), head)
