"""The HTTPS broker's real processes, with a daemon of the tests' own at the other end."""

import atexit
import functools
import itertools
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import h11
import trio

from airlock_daemon.boundary.brokers.http import TlsStream
from airlock_daemon.boundary.brokers.https.messages import (
    Answer,
    Channel,
    Connection,
    Ended,
    Fork,
    Question,
    Ready,
    Refusal,
    Settings,
    ToDaemon,
    ToParent,
    ToWorker,
    Unready,
)
from airlock_modules.apis import Api, ApiCall, Credential, Source

SECRET = "ghp_" + "R3alS3cret" * 4
PLACEHOLDER = "ghp_" + "PLACEholder0" * 3
PIECE = 1 << 16


def make_api(
    port: int, *rules: str, hosts: tuple[str, ...] = ("localhost",), **more: object
) -> Api:
    """An API `gh` on a host of loopback."""
    credential = Credential(
        kind="header", source=Source(kind="env", words=("TOKEN",)), placeholder="ghp_{36}"
    )
    allow = rules or ("* /**",)
    values = {"credential": credential, "module": "gh"} | more
    return Api(name="gh", hosts=hosts, ports=(port,), allow=allow, **values)  # type: ignore[arg-type]


Parent = tuple[subprocess.Popen[bytes], socket.socket]

_workers = itertools.count(1)


def start_parent() -> Parent:
    """The process that forks workers, and what it is told by."""
    ours, theirs = socket.socketpair()
    with theirs:
        number = theirs.fileno()
        process = subprocess.Popen(
            [sys.executable, "-I", "-m", "airlock_daemon.boundary.brokers.https", str(number)],
            pass_fds=[number],
            cwd="/",
            env={"PATH": os.defpath},
        )
    return process, ours


@functools.cache
def share_parent() -> Parent:
    """One for all tests of this process, as a daemon has one for all of its agents."""
    process, ours = start_parent()
    atexit.register(process.wait)
    atexit.register(ours.close)
    return process, ours


class World:
    """A parent and a worker of it. `told` is all that the worker has said."""

    def __init__(self, folder: Path, apis: tuple[Api, ...], variables: Mapping[str, str]) -> None:
        self.folder = folder
        self.apis = apis
        self.variables = variables
        self.network: tuple[str, ...] = ()
        self.told: list[ToDaemon] = []
        self.secret: str | None = SECRET
        self.certificate = ""
        self.placeholder = PLACEHOLDER
        self.answers = True
        self.judge: Callable[[Question], Refusal | None] = self._judge
        self.news = trio.Condition()
        self.process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self._pidfd = 0
        self._open: list[trio.SocketStream] = []
        self.channel: Channel[ToDaemon, ToWorker] | None = None

    @property
    def published(self) -> Path:
        """What a container would see."""
        return self.folder / "published"

    @property
    def worker(self) -> int:
        """The pid of the worker that was forked last."""
        assert self.process is not None
        parent = self.process.pid
        pids = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        return max(map(int, pids))

    def _judge(self, question: Question) -> Refusal | None:
        api = next(api for api in self.apis if api.name == question.api)
        verdict = api.judge(
            ApiCall(
                method=question.method,
                path=question.path,
                query_names=question.query_names,
                graphql=question.graphql,
                upgrade=question.upgrade,
                has_form=question.has_form,
            )
        )
        if verdict.refusal is None:
            return None
        return Refusal(message=verdict.refusal, hint=verdict.hint, rule=verdict.rule)

    async def settle(self) -> ToDaemon:
        """Send settings, and wait for what the worker makes of them."""
        count = len(self.told)
        settings = Settings(
            agent="agent",
            apis=self.apis,
            network=self.network,
            placeholders={api.name: self.placeholder for api in self.apis},
            keys=str(self.folder / "agent.ca" / "key"),
            published=str(self.published),
            variables=self.variables,
        )
        await self.give(settings)
        answer = await self.wait_for(Ready, Unready, since=count)
        if not self._pidfd:
            self._pidfd = os.pidfd_open(self.worker)
        return answer

    async def give(self, message: ToWorker, descriptor: int | None = None) -> None:
        """Tell the worker something."""
        assert self.channel is not None
        await self.channel.send(message, descriptor)

    async def wait_for(self, *kinds: type[ToDaemon], since: int = 0) -> ToDaemon:
        """The first message of these kinds behind the first `since`."""
        async with self.news:
            while True:
                for message in self.told[since:]:
                    if isinstance(message, kinds):
                        return message
                await self.news.wait()

    def find(self, kind: type[ToDaemon]) -> list[ToDaemon]:
        """All messages of a kind so far."""
        return [message for message in self.told if isinstance(message, kind)]

    async def connect(self) -> tuple[int, trio.SocketStream]:
        """A connection of a tool, and its number."""
        ours, theirs = socket.socketpair()
        number = await self.pass_on(theirs)
        theirs.close()
        stream = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
        self._open.append(stream)
        return number, stream

    async def pass_on(self, connection: socket.socket) -> int:
        """Pass a connection to the worker."""
        number = next(self._numbers)
        await self.give(Connection(number=number), connection.fileno())
        return number

    async def tunnel(self, authority: str) -> tuple[trio.SocketStream, bytes]:
        """A connection on which CONNECT was said, and the head of the answer."""
        _, stream = await self.connect()
        return stream, await self._ask_for(stream, authority)

    async def _ask_for(self, stream: trio.SocketStream, authority: str) -> bytes:
        await stream.send_all(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            data = await stream.receive_some(1)
            if not data:
                break
            answer += data
        return answer

    async def open(self, host: str = "localhost") -> "Tool":
        """A tool that speaks TLS with the API's host."""
        _, stream = await self.connect()
        return await self.secure(stream, host)

    async def secure(self, stream: trio.SocketStream, host: str = "localhost") -> "Tool":
        """The same over a connection that was passed on."""
        port = self.apis[0].ports[0]
        answer = await self._ask_for(stream, f"{host}:{port}")
        assert answer.startswith(b"HTTP/1.1 200 "), answer
        context = ssl.create_default_context(cafile=str(self.published / "ca.pem"))
        tls = TlsStream(stream, context, host)
        await tls.do_handshake()
        return Tool(tls, host if port == 443 else f"{host}:{port}")

    async def listen(self, nursery: trio.Nursery) -> int:
        """The port of a proxy for tools, as the shim has it in a container."""
        listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]

        async def accept() -> None:
            async with listener:
                while True:
                    stream = await listener.accept()
                    with socket.socket(fileno=stream.socket.detach()) as connection:
                        await self.pass_on(connection)

        nursery.start_soon(accept)
        return int(listener.socket.getsockname()[1])

    async def run(self, nursery: trio.Nursery, *, parent: Parent | None) -> None:
        """Start the processes, and be the daemon. A `parent` ends with the world."""
        self.process, ours = parent or share_parent()
        self._shared = None if parent else ours.dup()
        self.parent: Channel[object, ToParent] = Channel(self._shared or ours, receives=object)
        await self.fork(nursery)

    async def fork(self, nursery: trio.Nursery) -> None:
        """Have the parent fork a worker, and listen to that."""
        if self.channel is not None:
            self.channel.close()
        ours, theirs = socket.socketpair()
        self.number = next(_workers)
        await self.parent.send(Fork(agent="agent", worker=self.number), theirs.fileno())
        theirs.close()
        self.channel = Channel(ours, receives=ToDaemon)
        nursery.start_soon(self._listen, self.channel)

    async def close(self) -> None:
        """End the processes and what was opened."""
        assert self.channel is not None
        assert self.process is not None
        for stream in self._open:
            await trio.aclose_forcefully(stream)
        self.channel.close()
        if self._shared is None:
            self.parent.close()
            await trio.to_thread.run_sync(self.process.wait)
        else:
            # The channel would end the connection for all.
            self._shared.close()
        if self._pidfd:
            # Readable when the worker has ended.
            await trio.lowlevel.wait_readable(self._pidfd)
            os.close(self._pidfd)

    async def _listen(self, channel: "Channel[ToDaemon, ToWorker]") -> None:
        while (received := await channel.receive()) is not None:
            message, body = received
            if body is not None:
                os.close(body)
            async with self.news:
                self.told.append(message)
                self.news.notify_all()
            if isinstance(message, Question) and self.answers:
                refusal = self.judge(message)
                secret = None if refusal or not message.needs_secret else self.secret
                answer = Answer(
                    question=message.question,
                    refusal=refusal,
                    secret=secret,
                    certificate=self.certificate,
                    version=7,
                )
                await channel.send(answer)
        async with self.news:
            self.told.append(Ended(connection=-1))
            self.news.notify_all()


class Tool:
    """A client of an API, in HTTP by h11 or in bytes."""

    def __init__(self, stream: TlsStream, authority: str) -> None:
        self.stream = stream
        self.authority = authority
        self.talk = h11.Connection(h11.CLIENT)

    async def ask(
        self,
        method: str,
        target: str,
        *headers: tuple[str, str],
        body: bytes = b"",
        token: str | None = PLACEHOLDER,
    ) -> tuple[int, dict[str, str], bytes]:
        """Make a request, and read its answer."""
        await self.begin(method, target, *headers, body=body, token=token)
        return await self.read_answer()

    async def begin(
        self,
        method: str,
        target: str,
        *headers: tuple[str, str],
        body: bytes = b"",
        token: str | None = PLACEHOLDER,
    ) -> None:
        """Make a request."""
        given = [("Host", self.authority), *headers]
        if token is not None:
            given.append(("Authorization", f"Bearer {token}"))
        if body:
            given.append(("Content-Length", str(len(body))))
        said = self.talk.send(h11.Request(method=method, target=target, headers=given)) or b""
        said += self.talk.send(h11.Data(data=body)) or b"" if body else b""
        said += self.talk.send(h11.EndOfMessage()) or b""
        await self.stream.send_all(said)

    async def read_answer(self) -> tuple[int, dict[str, str], bytes]:
        """The answer: status, headers, body."""
        status, headers, pieces = 0, {}, []
        while True:
            event = self.talk.next_event()
            if event is h11.NEED_DATA:
                self.talk.receive_data(bytes(await self.stream.receive_some(PIECE)))
            elif isinstance(event, h11.Response):
                status = event.status_code
                headers = {n.decode(): v.decode("latin-1") for n, v in event.headers}
                headers["reason"] = event.reason.decode("latin-1")
            elif isinstance(event, h11.Data):
                pieces.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                if self.talk.our_state is h11.DONE and self.talk.their_state is h11.DONE:
                    self.talk.start_next_cycle()
                return status, headers, b"".join(pieces)

    async def send_raw(self, head: str | bytes) -> bytes:
        """Send bytes, and read all that is answered."""
        await self.stream.send_all(head.encode() if isinstance(head, str) else head)
        answer = b""
        while data := await self.stream.receive_some(PIECE):
            answer += data
        return answer


@asynccontextmanager
async def broker(
    folder: Path,
    *apis: Api,
    variables: Mapping[str, str],
    network: tuple[str, ...] = (),
    parent: Parent | None = None,
) -> AsyncIterator[World]:
    """A worker that is ready, and all that is around it."""
    world = World(folder, apis, variables)
    world.network = network
    for each in (world.published, folder / "agent.ca"):
        each.mkdir(exist_ok=True)
    async with trio.open_nursery() as nursery:
        await world.run(nursery, parent=parent)
        try:
            said = await world.settle()
            assert isinstance(said, Ready), said
            yield world
        finally:
            await world.close()
            nursery.cancel_scope.cancel()
