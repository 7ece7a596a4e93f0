"""The broker of a docker engine: serves an agent's `docker.sock`, call by call.

Each call is read strictly, found in the table of `airlock_modules.engine`, judged, and made anew
over a connection of its own, with full ids. Its answer is rewritten, or streamed. A connection of a
client carries calls one after another, and is opaque only after a raw stream that was granted.
"""

import math
import re
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable, Mapping
from contextlib import nullcontext, suppress
from http import HTTPStatus
from socket import socket
from typing import TYPE_CHECKING

import msgspec
import trio

from airlock_daemon.boundary.brokers.docker.connections import (
    ClientStream,
    EngineConnection,
    EngineHead,
    broken,
    read_json,
)
from airlock_daemon.boundary.brokers.docker.images import ImageRecord
from airlock_daemon.boundary.brokers.docker.lists import ODD, rewrite_list
from airlock_daemon.boundary.brokers.docker.lookups import (
    EngineKind,
    Found,
    Lookups,
    find_kind,
    missing,
)
from airlock_daemon.boundary.brokers.docker.making import (
    CallResult,
    EngineAgent,
    Making,
    Note,
    Prepared,
)
from airlock_daemon.boundary.brokers.docker.ports import CONNECT, PORTS, PublishedPorts, connect
from airlock_daemon.boundary.brokers.egress.conversation import BoxConnection
from airlock_daemon.boundary.brokers.https.incoming import AnswerHead, Damaged, Incoming, Uneven
from airlock_daemon.errors import AirlockError, Denied, Failed
from airlock_daemon.setup.generation import State
from airlock_modules.apis import MAX_HEAD, BadHead, head_end, read_head
from airlock_modules.engine import (
    MAX_BODY,
    FoundCall,
    Reference,
    Refused,
    View,
    decode,
    find_call,
    is_builder,
    join_tag,
    read_image_reference,
    rewrite,
    rewrite_error,
    rewrite_event,
    rewrite_stats,
    shorten_name,
    spell_refusal,
)
from airlock_modules.operation import Operation

if TYPE_CHECKING:
    from airlock_modules.engine.archive import ArchiveRewriter

_IDLE_S = 600.0
# How long, and up to how many bytes, the rest of a refused request is read.
_REST_S, _MAX_REST = 5.0, 1 << 26
_KIND_S = 60.0
_JSON = (b"content-type", b"application/json")
_NO_LOGIN = urlsafe_b64encode(b"{}")
# Headers of the engine that a client gets.
_PASSED = frozenset({b"content-type", b"x-docker-container-path-stat"})
_MAX_LINE = 1 << 20
_PORT = re.compile("port=([1-9][0-9]{0,4})")
_DIGEST = re.compile("(?:Digest|Loaded image ID): (sha256:[0-9a-f]{64})")
_COUNTED = {"container.create", "network.create", "volume.create"}
_RAW = (b"content-type", b"application/vnd.docker.raw-stream")
_READING = frozenset({"GET", "HEAD"})

Rewriter = Callable[[object, View], object]


class EngineBroker:
    """Serves one agent's calls."""

    def __init__(self, state: State, agent: str) -> None:
        """`state` has the record of the images of `agent`, by its name."""
        self.images = ImageRecord(state, agent)
        self.ports = PublishedPorts()
        # Containers, networks and volumes are counted and made one after another.
        self.creating = trio.Lock()
        self._kind: EngineKind | None = None
        self._looked = -math.inf

    async def serve(self, connection: socket, agent: EngineAgent) -> None:
        """Serve a client's connection, which the caller closes, to its end."""
        stream = ClientStream(connection, agent.closer)
        rest = b""
        with suppress(trio.BrokenResourceError, Uneven):
            while (request := await self._read_request(stream, rest, agent)) is not None:
                call = _Call(self, agent, connection, request)
                await call.serve()
                if call.is_opaque or not request.is_finished:
                    return
                rest = request.rest

    async def _read_request(
        self, stream: ClientStream, rest: bytes, agent: EngineAgent
    ) -> Incoming | None:
        """Read the head of the next request; None, once answered, if there is none."""
        buffer = bytearray(rest)
        try:
            with trio.fail_after(_IDLE_S):
                while (end := head_end(buffer)) is None:
                    data = await stream.receive_some(MAX_HEAD)
                    if not data:
                        return None
                    buffer += data
                    await agent.turns.take()
            head = read_head(bytes(buffer[:end]), None)
        except trio.TooSlowError:
            return None
        except BadHead as bad:
            error = Denied(
                f"the request cannot be read: {bad}",
                layer="broker",
                rule="malformed",
                hint="send it as the engine's API documents it",
            )
            agent.record(CallResult(operation=None, error=error))
            with trio.move_on_after(_IDLE_S):
                await stream.send_all(self.write_refusal(error, HTTPStatus.BAD_REQUEST))
            return None
        return Incoming(stream, head, bytes(buffer[end:]), agent.turns)

    async def find_view(self, agent: EngineAgent) -> View:
        """What the agent may see now. Raises AirlockError."""
        now, engine, grant = trio.current_time(), agent.engine, agent.grant
        kind = self._kind
        if kind is None or kind.engine != engine or now - self._looked > _KIND_S:
            kind = self._kind = await find_kind(engine)
            self._looked = now
        return View(
            ownership=agent.ownership,
            grant=grant.own_by_root() if kind.is_rootless else grant,
            version=kind.version,
            images=self.images.ids,
            names=self.images.names,
        )

    @staticmethod
    def write_refusal(error: AirlockError, status: HTTPStatus) -> bytes:
        """A whole answer that refuses, in the engine's form; the connection is then closed."""
        body = spell_refusal(error.message, error.hint)
        head = [f"HTTP/1.1 {status.value} {status.phrase}", "Content-Type: application/json"]
        head += [f"Content-Length: {len(body)}", "Connection: close", "", ""]
        return "\r\n".join(head).encode() + body


class _Call:
    """One call of a client."""

    def __init__(
        self, broker: EngineBroker, agent: EngineAgent, connection: socket, request: Incoming
    ) -> None:
        self._broker = broker
        self._agent = agent
        self._connection = connection
        self._request = request
        self._operation: Operation | None = None
        self._changes = False
        self._approval: object | None = None
        self._status: int | None = None
        self._sent = 0
        self._received = 0
        self._has_answered = False
        self.is_opaque = False

    async def serve(self) -> None:
        """Serve it, and record it. Raises BrokenResourceError."""
        error: AirlockError | None = None
        try:
            await self._perform()
        except Refused as refused:
            error = Denied(refused.message, layer="broker", rule=refused.rule, hint=refused.hint)
            await self._refuse(error, HTTPStatus(refused.status))
        except Damaged as damaged:
            error = damaged
            await self._refuse(error, HTTPStatus.BAD_REQUEST)
        except Denied as denied:
            error = denied
            await self._refuse(error, HTTPStatus.FORBIDDEN)
        except AirlockError as failed:
            error = failed
            await self._refuse(error, HTTPStatus.SERVICE_UNAVAILABLE)
        finally:
            self._agent.record(
                CallResult(
                    operation=self._operation,
                    changes=self._changes,
                    status=self._status,
                    sent=self._sent,
                    received=self._received,
                    error=error,
                    approval=self._approval,
                )
            )

    async def _perform(self) -> None:
        head = self._request.head
        # For a call that is not in the table.
        self._operation = Operation(("docker", head.method, head.path))
        view = await self._broker.find_view(self._agent)
        if head.method == "POST" and head.path in (PORTS, CONNECT):
            await self._lead_to_ports(view)
            return
        found = find_call(head.method, head.path, head.query, spoken=view.version)
        name = found.call.name
        if found.call.sends == "none" and not self._request.is_complete:
            await self._read_body(0)
        body = b""
        if found.call.sends == "json":
            await self._request.allow()
            body = await self._read_body(MAX_BODY)
        reference = _find_image(found, body, view)
        self._operation = Operation(_describe(found, reference))
        self._changes = head.method not in _READING
        if name == "system.ping":
            await self._ping(view)
            return
        target = f"{head.path}?{head.query}" if head.query else head.path
        details = [("call", f"{head.method} {target}")]
        details += [("body", body.decode("utf-8", "surrogateescape"))] if body else []
        judged: dict[Reference, Found | None] = {}
        if reference is not None and self._agent.may_require_approval(self._operation):
            judged[reference] = await self._look_up(reference, view)
        image = None if reference is None else judged.get(reference)
        if image is not None:
            details.append(("image", " ".join((image.id, *image.names))))
        is_open = found.call.sends == "bytes" or found.call.answers == "raw"
        self._approval = await self._agent.admit(
            self._operation,
            tuple(details),
            forms=_list_forms(found, reference, image),
            changes=self._changes,
            note="what is sent over the connection is not bound" if is_open else "",
        )
        if self._approval is not None:
            # The profile may be another one by now, and so may the image of that name.
            view = await self._broker.find_view(self._agent)
            if await self._has_changed(found, body, view, judged):
                raise Denied(
                    "what this call names is another image than the one that was approved",
                    layer="profile",
                    rule="approve",
                    hint="repeat the call: a person is asked about the image that it is now",
                )
        making = Making(
            *(self._agent, view, self._broker.images, found, body),
            has_listener=self._broker.ports.has_listener,
            judged=judged,
        )
        if (value := await making.answer_itself()) is not None:
            await self._answer_json(HTTPStatus.OK, value)
            return
        async with self._broker.creating if name in _COUNTED else nullcontext():
            await self._make(making, found, view)

    async def _has_changed(
        self,
        found: FoundCall,
        body: bytes,
        view: View,
        judged: Mapping[Reference, Found | None],
    ) -> bool:
        """Whether a call names another image by now than when it was judged. Raises Refused."""
        for reference, image in judged.items():
            if _find_image(found, body, view) != reference:
                return True
            if await self._look_up(reference, view) != image:
                return True
        return False

    async def _look_up(self, reference: Reference, view: View) -> Found | None:
        """An image; None if there is none, which the call then tells."""
        try:
            return await Lookups(self._agent.engine, view, self._agent.turns).find(reference)
        except Refused:
            return None

    async def _make(self, making: Making, found: FoundCall, view: View) -> None:
        """Make the call, and answer with what the engine answers."""
        first = await making.prepare()
        agent = self._agent
        async with self._broker.ports.claim(first.starts, agent.engine, view, agent.turns):
            prepared: Prepared | None = first
            while prepared is not None:
                prepared = await self._try(prepared, found, view)

    async def _try(self, prepared: Prepared, found: FoundCall, view: View) -> Prepared | None:
        """Send the request, and answer; or return what is to be sent in its place."""
        async with await EngineConnection.open(self._agent.engine) as engine:
            await self._send(engine, prepared, found)
            answer = await engine.read_head()
            if answer.status == HTTPStatus.BAD_REQUEST and prepared.otherwise is not None:
                return prepared.otherwise
            self._status = answer.status
            await self._relay(engine, answer, prepared, found, view)
            return None

    async def _lead_to_ports(self, view: View) -> None:
        """Serve the agent's own container: its list of ports, or a connection to one."""
        head, engine = self._request.head, self._agent.engine
        await self._read_body(0)
        number = _PORT.fullmatch(head.query)
        port = 0 if head.path == PORTS or number is None else int(number[1])
        words = ("port.list",) if head.path == PORTS else ("port.connect", str(port))
        self._operation = Operation(("docker", *words))
        # It is recorded, and no person is asked: the start of the container was judged.
        # A client of a port may speak any protocol: an error closes its connection.
        self.is_opaque = self._has_answered = True
        if head.path == PORTS:
            await self._switch_for_port()
            stream = ClientStream(self._connection, self._agent.closer)
            await self._broker.ports.serve(stream, engine, view, self._agent.turns)
            return
        async with connect(port, engine, view, self._agent.turns) as server:
            await self._switch_for_port()
            await self._splice(server, b"")

    async def _switch_for_port(self) -> None:
        await self._request.switch(b"tcp", [])
        self._status = HTTPStatus.SWITCHING_PROTOCOLS

    async def _read_body(self, limit: int) -> bytes:
        found = bytearray()
        while piece := await self._request.read():
            found += piece
            if len(found) > limit:
                raise Damaged(f"its body is longer than {limit} bytes")
        return bytes(found)

    async def _send(self, engine: EngineConnection, prepared: Prepared, found: FoundCall) -> None:
        headers = list(prepared.headers)
        if found.call.sends == "bytes":
            length = self._request.head.get("content-length")
            framing = (b"Transfer-Encoding", b"chunked")
            if length is not None and prepared.sent is None:
                # An engine reads a body of known length faster than chunks.
                framing = (b"Content-Length", length.encode())
            headers += [(b"Content-Type", b"application/x-tar"), framing]
        else:
            size = len(prepared.body or b"")
            headers += [_JSON] if prepared.body is not None else []
            headers += (
                [(b"Content-Length", str(size).encode())] if prepared.method == "POST" else []
            )
        if prepared.is_raw:
            headers += [(b"Connection", b"Upgrade"), (b"Upgrade", b"tcp")]
        await engine.begin(prepared.method, prepared.target, headers)
        if prepared.body:
            self._sent += len(prepared.body)
            await engine.write(prepared.body)
        if found.call.sends == "bytes":
            await self._request.allow()
            archive = prepared.sent
            while piece := await self._request.read():
                self._sent += len(piece)
                if written := piece if archive is None else archive.feed(piece):
                    await engine.write(written)
            if archive is not None:
                await engine.write(archive.end())
        await engine.end()

    async def _relay(
        self,
        engine: EngineConnection,
        answer: EngineHead,
        prepared: Prepared,
        found: FoundCall,
        view: View,
    ) -> None:
        if answer.status >= HTTPStatus.BAD_REQUEST:
            error = rewrite_error(read_json(await engine.read_all()), view)
            await self._answer_json(answer.status, error)
        elif answer.status == HTTPStatus.SWITCHING_PROTOCOLS:
            await self._switch(engine, answer)
        elif prepared.is_raw:
            # It must not be opaque for a client that waits for a raw stream, and is none.
            raise Failed(
                "the docker engine of the host did not begin a raw stream",
                hint="try again; a person on the host finds the engine's own messages there",
            )
        elif found.call.answers == "stream":
            rewriter = _REWRITTEN_LINES.get(found.call.name)
            lines = None if rewriter is None else _Lines(rewriter, view)
            await self._stream(engine, answer, prepared.received or lines, prepared.note)
        else:
            await self._answer_plain(engine, answer, prepared, found, view)

    async def _answer_plain(
        self,
        engine: EngineConnection,
        answer: EngineHead,
        prepared: Prepared,
        found: FoundCall,
        view: View,
    ) -> None:
        name = found.call.name
        is_list = found.call.answers == "list"
        data = b"[]" if is_list else await engine.read_all()
        if prepared.note is not None:
            await prepared.note(read_json(data))
        if not data or self._request.head.method == "HEAD":
            await self._answer(answer.status, _passed(answer), b"")
            return
        try:
            if is_list:
                value = await rewrite_list(engine, name, view, self._agent.turns)
            else:
                value = rewrite(name, msgspec.json.decode(data), view)
        except (msgspec.DecodeError, AttributeError, TypeError):
            raise broken(ODD) from None
        except KeyError:
            kind, _, _ = name.partition(".")
            raise missing(kind, "of this agent") from None
        if prepared.warnings and isinstance(value, dict):
            value["Warnings"] = [*(value.get("Warnings") or ()), *prepared.warnings]
        await self._answer_json(answer.status, value)

    async def _stream(
        self,
        engine: EngineConnection,
        answer: EngineHead,
        rewriter: "ArchiveRewriter | _Lines | None",
        note: Note | None,
    ) -> None:
        """Pass on an answer while it comes, until it or the client ends."""
        self._has_answered = True
        error: Exception | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_after, self._request.wait_for_hanging_up, nursery)
            try:
                await self._pour(engine, answer, rewriter, note)
            except (AirlockError, Refused, trio.BrokenResourceError, Uneven) as raised:
                error = raised
            nursery.cancel_scope.cancel()
        if error is not None:
            raise error

    async def _pour(
        self,
        engine: EngineConnection,
        answer: EngineHead,
        rewriter: "ArchiveRewriter | _Lines | None",
        note: Note | None,
    ) -> None:
        await self._request.answer(_head(answer.status, _passed(answer)), b"", is_end=False)
        while piece := await engine.read():
            await self._agent.turns.take()
            self._received += len(piece)
            if data := piece if rewriter is None else rewriter.feed(piece):
                await self._request.answer(None, data, is_end=False)
        rest = b"" if rewriter is None else rewriter.end()
        if note is not None:
            more = await note(rewriter.digests if isinstance(rewriter, _Lines) else None)
            rest += b"".join(msgspec.json.encode(line) + b"\n" for line in more)
        await self._request.answer(None, rest, is_end=True)

    async def _switch(self, engine: EngineConnection, answer: EngineHead) -> None:
        """Splice client and engine: from here on the connection is opaque."""
        self.is_opaque = self._has_answered = True
        kind = answer.get(b"content-type") or _RAW[1]
        if (self._request.head.get("upgrade") or "").lower() == "tcp":
            await self._request.switch(b"tcp", [(b"content-type", kind)])
        else:
            # As the engine answers a client of its first versions.
            said = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\n\r\n" % kind
            await ClientStream(self._connection, self._agent.closer).send_all(said)
        await self._splice(engine.stream, engine.early)

    async def _splice(self, server: trio.SocketStream, early: bytes) -> None:
        """Carry bytes both ways; `early` are those that have come from the server."""
        client = trio.SocketStream(trio.socket.from_stdlib_socket(self._connection.dup()))
        async with client:
            await client.send_all(early)
            await server.send_all(self._request.rest)
            spliced = BoxConnection(client, self._agent.turns, self._agent.closer)
            try:
                await spliced.splice(server, idle_s=None)
            finally:
                self._sent += spliced.sent
                self._received += spliced.received

    async def _ping(self, view: View) -> None:
        version = f"{view.version[0]}.{view.version[1]}".encode()
        headers = [
            (b"api-version", version),
            (b"ostype", b"linux"),
            (b"docker-experimental", b"false"),
            # BuildKit is reached by its own protocol, which the engine's own builder would serve.
            (b"builder-version", b"1"),
            (b"cache-control", b"no-cache"),
            (b"content-type", b"text/plain; charset=utf-8"),
        ]
        await self._answer(HTTPStatus.OK, headers, b"OK")

    async def _answer_json(self, status: int, value: object) -> None:
        await self._answer(status, [_JSON], msgspec.json.encode(value))

    async def _answer(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self._has_answered = True
        self._status = status
        self._received += len(body)
        size = (b"content-length", str(len(body)).encode())
        is_head = self._request.head.method == "HEAD"
        sized = headers if status == HTTPStatus.NO_CONTENT else [*headers, size]
        data = b"" if is_head else body
        await self._request.answer(_head(status, sized), data, is_end=True)

    async def _refuse(self, error: AirlockError, status: HTTPStatus) -> None:
        """Refuse in the engine's own form; the rest of an unread body ends the connection."""
        if self._has_answered:
            return
        headers = [_JSON] if self._request.is_complete else [_JSON, (b"connection", b"close")]
        await self._answer(status, headers, spell_refusal(error.message, error.hint))
        if not self._request.is_complete and not self._request.is_held_back:
            # A client that is still writing would see a broken pipe instead of the answer.
            with trio.move_on_after(_REST_S), suppress(Damaged):
                while self._request.count < _MAX_REST and await self._request.read():
                    pass


class _Lines:
    """Rewrites a stream of JSON, a value a line."""

    def __init__(self, rewriter: Rewriter, view: View) -> None:
        self._rewriter = rewriter
        self._view = view
        self._pending = b""
        self.digests: list[str] = []
        """The digests of manifests that a pull has told, or of images that were loaded."""

    def feed(self, data: bytes) -> bytes:
        """The rewritten lines that `data` completes; others are dropped. Raises Failed."""
        *lines, self._pending = (self._pending + data).split(b"\n")
        if len(self._pending) > _MAX_LINE:
            raise Failed(
                "the docker engine of the host sent a line that is too long",
                hint="try again; a person on the host finds the engine's own messages there",
            )
        written = bytearray()
        for line in filter(bytes.strip, lines):
            value = read_json(line)
            told = value if isinstance(value, dict) else {}
            words = f"{told.get('status', '')}{told.get('stream', '')}".strip()
            if found := _DIGEST.fullmatch(words):
                self.digests.append(found[1])
            rewritten = self._rewriter(value, self._view)
            if rewritten is not None:
                written += msgspec.json.encode(rewritten) + b"\n"
        return bytes(written)

    def end(self) -> bytes:
        """The rewritten rest."""
        return self.feed(b"\n")


def _drop_loaded(line: object, _view: View) -> object:
    """A line of a load, unless it tells an image, whose name is told later."""
    told = str(line.get("stream", "")) if isinstance(line, dict) else ""
    return None if told.startswith("Loaded image") else line


_REWRITTEN_LINES: Mapping[str, Rewriter] = {
    "image.pull": lambda line, _: line,
    "image.load": _drop_loaded,
    "system.events": rewrite_event,
    "container.stats": rewrite_stats,
}


async def _cancel_after(wait: Callable[[], Awaitable[None]], nursery: trio.Nursery) -> None:
    await wait()
    nursery.cancel_scope.cancel()


def _head(status: int, headers: list[tuple[bytes, bytes]]) -> AnswerHead:
    return AnswerHead(status=status, reason=HTTPStatus(status).phrase.encode(), headers=headers)


def _passed(answer: EngineHead) -> list[tuple[bytes, bytes]]:
    return [each for each in answer.headers if each[0] in _PASSED]


def _find_image(found: FoundCall, body: bytes, view: View) -> Reference | None:
    """The image that a call names, None if it names none. Raises Refused."""
    query, name = found.query, found.call.name
    if name == "container.create":
        value = decode(body)
        image = value.get("Image", "") if isinstance(value, dict) else ""
        # Of a container of this name the body says nothing (`order_builder`).
        made = str(query.get("name", "")).removeprefix("/")
        image = view.grant.builder if is_builder(made) else image
        return read_image_reference(image, "Image") if image else None
    if name == "image.pull":
        image = join_tag(str(query.get("fromImage", "")), query.get("tag"))
        return Reference("image", str(image))
    if name == "image.push" and found.target is not None and "tag" in query:
        image = join_tag(found.target.text.rpartition(":")[0], query["tag"])
        return Reference("image", str(image))
    asked = found.target or query.get("names")
    return asked if isinstance(asked, Reference) and asked.kind == "image" else None


def _describe(found: FoundCall, image: Reference | None, name: str = "") -> tuple[str, ...]:
    """The words of the operation; `name` is another one of its image."""
    if image is None:
        return found.words
    key = "image=" if found.call.name == "container.create" else ""
    return (*found.words[:2], key + (name or image.text))


def _list_forms(
    found: FoundCall, reference: Reference | None, image: Found | None
) -> tuple[tuple[str, ...], ...]:
    """The words of the operation by every name of its image, in full and short, and by its id."""
    names = ["" if reference is None else reference.text, *(() if image is None else image.names)]
    spelled = {*names, *map(shorten_name, names), *([] if image is None else [image.id])}
    return tuple(_describe(found, reference, name) for name in sorted(spelled))
