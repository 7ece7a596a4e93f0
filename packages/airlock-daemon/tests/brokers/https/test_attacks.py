"""What a hostile tool says to the HTTPS broker: the service sees none of it."""

import contextlib
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

from airlock_daemon.brokers.egress.destinations import Destination, read_network
from airlock_daemon.brokers.egress.reaching import Ways
from airlock_daemon.brokers.egress.reaching import World as Reach
from airlock_daemon.brokers.http.tls import TlsStream
from airlock_daemon.brokers.https.authority import Authority, open_key
from airlock_daemon.brokers.https.aws import Means, Sessions
from airlock_daemon.brokers.https.conversation import Conversation, Daemon
from airlock_daemon.brokers.https.messages import Answer, Ended, Question, Refused, ToDaemon
from airlock_daemon.brokers.https.scopes import Scopes
from airlock_daemon.brokers.https.service import Authorities, Service
from airlock_daemon.brokers.https.spool import Spool

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


# Each is the head of a request, in which HOST stands for the host; a body may follow.
HEADS = {
    "bare LF": "GET /ok/a HTTP/1.1\nHost: HOST\n\n",
    "bare LF in a header": "GET /ok/a HTTP/1.1\r\nHost: HOST\r\nA: b\nGET: c\r\n\r\n",
    "bare CR": "GET /ok/a HTTP/1.1\r\nHost: HOST\r\nA: b\rC: d\r\n\r\n",
    "folded line": "GET /ok/a HTTP/1.1\r\nHost: HOST\r\nA: b\r\n c\r\n\r\n",
    "blank before the colon": "GET /ok/a HTTP/1.1\r\nHost : HOST\r\n\r\n",
    "NUL": "GET /ok/a HTTP/1.1\r\nHost: HOST\r\nA: \0\r\n\r\n",
    "HTTP/1.0": "GET /ok/a HTTP/1.0\r\nHost: HOST\r\n\r\n",
    "HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no version": "GET /ok/a\r\n\r\n",
    "two blanks": "GET  /ok/a HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "small letters": "get /ok/a HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "absolute form": "GET https://HOST/ok/a HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "another absolute form": "GET https://evil.example/ok/a HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "asterisk": "OPTIONS * HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "CONNECT": "CONNECT HOST HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "TRACE": "TRACE /ok/a HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "no host": "GET /ok/a HTTP/1.1\r\n\r\n",
    "another host": "GET /ok/a HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "two hosts": "GET /ok/a HTTP/1.1\r\nHost: HOST\r\nHost: evil.example\r\n\r\n",
    "another port": "GET /ok/a HTTP/1.1\r\nHost: localhost:1\r\n\r\n",
    "dots": "GET /ok/../admin HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "dots at the end": "GET /ok/.. HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "escaped dots": "GET /ok/%2e%2e/admin HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "escaped slashes": "GET /ok/..%2fadmin HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "twice escaped": "GET /ok/%252e%252e/admin HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "backslash": "GET /ok/..\\admin HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "escaped backslash": "GET /ok/..%5cadmin HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "semicolon": "GET /ok/..;/admin HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "two slashes": "GET //ok/a HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "escaped NUL": "GET /ok/a%00 HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "escaped line end": "GET /ok/a%0d%0aX:%20y HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "broken escape": "GET /ok/%zz HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "fragment": "GET /ok/a#/admin HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "wide dots": "GET /ok/%ef%bc%8e%ef%bc%8e/admin HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "not granted": "GET /admin HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "another method": "DELETE /ok/a HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "denied": "GET /ok/secrets/1 HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "denied itself": "GET /ok/secrets HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "denied, escaped": "GET /ok/%73ecrets/1 HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "method override": "POST /ok/a HTTP/1.1\r\nHost: HOST\r\nX-HTTP-Method-Override: PUT\r\n\r\n",
    "method by the query": "POST /ok/a?_method=DELETE HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "path override": "GET /ok/a HTTP/1.1\r\nHost: HOST\r\nX-Original-URL: /admin\r\n\r\n",
    "forwarded": "GET /ok/a HTTP/1.1\r\nHost: HOST\r\nX-Forwarded-Host: evil\r\n\r\n",
    "another person": "GET /ok/a HTTP/1.1\r\nHost: HOST\r\nImpersonate-User: root\r\n\r\n",
    "hop named": "GET /ok/a HTTP/1.1\r\nHost: HOST\r\nConnection: authorization\r\n\r\n",
    "length and chunks": "POST /ok/a HTTP/1.1\r\nHost: HOST\r\nContent-Length: 4\r\n"
    "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /admin HTTP/1.1\r\nHost: HOST\r\n\r\n",
    "two lengths": f"POST /ok/a HTTP/1.1\r\nHost: HOST\r\n{LENGTH}\r\nContent-Length: 5\r\n\r\n",
    "one length twice": f"POST /ok/a HTTP/1.1\r\nHost: HOST\r\n{LENGTH}\r\n{LENGTH}\r\n\r\nbody",
    "a list of lengths": "POST /ok/a HTTP/1.1\r\nHost: HOST\r\nContent-Length: 4, 4\r\n\r\nbody",
    "length with a sign": "POST /ok/a HTTP/1.1\r\nHost: HOST\r\nContent-Length: +4\r\n\r\nbody",
    "gzip, chunked": "POST /ok/a HTTP/1.1\r\nHost: HOST\r\n"
    "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "odd chunked": "POST /ok/a HTTP/1.1\r\nHost: HOST\r\n"
    "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "trailer announced": "POST /ok/a HTTP/1.1\r\nHost: HOST\r\n"
    "Trailer: X-Auth\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Auth: 1\r\n\r\n",
    "h2c": "GET /ok/a HTTP/1.1\r\nHost: HOST\r\nConnection: Upgrade, HTTP2-Settings\r\n"
    "Upgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n",
    "upgrade": "GET /ok/a HTTP/1.1\r\nHost: HOST\r\nConnection: Upgrade\r\n"
    "Upgrade: websocket\r\n\r\n",
    "odd upgrade": "GET /ok/a HTTP/1.1\r\nHost: HOST\r\nConnection: Upgrade\r\n"
    "Upgrade: TLS/1.2\r\n\r\n",
    "expectation": "POST /ok/a HTTP/1.1\r\nHost: HOST\r\nExpect: 200-ok\r\n\r\n",
    "own credential": "GET /ok/a HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer mine\r\n\r\n",
    "two credentials": f"GET /ok/a HTTP/1.1\r\nHost: HOST\r\n{TOKEN}\r\n{TOKEN}\r\n\r\n",
    "another scheme": f"GET /ok/a HTTP/1.1\r\nHost: HOST\r\nAuthorization: Basic {PLACEHOLDER}"
    "\r\n\r\n",
    "a second carrier": f"GET /ok/a HTTP/1.1\r\nHost: HOST\r\n{TOKEN}\r\nX-Api-Key: mine\r\n\r\n",
    "cookie": f"GET /ok/a HTTP/1.1\r\nHost: HOST\r\n{TOKEN}\r\nCookie: session=mine\r\n\r\n",
    "by the query": f"GET /ok/a?access_token=mine HTTP/1.1\r\nHost: HOST\r\n{TOKEN}\r\n\r\n",
    "many headers": "GET /ok/a HTTP/1.1\r\nHost: HOST\r\n"
    + "".join(f"X-{number}: 1\r\n" for number in range(101))
    + "\r\n",
    "long head": "GET /ok/a HTTP/1.1\r\nHost: HOST\r\nA: " + "x" * (1 << 16) + "\r\n\r\n",
    "long path": "GET /ok/" + "a" * (17 << 10) + " HTTP/1.1\r\nHost: HOST\r\n\r\n",
}

# Each is a body in chunks, which the service may have begun to read.
BODIES = {
    "trailers": b"4\r\nbody\r\n0\r\nX-Auth: 1\r\n\r\n",
    "bare LF behind a size": b"4\nbody\r\n0\r\n\r\n",
    "no number": b"zz\r\nbody\r\n0\r\n\r\n",
    "negative": b"-4\r\nbody\r\n0\r\n\r\n",
    "more than its size": b"4\r\nbodybody\r\n0\r\n\r\n",
    "a huge size": b"ffffffffffffffffffffffff\r\nbody",
}


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


async def test_a_head_with_two_readings_or_no_grant_is_refused(
    world: World, server: ApiServer
) -> None:
    """Whatever follows is not read as a request either."""
    for attack, head in HEADS.items():
        tool = await world.open()
        follower = f"GET /ok/follower HTTP/1.1\r\nHost: {tool.authority}\r\n\r\n"
        said = head.replace("HOST", tool.authority) + follower
        with contextlib.suppress(trio.BrokenResourceError):
            await tool.stream.send_all(said.encode("latin-1"))
        answer = await read_all(tool.stream)
        assert answer.startswith(b"HTTP/1.1 4"), attack
        assert b"airlock: " in answer, attack
        assert answer.count(b"HTTP/1.1 ") == 1, attack
        assert not server.seen, attack


async def test_a_body_with_two_readings_does_not_end_as_a_request(
    world: World, server: ApiServer
) -> None:
    """The service gets no end of it, and nothing behind it."""
    for attack, body in BODIES.items():
        tool = await world.open()
        head = f"POST /ok/a HTTP/1.1\r\nHost: {tool.authority}\r\n"
        head += "Transfer-Encoding: chunked\r\n\r\n"
        follower = f"GET /ok/follower HTTP/1.1\r\nHost: {tool.authority}\r\n\r\n"
        count = len(world.told)
        await tool.stream.send_all(head.encode() + body + follower.encode())
        answer = await read_all(tool.stream)
        assert answer.startswith(b"HTTP/1.1 400 "), attack
        await tool.stream.aclose()
        await world.wait_for(Ended, since=count)
        assert not server.seen, attack


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

    async def ask(question: Question) -> Answer:
        raise AssertionError(question)

    hosts = read_network(["a.example.com:443"])
    reach = Reach(variables={}, lookups=threads, setting="hosts")
    conversation = Conversation(
        client,
        Service(api, wanted, Ways(hosts, reach), Authorities({}, threads)),
        Daemon(ask=ask, number=lambda: 1, tell=tell),
        NoTurns(),
        api=api,
        placeholder=PLACEHOLDER,
        aws=Means(Sessions("agent", bytes(32)), Spool("/nonexistent")),
        wanted=wanted,
        connection=1,
        opaque=trio.CancelScope(),
        judged=trio.Semaphore(1),
        scopes=Scopes(api),
        fingerprint="",
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
