"""Bodies: how one ends, and those that are read whole, in memory or in a file."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

import h11
import pytest

from airlock_daemon.boundary.brokers.http import TlsStream
from airlock_daemon.boundary.brokers.https.incoming import (
    IN_MEMORY,
    AnswerHead,
    BufferedBody,
    Damaged,
    Incoming,
    Spool,
    Uneven,
)
from airlock_daemon.boundary.fairness import TurnSource
from airlock_daemon.errors import Failed
from airlock_modules.apis import Head


def pieces(*sizes: int) -> Callable[[], Awaitable[bytes]]:
    """What reads pieces of these sizes, each with a letter of its own."""
    left = [bytes([65 + number]) * size for number, size in enumerate(sizes)]

    async def read() -> bytes:
        return left.pop(0) if left else b""

    return read


def read_whole(held: BufferedBody) -> bytes:
    found = b""
    while piece := held.read(len(found)):
        found += piece
    return found


def count_files(folder: Path) -> int:
    """How many files of a folder this process has open, with a name or without."""
    links = (f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd"))
    return sum(os.readlink(link).startswith(str(folder)) for link in links if os.path.exists(link))


async def test_a_long_body_is_in_a_file_without_a_name(tmp_path: Path) -> None:
    """A short one is in memory; both have the bytes that came."""
    spool = Spool(str(tmp_path))
    short = await spool.store(pieces(10, 20))
    assert count_files(tmp_path) == 0
    long = await spool.store(pieces(IN_MEMORY, 1, 5))
    assert (os.listdir(tmp_path), count_files(tmp_path)) == ([], 1)
    assert read_whole(short) == b"A" * 10 + b"B" * 20
    assert read_whole(long) == b"A" * IN_MEMORY + b"B" + b"C" * 5
    short.close()
    long.close()


async def test_memory_is_bounded_for_all_together(tmp_path: Path) -> None:
    """Bodies that are short by themselves go into files where many come at once."""
    spool = Spool(str(tmp_path))
    held = [await spool.store(pieces(IN_MEMORY - 1)) for _ in range(8)]
    assert all(read_whole(each) == b"A" * (IN_MEMORY - 1) for each in held)
    for each in held:
        each.close()


async def test_what_all_take_is_bounded_and_given_back(tmp_path: Path) -> None:
    """A body that is too long leaves nothing behind."""
    spool = Spool(str(tmp_path), limit=100)
    first = await spool.store(pieces(60))
    with pytest.raises(Failed, match="too long together"):
        await spool.store(pieces(30, 20))
    first.close()
    second = await spool.store(pieces(60, 40))
    assert second.size == 100
    second.close()


class Said:
    """A stream on which these pieces come, and which keeps what is sent."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = [*pieces]
        self.sent = b""

    def receive_now(self, _: int) -> bytes:
        """The next piece, b"" at the end."""
        return self._pieces.pop(0) if self._pieces else b""

    def send_now(self, data: bytes) -> bool:
        """Keep it."""
        self.sent += data
        return True


def begin(
    said: Said, *headers: tuple[bytes, bytes], behind: bytes = b"", method: str = "POST"
) -> Incoming:
    head = Head(method, "/", "", ((b"host", b"a.example"), *headers))
    return Incoming(cast("TlsStream", said), head, behind, cast("TurnSource", None))


CHUNKED = (b"transfer-encoding", b"chunked")


async def read_body(incoming: Incoming) -> bytes:
    body = b""
    while piece := await incoming.read():
        body += piece
    return body


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
async def test_a_body_in_chunks_ends_where_its_last_one_does_however_it_comes(size: int) -> None:
    """What stands behind it is of the next request."""
    said = b"4\r\nbody\r\nA ;a=b\r\n0123456789\r\n00\r\n\r\nGET / HTTP/1.1\r\n\r\n"
    pieces = [said[at : at + size] for at in range(0, len(said), size)]
    incoming = begin(Said(*pieces[1:]), CHUNKED, behind=pieces[0])
    assert await read_body(incoming) == b"body0123456789"
    assert incoming.is_complete
    rest = said.index(b"GET")
    assert incoming.rest == said[rest : rest + len(incoming.rest)]


@pytest.mark.parametrize(
    "said",
    [
        b"4;a\rb\r\nbody\r\n0\r\n\r\n",
        b"4;a\0b\r\nbody\r\n0\r\n\r\n",
        b"4\nbody\r\n0\r\n\r\n",
        b"4\r\nbody\n0\r\n\r\n",
        b"4\r\nbodyXX0\r\n\r\n",
        b"4\r\nbody\r\n0\r\n\n\n",
        b"4\r\nbody\r\n0\r\nA: b\r\n\r\n",
        b"4\r\nbody\r\n0\r\n",
        b"4\r\nbod",
        b"0x4\r\nbody\r\n0\r\n\r\n",
        b"-4\r\nbody\r\n0\r\n\r\n",
        b"\r\n4\r\nbody\r\n0\r\n\r\n",
        b"0000000000000004\r\nbody\r\n0\r\n\r\n",
        b"4;" + b"a" * 5000,
    ],
    ids=ascii,
)
async def test_chunks_with_two_readings_are_refused(said: bytes) -> None:
    """A bare CR or LF, trailers, and a size that is no plain number."""
    with pytest.raises(Damaged):
        await read_body(begin(Said(said), CHUNKED))


async def test_leave_to_send_a_body_is_not_given_behind_an_answer() -> None:
    """A service may answer before it has the body, and the answer take long."""
    said = Said()
    incoming = begin(said, (b"content-length", b"4"), (b"expect", b"100-continue"))
    assert incoming.is_held_back
    await incoming.answer(AnswerHead(status=413, reason=b"", headers=[]), b"", is_end=False)
    await incoming.allow()
    assert b"100" not in said.sent


LENGTH = (b"content-length", b"4")


@pytest.mark.parametrize(
    ("method", "status", "headers", "sent", "read"),
    [
        ("GET", 200, [LENGTH], b"body", b"body"),
        ("GET", 200, [], b"body", b"body"),
        ("GET", 200, [], b"", b""),
        ("HEAD", 200, [LENGTH], b"", b""),
        ("HEAD", 200, [], b"", b""),
        ("GET", 204, [], b"", b""),
        ("GET", 304, [LENGTH], b"", b""),
    ],
)
async def test_an_answer_ends_where_its_tool_takes_it_to_end(
    method: str, status: int, headers: list[tuple[bytes, bytes]], sent: bytes, read: bytes
) -> None:
    """By its length, in chunks, or at its head; the next one is no part of it."""
    said, talk = Said(), h11.Connection(h11.CLIENT)
    talk.send(h11.Request(method=method, target="/", headers=[("host", "a")]))
    talk.send(h11.EndOfMessage())
    incoming = begin(said, method=method)
    head = AnswerHead(status=status, reason=b"R", headers=headers)
    await incoming.answer(head, sent[:1], is_end=False)
    await incoming.answer(None, sent[1:], is_end=True)
    assert incoming.is_finished
    talk.receive_data(said.sent)
    response, body = talk.next_event(), b""
    while isinstance(event := talk.next_event(), h11.Data):
        body += event.data
    assert isinstance(response, h11.Response)
    assert (response.status_code, body, event) == (status, read, h11.EndOfMessage())
    assert talk.trailing_data[0] == b""


@pytest.mark.parametrize("sent", [b"bod", b"body!"])
@pytest.mark.parametrize(("method", "status"), [("GET", 200), ("HEAD", 200), ("GET", 204)])
async def test_an_answer_of_another_length_than_it_says_is_not_passed_on_whole(
    method: str, status: int, sent: bytes
) -> None:
    """Its tool would take the rest for the next one."""
    incoming = begin(Said(), method=method)
    with pytest.raises(Uneven):
        await incoming.answer(
            AnswerHead(status=status, reason=b"", headers=[LENGTH]), sent, is_end=True
        )
    assert not incoming.is_finished


@pytest.mark.parametrize("by", ["tool", "worker"])
async def test_a_connection_that_either_side_closes_carries_no_other_request(by: str) -> None:
    """And the tool is told."""
    close, said = (b"connection", b"close"), Said()
    incoming = begin(said, *([close] if by == "tool" else []))
    head = AnswerHead(status=200, reason=b"", headers=[close] if by == "worker" else [])
    await incoming.answer(head, b"", is_end=True)
    assert not incoming.is_finished
    assert said.sent.lower().count(b"connection: close") == 1
