"""Requests to an API through the HTTPS broker: real processes, and a real service behind TLS."""

import base64
import hashlib
import json
import os
import socket
import ssl
import struct
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import broker_fixtures
import h11
import pytest
import trio
from api_server import OK, ApiServer, Certificates, Seen, Talk, proxying, serving
from broker_world import SECRET, Tool, World, broker, make_api

from airlock_daemon.boundary.brokers.egress.destinations import Destination, Routes
from airlock_daemon.boundary.brokers.https.messages import (
    Answer,
    Ended,
    Finished,
    Question,
    Refusal,
    Refused,
    Spent,
)
from airlock_daemon.boundary.brokers.https.service import Authorities, Service
from airlock_modules.apis import Credential, Source

certificates = broker_fixtures.certificates
server = broker_fixtures.server
variables = broker_fixtures.variables

MUCH = 24 << 20
GROWTH = 8 << 20


@pytest.fixture
async def world(
    tmp_path: Path, variables: dict[str, str], server: ApiServer
) -> AsyncIterator[World]:
    """A broker that grants everything of it but some paths."""
    api = make_api(
        server.port,
        deny=("* /secrets/**",),
        upgrade=("GET,POST /socket",),
        mutations=("createIssue",),
    )
    async with broker(tmp_path, api, variables=variables) as world:
        yield world


async def finished(world: World, *, since: int = 0) -> Finished:
    """The next report of a request."""
    told = await world.wait_for(Finished, since=since)
    assert isinstance(told, Finished)
    return told


async def test_the_placeholder_becomes_the_credential(world: World, server: ApiServer) -> None:
    """The service sees the credential and what was judged, the tool an answer without it."""
    tool = await world.open()
    status, _, body = await tool.ask("GET", "/repos/a/%62?page=2", ("X-Request-Id", "1"))
    assert (status, body) == (200, b"ok")
    [seen] = server.seen
    assert (seen.method, seen.target) == ("GET", "/repos/a/b?page=2")
    assert seen.headers == {
        "host": f"localhost:{server.port}",
        "x-request-id": "1",
        "authorization": f"Bearer {SECRET}",
        "accept-encoding": "identity",
    }
    told = await finished(world)
    assert (told.status, told.received, told.fault) == (200, 2, None)


async def test_a_refusal_of_the_daemon_is_said_as_the_service_would(
    world: World, server: ApiServer
) -> None:
    """The first line and the body have it, and the service is asked nothing."""
    tool = await world.open()
    status, headers, body = await tool.ask("GET", "/secrets/1")
    assert status == 403
    assert headers["reason"].startswith("airlock: gh GET /secrets/1 is refused")
    said = json.loads(body)
    assert said["message"].startswith("airlock: ")
    assert said["error"] == {"type": "permission_error", "message": said["message"]}
    assert not server.seen
    assert not world.find(Finished)


async def test_a_request_without_the_placeholder_gets_no_credential(
    world: World, server: ApiServer
) -> None:
    """It passes as it is: who needs none is given none."""
    tool = await world.open()
    await tool.ask("GET", "/public", token=None)
    [seen] = server.seen
    assert "authorization" not in seen.headers
    [question] = world.find(Question)
    assert isinstance(question, Question)
    assert not question.needs_secret


async def test_another_credential_does_not_pass(world: World, server: ApiServer) -> None:
    """With a key of its own a tool could send what it knows to its own account."""
    tool = await world.open()
    status, _, body = await tool.ask("GET", "/", token="ghp_" + "x" * 36)
    assert status == 403
    assert b"is not the placeholder of this agent" in body
    assert not server.seen
    assert not world.find(Question)
    told = await world.wait_for(Refused)
    assert isinstance(told, Refused)
    assert told.rule == "credential"


async def test_headers_that_are_not_listed_are_dropped_and_named(
    tmp_path: Path, variables: dict[str, str], server: ApiServer
) -> None:
    """A service may take a credential in a header of any name."""
    api = make_api(server.port, headers=("x-listed", "x-tool-*"))
    async with broker(tmp_path, api, variables=variables) as world:
        tool = await world.open()
        said = (
            ("X-Listed", "1"),
            ("X-Tool-Version", "2"),
            ("X-Tool_A", "3"),
            ("X-Nonce", "sk-mine"),
        )
        status, headers, _ = await tool.ask("GET", "/", *said)
        told = await finished(world)
        status, clean, _ = await tool.ask("GET", "/", *said[:2])
    assert status == 200
    [seen, _] = server.seen
    assert {name for name in seen.headers if name.startswith("x-")} == {
        "x-listed",
        "x-tool-version",
    }
    assert told.dropped == ("x-tool_a", "x-nonce")
    assert headers["airlock-dropped"] == "x-tool_a, x-nonce"
    assert "airlock-dropped" not in clean


async def test_requests_of_a_connection_share_one_to_the_service(
    world: World, server: ApiServer
) -> None:
    """Each is judged and answered by itself, a long answer too."""
    long = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 20) + bytes(1 << 20)
    server.script = lambda talk, seen: talk.send(long if seen.target == "/1" else OK)
    tool = await world.open()
    for number in range(3):
        _, _, body = await tool.ask("GET", f"/{number}")
        assert body == (bytes(1 << 20) if number == 1 else b"ok")
    assert [(each.target, each.connection) for each in server.seen] == [
        ("/0", 1),
        ("/1", 1),
        ("/2", 1),
    ]


async def test_a_body_that_the_service_leaves_unread_becomes_no_request(
    world: World, server: ApiServer
) -> None:
    """It would take it for the next one, with the credential of the one behind."""

    def leave(talk: Talk, headers: dict[str, str]) -> bool:
        if "content-length" in headers:
            assert headers["connection"] == "close"
            talk.send(OK)
        return "content-length" not in headers

    server.before = leave
    tool = await world.open()
    await tool.ask("POST", "/", body=b"DELETE /secrets HTTP/1.1\r\nX-Request-Id: ")
    await tool.ask("GET", "/next")
    assert [(each.method, each.target) for each in server.seen] == [("GET", "/next")]


async def test_the_first_request_with_a_body_is_the_last_of_its_connection(
    world: World, server: ApiServer
) -> None:
    """Also in chunks, long, and where the daemon has read it; not that of the tool."""
    tool = await world.open()
    chunked, typed = ("Transfer-Encoding", "chunked"), ("Content-Type", "application/json")
    await tool.ask("GET", "/0")
    await tool.ask("PUT", "/1", body=bytes(1 << 20))
    await tool.ask("PUT", "/2", chunked)
    await tool.ask("POST", "/graphql", typed, body=b'{"query": "{viewer {login}}"}')
    await tool.ask("POST", "/4")
    await tool.ask("DELETE", "/5", body=b"{}")
    await tool.ask("GET", "/6")
    assert [each.connection for each in server.seen] == [1, 1, 2, 3, 4, 4, 5]


async def test_a_tool_that_pauses_finds_the_next_connection_open(
    world: World, server: ApiServer
) -> None:
    """Its next request waits for no handshake."""
    tool = await world.open()
    for number in range(1, 3):
        await tool.ask("POST", "/", body=b"{}")
        assert server.seen[-1].connection == number
        with trio.fail_after(10):
            while server.connections == number:  # noqa: ASYNC110 - it tells nobody
                await trio.sleep(0.01)
    await tool.ask("GET", "/")
    await trio.sleep(0.1)
    assert server.connections == server.seen[-1].connection == 3


async def test_a_connection_that_was_idle_for_long_takes_nothing_that_must_not_be_repeated(
    variables: dict[str, str], server: ApiServer
) -> None:
    """The service may be about to close it."""

    class Direct(Routes):
        async def open(self, wanted: Destination) -> tuple[trio.SocketStream, bytes]:
            return await trio.open_tcp_stream("127.0.0.1", wanted.port), b""

    wanted = Destination(host="localhost", port=server.port)
    authorities = Authorities(variables, trio.CapacityLimiter(1))
    service = Service(make_api(server.port), wanted, Direct.__new__(Direct), authorities)
    assert not await service.prepare()
    assert await service.prepare(max_idle_s=0)
    await service.connect_ahead()
    await trio.sleep(0.01)
    assert await service.prepare(max_idle_s=60)
    await service.connect_ahead()
    await trio.sleep(0.01)
    assert not await service.prepare(max_idle_s=0)
    await service.close()


async def test_a_kept_connection_that_the_service_closed_is_replaced(
    world: World, server: ApiServer
) -> None:
    """A service may close what is idle; the tool's next request finds a new one."""

    def answer_once(talk: Talk, _: Seen) -> None:
        talk.send(OK)
        talk.connection.unwrap().close()

    server.script = answer_once
    tool = await world.open()
    for _ in range(3):
        status, _, _ = await tool.ask("GET", "/")
        assert status == 200
    assert [each.connection for each in server.seen] == [1, 2, 3]


async def test_bodies_stream_both_ways_in_bounded_memory(world: World, server: ApiServer) -> None:
    """What is sent arrives, with a length and in chunks, and the worker does not grow with it."""
    block = bytes(range(256)) * 256
    server.keeps_bodies = False

    def send_much(talk: Talk, seen: Seen) -> None:
        talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % MUCH)
        for _ in range(MUCH // len(block)):
            talk.send(block)

    server.script = send_much
    tool = await world.open()
    await tool.ask("GET", "/small")
    before = read_memory(world)
    for framing in (("Content-Length", str(MUCH)), ("Transfer-Encoding", "chunked")):
        head = [("Host", tool.authority), framing]
        await tool.stream.send_all(
            tool.talk.send(h11.Request(method="PUT", target="/much", headers=head)) or b""
        )
        for _ in range(MUCH // len(block)):
            await tool.stream.send_all(tool.talk.send(h11.Data(data=block)) or b"")
        await tool.stream.send_all(tool.talk.send(h11.EndOfMessage()) or b"")
        status, _, body = await tool.read_answer()
        assert status == 200
        assert (
            hashlib.sha256(body).digest() == hashlib.sha256(block * (MUCH // len(block))).digest()
        )
        assert server.seen[-1].body == str(MUCH).encode()
    assert read_memory(world) - before < GROWTH


def read_memory(world: World) -> int:
    """The most memory that the worker has had, in bytes."""
    status = Path(f"/proc/{world.worker}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


async def test_each_event_of_a_stream_arrives_before_the_next_is_sent(
    world: World, server: ApiServer
) -> None:
    """Nothing is held back until there is more: so do models answer, and logs."""
    arrived = threading.Event()

    def send_events(talk: Talk, seen: Seen) -> None:
        talk.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n")
        talk.send(b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            talk.send(b"10\r\ndata: {'n': 1}\n\n\r\n")
            assert arrived.wait(20)
            arrived.clear()
        talk.send(b"0\r\n\r\n")

    server.script = send_events
    tool = await world.open()
    await tool.begin("POST", "/v1/messages", body=b"{}")
    got = 0
    while got < 3:
        event = tool.talk.next_event()
        if event is h11.NEED_DATA:
            tool.talk.receive_data(bytes(await tool.stream.receive_some()))
        elif isinstance(event, h11.Data):
            assert bytes(event.data) == b"data: {'n': 1}\n\n"
            got += 1
            arrived.set()


@pytest.mark.parametrize("spelling", ["plain", "dripping", "base64", "header"])
async def test_an_answer_with_the_credential_does_not_pass(
    world: World, server: ApiServer, spelling: str
) -> None:
    """A service that repeats what it was sent would hand it to the tool."""
    sent = []

    def repeat(talk: Talk, seen: Seen) -> None:
        value = seen.headers["authorization"].encode()
        if spelling == "base64":
            value = base64.b64encode(value)
        sent.append(value)
        if spelling == "header":
            talk.send(b"HTTP/1.1 200 OK\r\nX-Seen: %s\r\nContent-Length: 2\r\n\r\nok" % value)
            return
        talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(value))
        step = 1 if spelling == "dripping" else len(value)
        for at in range(0, len(value), step):
            talk.send(value[at : at + step])

    server.script = repeat
    tool = await world.open()
    await tool.begin("GET", "/echo")
    answer = b""
    while data := await tool.stream.receive_some():
        answer += data
    whole = base64.b64decode(sent[0]) if spelling == "base64" else sent[0]
    assert whole == f"Bearer {SECRET}".encode()
    # So much of it may be the beginning of something else.
    assert sent[0][len("Bearer ") : len("Bearer ") + 4] not in answer
    told = await finished(world)
    assert told.fault is not None
    assert "credential" in told.fault


async def test_an_answer_that_is_cut_ends_in_order(world: World, server: ApiServer) -> None:
    """A tool that is told nothing takes it for a fault of TLS."""
    arrived = threading.Event()

    def repeat(talk: Talk, seen: Seen) -> None:
        value = seen.headers["authorization"].encode()
        talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(value))
        arrived.wait()
        talk.send(value)

    server.script = repeat
    tool = await world.open()
    await tool.begin("GET", "/echo")
    assert (await tool.stream.receive_some()).startswith(b"HTTP/1.1 200")
    arrived.set()
    while await tool.stream.receive_some():
        pass
    told = await finished(world)
    assert (told.fault or "").endswith("and was cut there")
    # The end was said, and not only come.
    assert not tool.stream._incoming.eof


async def test_a_compressed_answer_does_not_pass(world: World, server: ApiServer) -> None:
    """It could not be searched for the credential."""
    server.script = lambda talk, _: talk.send(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nxx"
    )
    tool = await world.open()
    status, _, body = await tool.ask("GET", "/")
    assert status == 502
    assert b"it is compressed, which was not asked for" in body


async def test_a_401_tells_that_the_credential_is_spent(world: World, server: ApiServer) -> None:
    """The answer is the service's own; the next request gets another credential."""
    server.script = lambda talk, _: talk.send(
        b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 3\r\n\r\nbad"
    )
    tool = await world.open()
    status, _, body = await tool.ask("GET", "/user")
    assert (status, body) == (401, b"bad")
    told = await world.wait_for(Spent)
    assert told == Spent(api="gh", version=7)


async def test_an_answer_for_a_token_that_reaches_more_than_is_granted_does_not_pass(
    tmp_path: Path, variables: dict[str, str], server: ApiServer
) -> None:
    """Its scopes stand in each answer; who wants it so writes `wide = true`."""

    def answer(talk: Talk, seen: Seen) -> None:
        scopes = b"" if seen.target == "/rate_limit" else b"X-OAuth-Scopes: repo\r\n"
        talk.send(b"HTTP/1.1 200 OK\r\n" + scopes + b"Content-Length: 6\r\n\r\nothers")

    server.script = answer
    narrow = make_api(server.port, repositories=("acme/app",))
    wide = make_api(server.port, repositories=("acme/app",), wide=True)
    for api, expected in ((narrow, 403), (wide, 200)):
        async with broker(tmp_path, api, variables=variables) as world:
            tool = await world.open()
            status, _, body = await tool.ask("GET", "/repos/acme/app")
            assert (status, b"others" in body) == (expected, expected == 200)
    # The service saw each once: what is known to reach too far is not sent again.
    server.seen.clear()
    async with broker(tmp_path, narrow, variables=variables) as world:
        for _ in range(3):
            tool = await world.open()
            assert (await tool.ask("GET", "/repos/acme/app"))[0] == 403
        assert [seen.target for seen in server.seen] == ["/rate_limit", "/repos/acme/app"]
        tool = await world.open()
        assert (await tool.ask("GET", "/public", token=None))[0] == 403


async def test_a_token_that_reaches_too_far_carries_out_nothing(
    tmp_path: Path, variables: dict[str, str], server: ApiServer
) -> None:
    """The worker asks for its scopes before the first request, and all others wait for that."""
    is_all_asked = threading.Event()

    def answer(talk: Talk, seen: Seen) -> None:
        assert is_all_asked.wait(30)
        talk.send(b"HTTP/1.1 200 OK\r\nX-OAuth-Scopes: repo\r\nContent-Length: 0\r\n\r\n")

    server.script = answer
    api = make_api(server.port, repositories=("acme/app",), mutations=("addComment",))
    body = json.dumps({"query": 'mutation {addComment(input: {subjectId: "x"}) {id}}'}).encode()
    statuses: list[int] = []
    async with broker(tmp_path, api, variables=variables) as world:
        tools = [await world.open() for _ in range(25)]

        async def comment(tool: Tool) -> None:
            await tool.begin("POST", "/graphql", ("Content-Type", "application/json"), body=body)
            status, _, said = await tool.read_answer()
            assert b"reaches more than the repositories" in said
            statuses.append(status)

        async with trio.open_nursery() as nursery:
            for tool in tools:
                nursery.start_soon(comment, tool)
            async with world.news:
                while len(world.find(Question)) < len(tools):
                    await world.news.wait()
            is_all_asked.set()
    assert statuses == [403] * len(tools)
    [seen] = server.seen
    assert (seen.method, seen.target, seen.body) == ("GET", "/rate_limit", b"")
    assert seen.headers["authorization"] == f"Bearer {SECRET}"


async def test_what_waits_for_a_person_holds_up_no_other(world: World) -> None:
    """However many mutations wait, each is judged, and queries after them too."""
    world.answers = False
    kind = ("Content-Type", "application/json")
    asked = json.dumps({"query": 'mutation {createIssue(input: {title: "x"}) {id}}'}).encode()
    tools = [await world.open() for _ in range(20)]
    for tool in tools:
        await tool.begin("POST", "/graphql", kind, body=asked)
    waiting = since = 0
    while waiting < len(tools):
        question = await world.wait_for(Question, since=since)
        assert isinstance(question, Question)
        since = world.told.index(question) + 1
        if question.content is None:
            await world.give(Answer(question=question.question, wants_content=True))
        else:
            waiting += 1
    world.answers = True
    tool = await world.open()
    status, _, _ = await tool.ask("POST", "/graphql", kind, body=b'{"query": "{viewer {login}}"}')
    assert status == 200


async def test_a_token_is_used_once_its_scopes_are_known(
    tmp_path: Path, variables: dict[str, str], server: ApiServer
) -> None:
    """What tells nothing of them refuses one request; the next asks again."""
    api = make_api(server.port, repositories=("acme/app",))
    probes = iter(
        (
            b"",
            b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
            OK,
        )
    )

    def answer(talk: Talk, seen: Seen) -> None:
        said = next(probes) if seen.target == "/rate_limit" else OK
        if said:
            talk.send(said)
        else:
            talk.connection.close()

    server.script = answer
    expected = (
        (502, b"how far the token of gh reaches is not known"),
        (502, b"the service answered 503"),
        (401, b"the service does not take the token of gh"),
        (200, b"ok"),
        (200, b"ok"),
    )
    async with broker(tmp_path, api, variables=variables) as world:
        for wanted, reason in expected:
            tool = await world.open()
            status, _, said = await tool.ask("POST", "/repos/acme/app/issues", body=b"{}")
            assert (status, reason in said) == (wanted, True), said
        assert world.find(Spent) == [Spent(api="gh", version=7)]
    assert [seen.method for seen in server.seen] == ["GET"] * 4 + ["POST"] * 2


async def test_headers_that_would_lead_around_the_broker_are_dropped(
    world: World, server: ApiServer
) -> None:
    """Cookies are credentials; the others offer the tool another way."""
    server.script = lambda talk, _: talk.send(
        b'HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nAlt-Svc: h3=":443"\r\nX-Rate: 1\r\n'
        b"Strict-Transport-Security: max-age=1\r\nConnection: keep-alive, x-hop\r\nX-Hop: 1\r\n"
        b"Keep-Alive: timeout=5\r\nLocation: https://b.example/\r\nContent-Length: 0\r\n\r\n"
    )
    tool = await world.open()
    _, headers, _ = await tool.ask("GET", "/")
    assert headers == {
        "x-rate": "1",
        "location": "https://b.example/",
        "content-length": "0",
        "reason": "OK",
    }


async def test_a_service_that_wants_no_body_is_asked_first(world: World, server: ApiServer) -> None:
    """`Expect: 100-continue` goes to the service, and what it says comes back."""

    def decide(talk: Talk, headers: dict[str, str]) -> bool:
        assert headers["expect"] == "100-continue"
        if headers["x-request-id"] == "yes":
            talk.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            return True
        talk.send(b"HTTP/1.1 413 Too much\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        return False

    server.before = decide
    for wanted, first in (("yes", 100), ("no", 413)):
        tool = await world.open()
        head = f"PUT /up HTTP/1.1\r\nHost: {tool.authority}\r\nContent-Length: 4\r\n"
        head += f"X-Request-Id: {wanted}\r\nExpect: 100-continue\r\n\r\n"
        await tool.stream.send_all(head.encode())
        assert int((await tool.stream.receive_some()).split(b" ")[1]) == first
        if first == 100:
            await tool.stream.send_all(b"body")
            assert (await tool.stream.receive_some()).startswith(b"HTTP/1.1 200 ")
    assert [each.body for each in server.seen] == [b"body"]


async def test_an_answer_before_the_end_of_the_body_reaches_the_tool(
    world: World, server: ApiServer
) -> None:
    """Then no more of the body is read, and both connections end."""

    def refuse(talk: Talk, _: dict[str, str]) -> bool:
        talk.send(b"HTTP/1.1 413 Too much\r\nContent-Length: 3\r\n\r\nbig")
        return False

    server.before = refuse
    tool = await world.open()
    head = f"PUT /up HTTP/1.1\r\nHost: {tool.authority}\r\nContent-Length: {MUCH}\r\n\r\n"
    await tool.stream.send_all(head.encode() + bytes(1000))
    answer = b""
    while data := await tool.stream.receive_some():
        answer += data
    assert answer.startswith(b"HTTP/1.1 413 Too much\r\n")
    assert b"connection: close" in answer.lower()
    assert answer.endswith(b"\r\n\r\nbig")


async def test_both_sides_may_talk_at_once(world: World, server: ApiServer) -> None:
    """The head of a request does not wait for its body, nor the answer for either's end."""

    def echo(talk: Talk, headers: dict[str, str]) -> bool:
        talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
        for piece in talk.read_body(headers):
            talk.send(piece.upper())
        return False

    server.before = echo
    tool = await world.open()
    head = f"POST /talk HTTP/1.1\r\nHost: {tool.authority}\r\nTransfer-Encoding: chunked\r\n\r\n"
    await tool.stream.send_all(head.encode())
    assert (await tool.stream.receive_some()).startswith(b"HTTP/1.1 200 OK\r\n")
    for word in (b"one", b"two"):
        await tool.stream.send_all(b"3\r\n%s\r\n" % word)
        assert await tool.stream.receive_some() == word.upper()
    await tool.stream.send_all(b"0\r\n\r\n")


async def test_a_tool_that_goes_ends_its_request(world: World, server: ApiServer) -> None:
    """The service sees that, as it would without a broker."""
    is_asked, is_over = threading.Event(), threading.Event()

    def wait_for_end(talk: Talk, _: Seen) -> None:
        is_asked.set()
        if not talk.read():
            is_over.set()

    server.script = wait_for_end
    tool = await world.open()
    await tool.begin("GET", "/slow")
    assert await trio.to_thread.run_sync(is_asked.wait, 20)
    await tool.stream.aclose()
    assert await trio.to_thread.run_sync(is_over.wait, 20)
    told = await finished(world)
    assert (told.status, told.fault) == (0, "the tool has gone")
    await world.wait_for(Ended)


async def test_a_tool_that_goes_within_a_body_ends_its_request(
    world: World, server: ApiServer
) -> None:
    """Also where its connection is reset, so that nobody waits for the other."""
    for way in ("closed", "reset"):
        count = len(world.told)
        async with trio.open_nursery() as nursery:
            port = await world.listen(nursery)
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            tool = await world.secure(stream)
            head = f"PUT /up HTTP/1.1\r\nHost: {tool.authority}\r\nContent-Length: {MUCH}\r\n\r\n"
            await tool.stream.send_all(head.encode() + bytes(1000))
            await world.wait_for(Question, since=count)
            if way == "reset":
                linger = struct.pack("ii", 1, 0)
                stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            await stream.aclose()
            told = await finished(world, since=count)
            assert told.fault is not None
            await world.wait_for(Ended, since=count)
            nursery.cancel_scope.cancel()
    assert not server.seen


async def test_a_service_that_goes_is_told_from_an_end(world: World, server: ApiServer) -> None:
    """Before its answer the tool gets a refusal; within it the connection ends early."""
    server.script = lambda talk, _: talk.connection.close()
    tool = await world.open()
    status, _, body = await tool.ask("POST", "/", body=b"x")
    assert status == 502
    assert b"closed the connection without an answer" in body

    for length in (100, MUCH):

        def cut(talk: Talk, _: Seen, length: int = length) -> None:
            talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\nhalf" % length)
            talk.connection.close()

        server.script = cut
        tool = await world.open()
        count = len(world.told)
        await tool.begin("GET", "/")
        with pytest.raises(h11.RemoteProtocolError):
            await tool.read_answer()
        told = await finished(world, since=count)
        assert told.fault is not None
        assert "cut off" in told.fault


async def test_the_body_of_graphql_is_judged(world: World, server: ApiServer) -> None:
    """It is read first, and sent as it was read."""
    tool = await world.open()
    kind = ("Content-Type", "application/json")
    allowed = json.dumps({"query": "mutation { createIssue(input: {}) { id } }"}).encode()
    status, _, _ = await tool.ask("POST", "/graphql", kind, body=allowed)
    assert status == 200
    assert server.seen[0].body == allowed
    refused = json.dumps({"query": "mutation { deleteRepository(input: {}) { id } }"}).encode()
    status, _, body = await tool.ask("POST", "/graphql", kind, body=refused)
    assert status == 403
    assert b"deleteRepository" in body
    assert len(server.seen) == 1


async def test_an_upgrade_that_is_granted_is_a_stream(world: World, server: ApiServer) -> None:
    """What is said behind it goes both ways as it is; elsewhere it is refused."""
    words = (("Connection", "Upgrade"), ("Upgrade", "websocket"))

    def echo(talk: Talk, seen: Seen) -> None:
        assert (seen.headers["connection"], seen.headers["upgrade"]) == ("Upgrade", "websocket")
        talk.send(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Accept: x\r\n\r\nhello "
        )
        while data := talk.read():
            talk.send(data.upper())

    server.script = echo
    tool = await world.open()
    await tool.begin("GET", "/socket", *words)
    answer = b""
    while not answer.endswith(b"hello "):
        answer += await tool.stream.receive_some()
    assert answer.startswith(b"HTTP/1.1 101 ")
    assert b"sec-websocket-accept: x" in answer.lower()
    for word in (b"one", b"two"):
        await tool.stream.send_all(word)
        assert await tool.stream.receive_some() == word.upper()
    assert not world.find(Finished)
    await trio.aclose_forcefully(tool.stream)
    told = await finished(world)
    assert (told.status, told.sent, told.received) == (101, 6, 12)
    other = await world.open()
    status, _, body = await other.ask("GET", "/other", *words)
    assert status == 403
    assert b"upgrade" in body


async def test_spdy_is_one_of_the_streams(world: World, server: ApiServer) -> None:
    """As kubectl asks for it where a cluster knows no WebSocket: by a POST without a body."""

    def switch(talk: Talk, seen: Seen) -> None:
        assert (seen.method, seen.headers["upgrade"]) == ("POST", "SPDY/3.1")
        talk.send(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n"
        )
        talk.send(talk.read().upper())

    server.script = switch
    words = (("Connection", "Upgrade"), ("Upgrade", "SPDY/3.1"), ("Content-Length", "0"))
    tool = await world.open()
    await tool.begin("POST", "/socket", *words)
    answer = await tool.stream.receive_some()
    assert answer.startswith(b"HTTP/1.1 101 ")
    await tool.stream.send_all(b"frame")
    assert await tool.stream.receive_some() == b"FRAME"
    other = await world.open()
    status, _, body = await other.ask("POST", "/socket", *words[:2], body=b"x")
    assert (status, b"an upgrade with a body" in body) == (400, True)


async def test_a_body_of_a_get_is_refused_with_what_to_send_instead(world: World) -> None:
    """Nothing is wrong with its HTTP."""
    status, _, body = await (await world.open()).ask("GET", "/", body=b"x")
    assert (status, b"send it as POST, or without a body" in body) == (400, True)


async def test_a_certificate_is_presented_for_the_requests_that_need_it(
    tmp_path: Path, variables: dict[str, str], certificates: Certificates
) -> None:
    """In TLS, in the place of the placeholder; another one needs another connection."""
    pairs = [certificates.issue(name).read_text() for name in ("one.test", "two.test")]
    with serving(certificates.issue("localhost"), certificates.file) as server:
        async with broker(tmp_path, make_api(server.port), variables=variables) as world:
            world.secret = ""
            tool = await world.open()
            for certificate in (pairs[0], pairs[0], pairs[1], ""):
                world.certificate = certificate
                assert (await tool.ask("GET", "/"))[0] == 200
            files = Path(f"/proc/{world.worker}/fd").iterdir()
            assert not [each for each in files if "memfd" in os.readlink(each)]
    assert [each.connection for each in server.seen] == [1, 1, 2, 3]
    presented = [each.client for each in server.seen]
    expected = [
        ssl.PEM_cert_to_DER_cert(each[: each.index("-----BEGIN PRIVATE")]) for each in pairs
    ]
    assert presented == [expected[0], expected[0], expected[1], None]
    assert all("authorization" not in each.headers for each in server.seen)


async def test_a_certificate_with_another_key_is_told(
    tmp_path: Path, variables: dict[str, str], server: ApiServer, certificates: Certificates
) -> None:
    """Nothing is sent, and nothing of it shown."""
    one, two = (certificates.issue(name).read_text() for name in ("one.test", "two.test"))
    async with broker(tmp_path, make_api(server.port), variables=variables) as world:
        world.certificate = (
            one[: one.index("-----BEGIN PRIVATE")] + two[two.index("-----BEGIN PRIVATE") :]
        )
        status, _, body = await (await world.open()).ask("GET", "/")
    assert (status, b"do not belong together" in body) == (502, True)
    assert not server.seen


async def test_authorities_may_be_given_in_pem(
    tmp_path: Path, server: ApiServer, certificates: Certificates
) -> None:
    """As those of a kubeconfig are."""
    api = make_api(server.port, ca=certificates.file.read_text())
    async with broker(tmp_path, api, variables={"HOME": str(tmp_path)}) as world:
        assert (await (await world.open()).ask("GET", "/"))[0] == 200


async def test_a_cluster_is_answered_for_as_kubernetes_does(
    tmp_path: Path, variables: dict[str, str], server: ApiServer
) -> None:
    """By a Status, whose message kubectl shows."""
    source = Source(kind="command", words=("kubectl",), format="kubeconfig")
    credential = Credential(kind="header", source=source, placeholder="{40}")
    api = make_api(server.port, "GET /api", credential=credential)
    async with broker(tmp_path, api, variables=variables) as world:
        status, _, body = await (await world.open()).ask("GET", "/api/v1/secrets")
    said = json.loads(body)
    assert (status, said["kind"], said["reason"], said["code"]) == (403, "Status", "Forbidden", 403)
    assert said["message"].startswith("airlock: gh GET /api/v1/secrets is refused")


async def test_the_service_must_have_a_good_certificate(
    tmp_path: Path, variables: dict[str, str], server: ApiServer
) -> None:
    """One that nobody signed, or for another name, is refused before anything is sent."""
    del variables["SSL_CERT_FILE"]
    async with broker(tmp_path, make_api(server.port), variables=variables) as world:
        tool = await world.open()
        status, _, body = await tool.ask("GET", "/")
        assert status == 502
        assert b"is not accepted: unable to get local issuer certificate" in body
        assert not server.seen


async def test_an_api_may_name_its_own_authorities(
    tmp_path: Path, certificates: Certificates, server: ApiServer
) -> None:
    """As a company's server has that is known to nobody else."""
    api = make_api(server.port, ca=str(certificates.file))
    async with broker(tmp_path, api, variables={"HOME": str(tmp_path)}) as world:
        tool = await world.open()
        status, _, _ = await tool.ask("GET", "/")
        assert status == 200


async def test_through_a_proxy_only_hosts_that_are_named_are_reached(
    tmp_path: Path, certificates: Certificates, variables: dict[str, str]
) -> None:
    """The proxy resolves names, so that nothing here can say where a pattern leads."""
    file = certificates.issue("api.example.com", "other.example.com")
    named = make_api(443, hosts=("api.example.com", "*.example.com"))
    with serving(file) as server, proxying(server.port) as (port, asked):
        variables |= {"https_proxy": f"http://127.0.0.1:{port}"}
        async with broker(tmp_path, named, variables=variables) as world:
            tool = await world.open("api.example.com")
            status, _, _ = await tool.ask("GET", "/")
            assert status == 200
            assert asked == ["api.example.com:443"]
            assert server.seen[0].headers["host"] == "api.example.com"
            tool = await world.open("other.example.com")
            status, _, body = await tool.ask("GET", "/")
            assert status == 403
            assert b"is reached through a proxy, which resolves names itself" in body
            assert len(server.seen) == 1


async def test_one_broken_connection_ends_no_other(world: World, server: ApiServer) -> None:
    """Whatever a client does to its own TLS, the others go on."""
    steady = await world.open()
    for junk in (b"\x16\x03\x01\x00\x05junk!", b"\x17\x03\x03\x00\x10" + bytes(16), b""):
        broken = await world.open()
        await broken.stream.below.send_all(junk)
        await broken.stream.below.aclose()
        half, _ = await world.tunnel(f"localhost:{server.port}")
        await half.send_all(junk + b"\x15\x03")
        await half.aclose()
        status, _, _ = await steady.ask("GET", "/")
        assert status == 200
    busy = [await world.open() for _ in range(4)]
    for tool in busy[:2]:
        await tool.begin("GET", "/")
        await tool.stream.aclose()
    for tool in busy[2:]:
        status, _, _ = await tool.ask("GET", "/")
        assert status == 200
    assert server.connections >= 3


async def test_a_refusal_of_the_source_is_passed_on(world: World) -> None:
    """Such as that a person must log in, with the status that the daemon chose."""
    world.judge = lambda _: Refusal(message="no token", hint="run: gh auth login", status=401)
    tool = await world.open()
    status, _, body = await tool.ask("GET", "/")
    assert status == 401
    assert json.loads(body)["message"] == "airlock: no token; run: gh auth login"


async def test_npm_is_told_in_a_text(
    tmp_path: Path, variables: dict[str, str], server: ApiServer
) -> None:
    """It shows no `error` that is an object."""
    api = make_api(server.port, "GET /x", module="npm")
    async with broker(tmp_path, api, variables=variables) as world:
        tool = await world.open()
        _, _, body = await tool.ask("GET", "/y")
        assert json.loads(body)["error"].startswith("airlock: ")
