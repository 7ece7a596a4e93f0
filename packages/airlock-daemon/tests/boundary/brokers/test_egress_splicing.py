"""Two connections that are one."""

import errno
import os
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import NoReturn

import pytest
import trio
from egress_world import taking_turns
from trio.testing import MockClock, wait_all_tasks_blocked

from airlock_daemon.boundary.brokers.egress.conversation import (
    IDLE_S,
    PIECE,
    BoxConnection,
)
from airlock_daemon.boundary.brokers.egress.destinations import (
    Destination,
    Routes,
    World,
    read_network,
)
from airlock_daemon.boundary.connection.descriptors import Closer
from airlock_daemon.boundary.fairness import TurnQueue
from airlock_daemon.errors import AirlockError, full_table


@pytest.fixture
async def turns() -> AsyncIterator[TurnQueue]:
    """The turns of an agent that is alone."""
    async with taking_turns() as turns:
        yield turns


def make_line() -> tuple[trio.SocketStream, trio.SocketStream]:
    """Both ends of a connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        other, _ = listener.accept()
    wrap = trio.socket.from_stdlib_socket
    return trio.SocketStream(wrap(one)), trio.SocketStream(wrap(other))


class Line:
    """A `box` and a `server`, and what is counted between them."""

    def __init__(
        self, box: trio.SocketStream, server: trio.SocketStream, meter: BoxConnection
    ) -> None:
        self.box, self.server, self.meter = box, server, meter
        self.ended = trio.Event()


@asynccontextmanager
async def spliced(turns: TurnQueue) -> AsyncIterator[Line]:
    """Two that are one until both have ended, which is waited for."""
    box, near = make_line()
    far, server = make_line()
    line = Line(box, server, BoxConnection(near, turns, Closer()))

    async def run() -> None:
        await line.meter.splice(far)
        line.ended.set()

    async with box, server, trio.open_nursery() as nursery:
        nursery.start_soon(run)
        yield line
        await line.ended.wait()


async def test_the_end_of_one_side_is_told_to_the_other(turns: TurnQueue) -> None:
    """Which may still have much to say."""
    async with spliced(turns) as line:
        await line.box.send_all(b"asked")
        await line.box.send_eof()
        assert b"".join([bytes(piece) async for piece in line.server]) == b"asked"
        await line.server.send_all(b"answered")
        await line.server.send_eof()
        assert b"".join([bytes(piece) async for piece in line.box]) == b"answered"
    assert (line.meter.sent, line.meter.received) == (5, 8)


async def test_what_is_not_taken_stays_with_who_said_it(turns: TurnQueue) -> None:
    """And comes in order when it is: nothing is lost or said twice."""
    data = bytes(range(251)) * (256 * PIECE // 251)
    async with spliced(turns) as line, trio.open_nursery() as nursery:
        nursery.start_soon(line.box.send_all, data)
        before = -1
        while before < line.meter.sent:
            before = line.meter.sent
            # The kernel moves on by itself.
            await wait_all_tasks_blocked(0.05)
        assert line.meter.sent < len(data)
        seen = bytearray()
        while len(seen) < len(data):
            seen += await line.server.receive_some()
        assert seen == data
        await line.box.send_eof()
        await line.server.send_eof()


async def test_two_that_say_nothing_are_parted(turns: TurnQueue, autojump_clock: MockClock) -> None:
    """After so long from the last word of either, also where one of them has ended."""
    async with spliced(turns) as line:
        await line.box.send_eof()
        for _ in range(3):
            await trio.sleep(IDLE_S * 0.9)
            await line.server.send_all(b"still there")
            await wait_all_tasks_blocked()
        assert not line.ended.is_set()
        began = trio.current_time()
        await line.ended.wait()
        assert trio.current_time() - began == pytest.approx(IDLE_S, rel=0.01)


@pytest.mark.parametrize("end", ["box", "server"])
async def test_one_that_is_gone_ends_both(turns: TurnQueue, end: str) -> None:
    """Reset, as by a process that is killed with something unread."""
    async with spliced(turns) as line:
        gone, left = (line.box, line.server) if end == "box" else (line.server, line.box)
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await gone.aclose()
        assert not await left.receive_some()


class Noting(Closer):
    """Keeps what it is to close."""

    def __init__(self) -> None:
        super().__init__()
        self.given = list[int]()

    def close(self, descriptors: Iterable[int], **_: bool) -> None:
        """Note them."""
        self.given += descriptors


async def test_descriptors_that_nobody_took_are_closed_in_a_thread_at_the_end(
    turns: TurnQueue,
) -> None:
    """With the connection they would be closed here, for as long as their sender likes."""
    theirs, ours = socket.socketpair()
    box = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
    near, far = make_line()
    socket.send_fds(theirs, [b"x"], [theirs.fileno()])
    closer = Noting()
    with trio.CancelScope() as scope:
        scope.cancel()
        await BoxConnection(box, turns, closer).splice(near)
    (descriptor,) = closer.given
    os.close(descriptor)
    theirs.close()
    await far.aclose()


class _FullRoutes(Routes):
    """The routes of a daemon whose descriptors are all in use."""

    async def open(self, wanted: Destination) -> NoReturn:  # noqa: ARG002 - as its base
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


async def test_a_connection_without_a_descriptor_has_failed(turns: TurnQueue) -> None:
    """That is what its record says, not that it was allowed."""
    world = World(variables={}, lookups=trio.CapacityLimiter(1), setting="")
    box, near = make_line()
    results = list[AirlockError | None]()
    async with box, near:
        wanted = Destination("localhost", 443, None)
        routes = _FullRoutes(read_network(()), world)
        client = BoxConnection(near, turns, Closer())
        await client.converse(routes, lambda _, error: results.append(error), named=wanted)
    assert list(map(str, results)) == [full_table().message]
