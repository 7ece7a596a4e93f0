"""What a hostile tool says to the HTTPS broker: the service sees none of it.

Requests with two readings, or none that is granted, are in e2e/canary/apis.
"""

import os
import socket
import ssl
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import broker_fixtures
import pytest
import trio
import trio.testing
from api_server import OK, ApiServer, Seen, Talk
from broker_world import PLACEHOLDER, World, broker, make_api

from airlock_daemon.boundary.brokers.egress.destinations import Destination, Routes, read_network
from airlock_daemon.boundary.brokers.egress.destinations import World as Reach
from airlock_daemon.boundary.brokers.http import TlsStream
from airlock_daemon.boundary.brokers.https.authority import Authority, open_key
from airlock_daemon.boundary.brokers.https.aws import AwsContext, Sessions
from airlock_daemon.boundary.brokers.https.conversation import Conversation, Daemon, ServedApi
from airlock_daemon.boundary.brokers.https.incoming import Spool
from airlock_daemon.boundary.brokers.https.messages import Answer, Question, Refused, ToDaemon
from airlock_daemon.boundary.brokers.https.scopes import Scopes
from airlock_daemon.boundary.brokers.https.service import Authorities, Service
from airlock_modules.apis.uploads import Seal

certificates = broker_fixtures.certificates
server = broker_fixtures.server
variables = broker_fixtures.variables

TOKEN = f"Authorization: Bearer {PLACEHOLDER}"
LENGTH = "Content-Length: 4"


@pytest.fixture
async def world(
    tmp_path: Path, variables: dict[str, str], server: ApiServer
) -> AsyncIterator[World]:
    """A broker that grants one path to read, and one to write."""
    api = make_api(server.port, "GET /ok/**", "POST /ok/**", deny=("* /ok/secrets/**",))
    async with broker(tmp_path, api, variables=variables) as world:
        yield world


# Each is what a tool says first on its connection.
OPENINGS = (
    b"CONNECT evil.example:443 HTTP/1.1\r\n\r\n",
    b"CONNECT localhost:1 HTTP/1.1\r\n\r\n",
    b"CONNECT localhost.evil.example:PORT HTTP/1.1\r\n\r\n",
    b"CONNECT 2130706433:PORT HTTP/1.1\r\n\r\n",
    b"CONNECT 127.1:PORT HTTP/1.1\r\n\r\n",
    b"CONNECT user@localhost:PORT HTTP/1.1\r\n\r\n",
    b"CONNECT localhost:PORT HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody",
    b"GET https://localhost:PORT/ok/a HTTP/1.1\r\nHost: localhost:PORT\r\n\r\n",
    b"POST / HTTP/1.1\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"SSH-2.0-x\r\n",
)


async def read_all(stream: trio.abc.ReceiveStream) -> bytes:
    """All that still comes."""
    answer = b""
    while data := await stream.receive_some():
        answer += data
    return answer


async def test_requests_behind_each_other_are_each_judged(world: World, server: ApiServer) -> None:
    """The first is answered; the second, in the same piece, is refused."""
    tool = await world.open()
    both = "".join(
        f"GET {path} HTTP/1.1\r\nHost: {tool.authority}\r\n\r\n" for path in ("/ok/1", "/admin")
    )
    answer = await tool.send_raw(both)
    assert [line for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1 200")]
    assert answer.count(b"HTTP/1.1 403 airlock: ") == 1
    assert [seen.target for seen in server.seen] == ["/ok/1"]


@pytest.mark.parametrize("size", [4, 1 << 20])
async def test_what_stands_behind_an_answer_answers_nothing(
    world: World, server: ApiServer, size: int
) -> None:
    """Whether it comes with a short answer or a long one: the next request is asked elsewhere."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
    server.script = lambda talk, _: talk.send(head % size + bytes(size) + head % 4 + b"evil")
    tool = await world.open()
    assert (await tool.ask("GET", "/ok/1"))[2] == bytes(size)
    server.script = lambda talk, _: talk.send(OK)
    assert (await tool.ask("GET", "/ok/2"))[2] == b"ok"
    assert [seen.connection for seen in server.seen] == [1, 2]


async def test_an_upload_goes_on_where_the_agent_has_begun_it(
    tmp_path: Path, variables: dict[str, str], server: ApiServer
) -> None:
    """Another's `upload_id` would send the object there, whatever bucket the path names."""
    api = make_api(server.port, "POST,PUT /upload/**", parameters=("uploadType", "upload_id"))
    begin = "/upload/b/mine/o?uploadType=resumable"
    url = f"https://localhost:{server.port}{begin}&upload_id=AB-c_1"
    answer = f"HTTP/1.1 200 OK\r\nLocation: {url}\r\nContent-Length: 0\r\n\r\n".encode()
    server.script = lambda talk, seen: talk.send(OK if "upload_id" in seen.target else answer)
    async with broker(tmp_path, api, variables=variables) as world:
        tool = await world.open()
        status, headers, _ = await tool.ask("POST", begin)
        sealed = headers["location"].removeprefix(f"https://localhost:{server.port}")
        assert (status, sealed.startswith(f"{begin}&upload_id=AB-c_1.")) == (200, True)
        assert (await tool.ask("PUT", sealed, body=b"text"))[0] == 200
        assert [seen.target for seen in server.seen] == [begin, f"{begin}&upload_id=AB-c_1"]
        evil = "/upload/b/evil/o?"
        for target in (
            *(f"{begin}&upload_id=AB-c_1", f"{begin}&upload_id=AB-c_2.{sealed.rpartition('.')[2]}"),
            *(
                sealed.replace("mine", "evil"),
                f"{begin}&a=b;upload_id=AB-c_1",
                f"{sealed}&uploadId=2",
            ),
            *(f"{evil}upload%5Fid=evil", f"{evil}upload_id="),
        ):
            tool = await world.open()
            status, _, body = await tool.ask("PUT", target, body=b"text")
            assert (status, b"has not begun here" in body) == (403, True), target
    assert len(server.seen) == 2


async def test_another_destination_is_refused_before_tls(world: World, server: ApiServer) -> None:
    """Nobody is asked who has that name, and the API is not reached in another way."""
    for said in OPENINGS:
        count = len(world.told)
        _, stream = await world.connect()
        await stream.send_all(said.replace(b"PORT", str(server.port).encode()))
        await stream.send_eof()
        answer = await read_all(stream)
        assert answer.startswith(b"HTTP/1.1 4"), said
        assert b"airlock: " in answer, said
        assert isinstance(await world.wait_for(Refused, since=count), Refused)
    assert server.connections == 0


async def test_tls_for_another_name_than_that_of_connect_ends(
    world: World, server: ApiServer
) -> None:
    """So that what was granted is what is spoken with."""
    stream, _ = await world.tunnel(f"localhost:{server.port}")
    context = ssl.create_default_context(cafile=str(world.published / "ca.pem"))
    with pytest.raises(trio.BrokenResourceError):
        await TlsStream(stream, context, "evil.example").do_handshake()
    told = await world.wait_for(Refused)
    assert isinstance(told, Refused)
    assert told.reason == "TLS is for another name than CONNECT"
    assert server.connections == 0


async def test_descriptors_that_come_along_go_nowhere(world: World, server: ApiServer) -> None:
    """The worker has no more open files afterwards, and answers."""
    tool = await world.open()
    assert world.process is not None
    ours, theirs = socket.socketpair()
    await world.pass_on(theirs)
    theirs.close()
    with ours:
        reader, writer = os.pipe()
        said = b"CONNECT evil.example:443 HTTP/1.1\r\n\r\n"
        socket.send_fds(ours, [said], [writer])
        os.close(writer)
        # The pipe ends when nobody has its other end.
        assert await trio.to_thread.run_sync(os.read, reader, 1) == b""
        os.close(reader)
    status, _, _ = await tool.ask("GET", "/ok/a")
    assert status == 200


async def test_what_needs_http_2_is_refused_by_name(world: World) -> None:
    """Such as gRPC, which speaks it without being offered it."""
    tool = await world.open()
    answer = await tool.send_raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert b"HTTP/2 is not supported, nor what needs it, such as gRPC" in answer


def echo_in_parts(talk: Talk, seen: Seen) -> None:
    """Repeat the credential, or the part of it that is asked for."""
    said = seen.headers.get("authorization", "").encode()
    status = b"200 OK"
    if "range" in seen.headers:
        status = b"206 Partial Content"
        first, last = map(int, seen.headers["range"].removeprefix("bytes=").split("-"))
        said = said[first : last + 1]
    head = b"HTTP/1.1 %s\r\nAccept-Ranges: bytes\r\nContent-Length: %d\r\n\r\n"
    talk.send(head % (status, len(said)) + said)


async def test_no_part_of_an_answer_can_be_asked_for_where_the_credential_travels(
    world: World, server: ApiServer
) -> None:
    """In parts of it the credential would not be found; the answer does not offer any."""
    server.script = echo_in_parts
    tool = await world.open()
    parts = ("Range", "bytes=0-9"), ("If-Range", '"a"')
    status, headers, body = await tool.ask("GET", "/ok/a", *parts, token=None)
    assert (status, headers["accept-ranges"], body) == (206, "bytes", b"")
    status, _, body = await tool.ask("GET", "/ok/a", *parts)
    assert (status, b"the answer has the credential" in body) == (502, True)
    assert [("range" in each.headers, "if-range" in each.headers) for each in server.seen] == [
        (True, True),
        (False, False),
    ]
    offering = OK.replace(b"\r\n", b"\r\nAccept-Ranges: bytes\r\n", 1)
    server.script = lambda talk, _: talk.send(offering)
    tool = await world.open()
    status, headers, _ = await tool.ask("GET", "/ok/a", *parts)
    assert (status, "accept-ranges" in headers) == (200, False)
    assert headers["airlock-dropped"] == "range, if-range"


async def test_an_api_may_list_range(
    tmp_path: Path, variables: dict[str, str], server: ApiServer
) -> None:
    """Of a service that is known to repeat nothing: large objects are read in parts."""
    server.script = echo_in_parts
    api = make_api(server.port, headers=("range",))
    async with broker(tmp_path, api, variables=variables) as world:
        tool = await world.open()
        status, headers, body = await tool.ask("GET", "/", ("Range", "bytes=0-5"))
        assert (status, headers["accept-ranges"], body) == (206, "bytes", b"Bearer")


@pytest.mark.parametrize("named", [b"Upgrade: tls/1.0\r\n", b"Upgrade: websocket, h2c\r\n", b""])
async def test_a_service_goes_on_with_the_protocol_that_was_asked_for_or_not_at_all(
    tmp_path: Path, variables: dict[str, str], server: ApiServer, named: bytes
) -> None:
    """Only that one is granted."""
    server.script = lambda talk, _: talk.send(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n" + named + b"\r\nhello"
    )
    api = make_api(server.port, upgrade=("GET /socket",))
    async with broker(tmp_path, api, variables=variables) as world:
        tool = await world.open()
        words = (("Connection", "Upgrade"), ("Upgrade", "websocket"))
        status, _, body = await tool.ask("GET", "/socket", *words)
    assert status == 502
    assert b"another protocol than was asked for" in body


class NoTurns:
    """Turns of nobody else."""

    async def take(self) -> None:
        """Wait for nothing."""


DRIPPING = {
    "head": b"GET /ok HTTP/1.1\r\nA: ",
    "body of GraphQL": b"POST /graphql HTTP/1.1\r\nHost: a.example.com\r\n"
    b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n",
}


@pytest.mark.parametrize("beginning", DRIPPING.values(), ids=DRIPPING.keys())
async def test_a_request_that_drips_has_one_deadline(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, beginning: bytes
) -> None:
    """However often something comes of it."""
    authority = Authority("agent", open_key(str(tmp_path / "key")), ("a.example.com",))
    authority.publish(str(tmp_path), ())
    ours, theirs = map(trio.SocketStream, trio.socket.socketpair())
    trusted = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    tool = TlsStream(ours, trusted, "a.example.com")
    client = TlsStream(theirs, authority.context("a.example.com"), None)
    wanted = Destination("a.example.com", 443)
    api = make_api(443, hosts=("a.example.com",), mutations=())
    threads = trio.CapacityLimiter(1)
    told: list[ToDaemon] = []

    async def tell(message: ToDaemon) -> None:
        told.append(message)

    async def ask(question: Question, body: int | None) -> Answer:
        raise AssertionError((question, body))

    hosts = read_network(["a.example.com:443"])
    reach = Reach(variables={}, lookups=threads, setting="hosts")
    conversation = Conversation(
        client,
        Service(api, wanted, Routes(hosts, reach), Authorities({}, threads)),
        Daemon(ask=ask, number=lambda: 1, report=tell),
        NoTurns(),
        ServedApi(
            api=api,
            placeholder=PLACEHOLDER,
            aws=AwsContext(Sessions("agent", bytes(32)), Spool("/nonexistent")),
            judged=trio.Semaphore(1),
            scopes=Scopes(api),
            seal=Seal(bytes(32)),
            fingerprint="",
        ),
        wanted=wanted,
        connection=1,
        opaque=trio.CancelScope(),
    )
    async with ours, theirs, trio.open_nursery() as nursery:
        async with trio.open_nursery() as handshakes:
            handshakes.start_soon(client.do_handshake)
            handshakes.start_soon(tool.do_handshake)
        nursery.start_soon(conversation.run)
        began = trio.current_time()

        async def drip() -> None:
            await tool.send_all(beginning)
            while True:
                await tool.send_all(b"x")
                await trio.sleep(4)

        nursery.start_soon(drip)
        answer = await tool.receive_some()
        assert answer.startswith(b"HTTP/1.1 408 airlock: ")
        assert trio.current_time() - began < 25
        nursery.cancel_scope.cancel()


async def test_requests_that_take_long_hold_up_no_others(
    tmp_path: Path, variables: dict[str, str], server: ApiServer
) -> None:
    """Neither bodies of GraphQL that drip, nor those that the service does not answer."""
    is_over = threading.Event()

    def answer(talk: Talk, seen: Seen) -> None:
        if b"slow" in seen.body:
            is_over.wait(60)
        talk.send(OK)

    server.script = answer
    kind = ("Content-Type", "application/json")
    async with broker(tmp_path, make_api(server.port, mutations=()), variables=variables) as world:
        for _ in range(20):
            tool = await world.open()
            head = f"POST /graphql HTTP/1.1\r\nHost: {tool.authority}\r\n{TOKEN}\r\n"
            head += "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
            await tool.stream.send_all(head.encode())
            tool = await world.open()
            await tool.begin("POST", "/graphql", kind, body=b'{"query": "{slow}"}')
        tool = await world.open()
        status, _, _ = await tool.ask("POST", "/graphql", kind, body=b'{"query": "{viewer}"}')
        assert status == 200
        is_over.set()
