"""The head by which a box asks for a destination."""

import socket
from collections.abc import AsyncIterator
from http import HTTPStatus

import pytest
import trio
from egress_world import taking_turns
from trio.testing import MockClock, wait_all_tasks_blocked

from airlock_daemon.brokers.egress.head import HEAD_S, MOST, BadHead, read_head, refusal
from airlock_daemon.fairness.turns import Turns

GOOD = b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n"


@pytest.fixture
async def turns() -> AsyncIterator[Turns]:
    """The turns of an agent that is alone."""
    async with taking_turns() as turns:
        yield turns


async def read(turns: Turns, *pieces: bytes, ends: bool = True) -> tuple[str, bytes] | None:
    """What is read of these pieces."""
    ours, theirs = trio.socket.socketpair()
    found: tuple[str, bytes] | BadHead | None = None

    async def listen(stream: trio.SocketStream) -> None:
        nonlocal found
        try:
            head = await read_head(stream, turns)
            found = None if head is None else (str(head[0]), head[1])
        except BadHead as bad:
            found = bad

    with theirs:
        async with trio.SocketStream(ours) as stream, trio.open_nursery() as nursery:
            nursery.start_soon(listen, stream)
            for piece in pieces:
                await theirs.send(piece)
                if len(pieces) > 1:
                    await wait_all_tasks_blocked()
            if ends:
                theirs.shutdown(socket.SHUT_WR)
    if isinstance(found, BadHead):
        raise found
    return found


@pytest.mark.parametrize(
    "head",
    [
        GOOD,
        b"CONNECT EXAMPLE.com:443 HTTP/1.1\r\nHost: other\r\nProxy-Authorization: Basic x\r\n\r\n",
        b"CONNECT example.com:443 HTTP/1.0\r\n\r\n",
    ],
)
async def test_a_destination_is_read(turns: Turns, head: bytes) -> None:
    """At once, or a byte at a time; only the first line says which."""
    assert await read(turns, head) == ("example.com:443", b"")
    assert await read(turns, *(head[at : at + 1] for at in range(len(head)))) == (
        "example.com:443",
        b"",
    )


async def test_what_follows_is_kept_as_it_is(turns: Turns) -> None:
    """Another request too: it is the destination's."""
    behind = b"\x16\x03\x01\x00" + GOOD + b"\xff"
    assert await read(turns, GOOD + behind, ends=False) == ("example.com:443", behind)


async def test_a_connection_without_a_word_asks_for_nothing(turns: Turns) -> None:
    """It is no fault."""
    assert await read(turns) is None


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n", 405),
        (b"GET / HTTP/1.1\r\nHost: example.com:443\r\n\r\n", 405),
        (b"connect example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n", 405),
        (GOOD[:-2] + b"Content-Length: 5\r\n\r\nhello", 400),
        (GOOD[:-2] + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (GOOD[:-2] + b"Content-Length: 0\r\nContent-Length: 5\r\n\r\n", 400),
        (b"CONNECT example.com:443 HTTP/1.1\r\n\r\n", 400),
        (b"CONNECT example.com:443 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"CONNECT example.com:443\r\n\r\n", 400),
        (b"CONNECT  example.com:443 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"CONNECT example.com:443 x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"CONNECT example.com\x00:443 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"CONNECT ex\xc3\xa4mple.com:443 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"CONNECT https://example.com:443 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"CONNECT /example.com:443 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"CONNECT u@example.com:443 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"CONNECT example.com HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (GOOD[:-2] + b" folded\r\nX : y\r\n\r\n", 400),
        (GOOD[:-2] + b"X: \x00\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 40, 400),
        (b"\x05\x01\x00", 400),
        (GOOD[:-10], 400),
        (GOOD[:-2] + b"X: " + b"x" * MOST, 431),
        (b"CONNECT " + b"x" * MOST, 431),
    ],
)
async def test_anything_else_is_refused(turns: Turns, head: bytes, status: int) -> None:
    """With a status, and words of the daemon's own."""
    with pytest.raises(BadHead) as refused:
        await read(turns, head)
    assert refused.value.status == status
    assert refused.value.hint
    assert refused.value.message.isprintable()


async def test_a_head_that_comes_slowly_is_refused(turns: Turns, autojump_clock: MockClock) -> None:
    """However many pieces come in time."""
    began = trio.current_time()
    with pytest.raises(BadHead) as refused:
        await read(turns, GOOD[:20], ends=False)
    assert refused.value.status == 408
    assert trio.current_time() - began == HEAD_S


def test_a_refusal_is_one_line_in_which_nothing_can_be_forged() -> None:
    """Not even by a name of the human's."""
    said = refusal(HTTPStatus.FORBIDDEN, "x is not granted; see /home/m\u00fc\u202e/x.toml")
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.splitlines()[0] == b"HTTP/1.1 403 " + body.rstrip(b"\n")
    assert body == b"airlock: x is not granted; see /home/m\\xfc\\u202e/x.toml\n"
    assert f"Content-Length: {len(body)}".encode() in head.splitlines()
