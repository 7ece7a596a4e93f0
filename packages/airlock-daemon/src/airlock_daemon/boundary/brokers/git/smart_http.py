"""Relays git's services over HTTP (gitprotocol-http(5))."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from airlock_daemon._version import __version__
from airlock_daemon.boundary.brokers.git.credential import find_authorization, host_of
from airlock_daemon.boundary.brokers.git.rules import (
    Outcome,
    Report,
    UrlRemote,
    address_of,
    admit_service,
    describe_fetch,
    judge_and_approve,
    judged,
    listed,
    path_of,
    read_list,
    refuse_without_report,
    refuse_words,
)
from airlock_daemon.boundary.brokers.http import (
    TRY_AGAIN,
    Answer,
    Body,
    HttpClient,
    Request,
    broken,
    connect,
    cut_off,
)
from airlock_daemon.boundary.brokers.requester import BufferedBytes, Requester, Streams
from airlock_daemon.boundary.command import Emit, Ended
from airlock_daemon.errors import Denied, Failed
from airlock_modules import (
    AdvertisementReader,
    FetchRequestReader,
    HelperReader,
    RemoteError,
    RemoteRequest,
    answer_helper,
    compose_report,
)
from airlock_wire import quote

if TYPE_CHECKING:
    from airlock_daemon.boundary.brokers.git.server_words import ServerWords

# Servers recognise git by this prefix.
_AGENT = f"git/airlock-{__version__}"
_FLUSH = b"0000"
_UNAUTHORIZED, _OK, _NOT_FOUND = 401, 200, 404

Sink = Callable[[bytes], Awaitable[None]]


class RefusedByServer(Exception):
    """A server answered with an error; `verdict` is the line that git prints for it.

    `said` are the server's own lines, shown before it.
    """

    def __init__(self, verdict: str, said: tuple[str, ...] = ()) -> None:
        super().__init__(verdict)
        self.text = "".join(f"{line}\n" for line in (*said, verdict))


class SmartHttp:
    """The HTTP server of a remote. Its owner must `close` it.

    Looks up the human's credential only when the server demands one, then keeps it.
    """

    def __init__(self, remote: UrlRemote, asked: RemoteRequest, requester: Requester) -> None:
        self._remote = remote
        self._asked = asked
        self._requester = requester
        self._client = HttpClient(
            partial(connect, remote.origin, requester.lookups), requester.turns
        )
        self._authorization: str | None = None

    async def close(self) -> None:
        """Close the connection."""
        await self._client.close()

    async def get_refs(self, take: Sink) -> None:
        """Fetch the server's ref advertisement; `take` gets it piece by piece.

        Raises RefusedByServer, Denied for a redirect, Failed.
        """
        service = self._asked.service
        request = self._request(
            "GET", f"info/refs?service={service}", ("Accept", "*/*"), ("Pragma", "no-cache")
        )
        await self._ask(request, f"application/x-{service}-advertisement", take)

    async def post(self, body: bytes | Body, take: Sink) -> None:
        """Send the client's request to the service; otherwise as `get_refs`.

        A streamed body cannot be sent twice, so a flush alone is sent first to learn whether the
        server demands a credential, as git does.
        """
        service = self._asked.service
        kind = f"application/x-{service}"
        request = partial(
            self._request,
            "POST",
            service,
            ("Content-Type", f"{kind}-request"),
            ("Accept", f"{kind}-result"),
        )
        if not isinstance(body, bytes) and self._authorization is None:
            await self._ask(request(body=_FLUSH), f"{kind}-result", _ignore)
        await self._ask(request(body=body), f"{kind}-result", take)

    def _request(
        self, method: str, name: str, *headers: tuple[str, str], body: bytes | Body = b""
    ) -> Request:
        length: tuple[tuple[str, str], ...] = ()
        if method == "POST" and isinstance(body, bytes):
            length = (("Content-Length", str(len(body))),)
        elif method == "POST":
            length = (("Transfer-Encoding", "chunked"),)
        version = self._version
        return Request(
            method=method,
            target=f"{path_of(self._remote.destination)}/{name}",
            headers=(
                ("Host", host_of(self._remote.destination)),
                ("User-Agent", _AGENT),
                ("Accept-Encoding", "identity"),
                *headers,
                *length,
                *(() if version is None else (("Git-Protocol", f"version={version}"),)),
            ),
            body=body,
        )

    @property
    def _version(self) -> int | None:
        if self._asked.is_push:
            return 1 if self._remote.is_first else None
        return 2

    async def _ask(self, request: Request, kind: str, take: Sink) -> None:
        read = partial(self._read, kind, take)
        remote = self._remote
        while not await self._client.exchange(self._with_account(request), read):
            if self._authorization is not None:
                raise RefusedByServer(f"fatal: Authentication failed for '{self._shown}'")
            self._authorization = await find_authorization(
                remote.destination, remote.git, self._requester
            )

    def _with_account(self, request: Request) -> Request:
        if self._authorization is None:
            return request
        headers = (*request.headers, ("Authorization", self._authorization))
        return Request(
            method=request.method, target=request.target, headers=headers, body=request.body
        )

    @property
    def _shown(self) -> str:
        # With the slash, as git prints it.
        return f"{address_of(self._remote.destination)}/"

    async def _read(self, kind: str, take: Sink, answer: Answer) -> bool:
        """Take an answer; returns False if the server demands a credential."""
        if answer.status == _UNAUTHORIZED:
            self._expect_basic(answer)
            await answer.drop()
            return False
        found = answer.headers.get("content-type", "")
        if answer.status != _OK or found.lower() != kind:
            raise await self._explain(answer, kind)
        while piece := await answer.read():
            await take(piece)
        return True

    def _expect_basic(self, answer: Answer) -> None:
        challenges = answer.headers.get("www-authenticate", "").lower().split(",")
        if not any(challenge.split()[:1] == ["basic"] for challenge in challenges):
            raise Failed(
                f"{quote(self._remote.destination.host)} requires an unsupported authentication "
                "scheme (only Basic is supported)",
                hint="use a remote like git@HOST:PATH, if the server has ssh",
            )

    async def _explain(self, answer: Answer, kind: str) -> Exception:
        """What is wrong with an answer, without the credential that the server was shown."""
        from airlock_daemon.boundary.brokers.git.server_words import ServerWords  # noqa: PLC0415

        words = ServerWords(self._authorization)
        if 300 <= answer.status < 400:
            return self._redirected(answer, words)
        if answer.status != _OK:
            return await self._refused(answer, words)
        shown = words.quote(answer.headers.get("content-type", ""), limit=60)
        return broken(f"it is of the type {shown}, which is not git's for this ({kind})")

    def _redirected(self, answer: Answer, words: "ServerWords") -> Denied:
        shown = words.quote_location(answer.headers.get("location", ""))
        return Denied(
            f"{quote(self._remote.destination.host)} sends on to {shown}, which is not followed",
            layer="broker",
            rule="redirect",
            hint="if that is where the repository is now: git remote set-url NAME URL",
        )

    async def _refused(self, answer: Answer, words: "ServerWords") -> RefusedByServer:
        said = await words.read_message(answer)
        if answer.status == _NOT_FOUND:
            return RefusedByServer(f"fatal: repository '{self._shown}' not found", said)
        return RefusedByServer(
            f"fatal: unable to access '{self._shown}': "
            f"The requested URL returned error: {answer.status}",
            said,
        )


async def _ignore(piece: bytes) -> None:
    """Discard the answer to a lone flush."""


class Passing:
    """Forwards an answer, but withholds the final flush until `end`.

    git starts to write once it has the flush. If the answer's last bytes turn out to be malformed,
    git is thus still reading, and is not killed by a broken pipe. `received` counts the bytes
    taken.
    """

    def __init__(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        """`write` gets the forwarded bytes."""
        self._write = write
        self.received = 0
        self._last = b""
        self._held = b""

    async def take(self, piece: bytes) -> None:
        """Take the next piece. Raises what `write` raises."""
        self.received += len(piece)
        self._last = (self._last + piece)[-len(_FLUSH) :]
        # If a flush arrives in two pieces, withholding the second is enough.
        kept = max(len(piece) - len(_FLUSH), 0) if self._last == _FLUSH else len(piece)
        ready, self._held = self._held + piece[:kept], piece[kept:]
        if ready:
            await self._write(ready)

    async def end(self) -> None:
        """End the answer, complete for HTTP. Raises Failed if it is not for git; as `take`."""
        if self._last != _FLUSH:
            # Otherwise the client would wait for the rest.
            raise cut_off()
        await self._write(self._held)


# Requests of more bytes are streamed, as in git (http.postBuffer).
BUFFERED_BYTES = 1 << 20
# Exit status of git's own helper when a remote answers with an error.
_REFUSED = 128


class UrlConversation:
    """A conversation with a remote over HTTP.

    If the client asks for an admitted service, `tell` is called once with the outcome.
    """

    def __init__(
        self,
        remote: UrlRemote,
        requester: Requester,
        *,
        tell: Report,
    ) -> None:
        self._remote = remote
        self._requester = requester
        self._tell = tell
        self._outcome = Outcome(decision="allowed")

    async def run(self, streams: Streams, emit: Emit) -> Ended:
        """Run the conversation; `emit` gets text for stderr.

        Raises Denied for requests that are not granted or malformed; Failed if the remote cannot be
        reached or understood.
        """
        try:
            asked = await self._read_service(streams)
            if asked is None:
                return Ended(0, None)
            is_pinned = admit_service(self._remote, asked, self._requester.generation)
            try:
                return await self._serve(asked, streams, emit)
            except (RemoteError, Denied):
                self._outcome = replace(self._outcome, decision="denied")
                raise
            finally:
                self._outcome.report(asked, self._tell, is_pinned=is_pinned)
        except RemoteError as error:
            raise refuse_words(error) from error

    async def _read_service(self, streams: Streams) -> RemoteRequest | None:
        """Read the service that the client wants; None if it ends without one."""
        reader = HelperReader()
        while data := await streams.read():
            reader.feed(data)
            while (command := reader.take()) is not None:
                if command in ("git-upload-pack", "git-receive-pack"):
                    if reader.rest:
                        raise RemoteError("git says nothing before it is connected", rule="helper")
                    return RemoteRequest(destination=self._remote.destination, service=command)
                if command == "end":
                    return None
                with suppress(OSError):
                    await streams.write(answer_helper(command))
        return None

    async def _serve(self, asked: RemoteRequest, streams: Streams, emit: Emit) -> Ended:
        if self._requester.has_approvals and not asked.is_push:
            await self._requester.approve(describe_fetch(asked), emit)
            # The files may have been reloaded meanwhile.
            admit_service(self._remote, asked, self._requester.current)
        server = SmartHttp(self._remote, asked, self._requester)
        try:
            await self._pass_refs(asked, server, streams)
            if asked.is_push:
                await self._push(asked, server, streams, emit)
            else:
                await self._fetch(server, streams)
        except RefusedByServer as error:
            await emit("stderr", error.text.encode())
            return Ended(_REFUSED, None)
        except OSError:
            # The client has closed its stdout.
            return Ended(_REFUSED, None)
        finally:
            await server.close()
        return Ended(0, None)

    async def _pass_refs(self, asked: RemoteRequest, server: SmartHttp, streams: Streams) -> None:
        reader = AdvertisementReader(asked.service)
        passing = Passing(streams.write)
        is_connected = False

        async def take(piece: bytes) -> None:
            nonlocal is_connected
            try:
                data = reader.feed(piece)
            except RemoteError as error:
                raise _explain(error) from error
            if data and not is_connected:
                data = answer_helper(asked.service) + data
                is_connected = True
            if data:
                await passing.take(data)

        await server.get_refs(take)
        try:
            reader.end()
        except RemoteError as error:
            raise _explain(error) from error
        # After an error git waits for nothing.
        if not reader.is_error:
            await passing.end()

    async def _fetch(self, server: SmartHttp, streams: Streams) -> None:
        """Forward requests one by one until the client has finished."""
        reader = FetchRequestReader()
        received = 0
        while True:
            held = BufferedBytes(self._requester.gate)
            passing = Passing(streams.write)
            try:
                body = await _gather(_until_flush(reader, streams), held)
                if reader.is_over or not body:
                    return
                await server.post(body, passing.take)
                await passing.end()
            finally:
                received += passing.received
                self._outcome = replace(self._outcome, received=received)
                held.release()

    async def _push(
        self, asked: RemoteRequest, server: SmartHttp, streams: Streams, emit: Emit
    ) -> None:
        held = BufferedBytes(self._requester.gate)
        try:
            push, said = await read_list(streams.read, held)
            if push is None or not push.updates:
                return
            self._outcome = listed(push)
            # A server would drop a connection that waits, so it is opened again after the answer.
            refusals = await judge_and_approve(
                push, asked, self._requester, emit, prepare=server.close
            )
            self._outcome = judged(self._outcome, refusals)
            if refusals:
                report = compose_report(push, refusals)
                if push.brings_pack:
                    await streams.drop()
                if not report:
                    raise refuse_without_report(refusals[0])
                await streams.write(report)
                return
            body = await _gather(_after(said, streams.read if push.brings_pack else None), held)
            await server.post(self._count(body), streams.write)
        finally:
            held.release()

    def _count(self, body: bytes | Body) -> bytes | Body:
        """Count the bytes of a push that are sent."""
        if isinstance(body, bytes):
            self._outcome = replace(self._outcome, sent=len(body))
            return body
        more = body

        async def read() -> bytes:
            data = await more()
            self._outcome = replace(self._outcome, sent=self._outcome.sent + len(data))
            return data

        return read


def _after(first: bytes, more: Body | None) -> Body:
    """A body of `first`, followed by `more`."""
    left = [first]

    async def read() -> bytes:
        if left:
            return left.pop()
        return b"" if more is None else await more()

    return read


def _until_flush(reader: FetchRequestReader, streams: Streams) -> Body:
    """A body of one client request; it raises RemoteError if the client ends within it."""
    is_whole = False

    async def read() -> bytes:
        nonlocal is_whole
        while not is_whole:
            taken, is_whole = reader.take()
            if taken:
                return taken
            data = await streams.read()
            if not data:
                reader.end()
                is_whole = True
            reader.feed(data)
        return b""

    return read


async def _gather(read: Body, held: BufferedBytes) -> bytes | Body:
    """Read the whole body if it is at most `BUFFERED_BYTES`; otherwise return a body to stream."""
    said = bytearray()
    while len(said) <= BUFFERED_BYTES:
        data = await read()
        if not data:
            return bytes(said)
        held.add(len(data))
        said += data
    return _after(bytes(said), read)


def _explain(error: RemoteError) -> Denied | Failed:
    """The error for a malformed answer of the server."""
    if error.rule == "version":
        return Denied(
            error.problem,
            layer="broker",
            rule=error.rule,
            hint="use a remote like git@HOST:PATH, if the server has ssh",
        )
    return Failed(error.problem, hint=TRY_AGAIN)
