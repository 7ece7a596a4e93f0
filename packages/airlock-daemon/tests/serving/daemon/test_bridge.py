"""Tests of `airlock_daemon.serving.daemon.bridge`, whose other end is the test itself."""

import os
import select
import socket
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import pytest
import trio
from trio.testing import MemorySendStream, MockClock, memory_stream_pair

from airlock_daemon.boundary.identity.peer import find_credentials, identify
from airlock_daemon.errors import Failed
from airlock_daemon.serving.daemon.bridge import PING_S, SILENCE_S, Accept, Bridge
from airlock_wire import (
    NEED_DATA,
    BridgeEnd,
    BridgeHello,
    Pinged,
    Ponged,
    StreamClosed,
    StreamCredit,
    StreamData,
    StreamEnded,
    StreamOpened,
)

SOCKETS = ("airlock.sock", "https.sock")
WINDOW = 262_144
FIRST_CREDIT = 8192
IN_USE = 65_536

_Event = TypeVar("_Event")


class Container:
    """The container's end, driven by the test."""

    def __init__(self, stream: trio.abc.Stream, bridge: Bridge, sender: MemorySendStream) -> None:
        self.sender = sender
        self.end = BridgeEnd("container")
        self.bridge = bridge
        self.pings = 0
        self.served: list[str] = []
        self.paced = trio.Event()
        self.credentials: list[object] = []
        self._stream = stream

    async def send(self, data: bytes) -> None:
        """Send bytes of our end."""
        await self._stream.send_all(data)

    async def close(self) -> None:
        """The container is gone."""
        await self._stream.aclose()

    async def open(self, name: str = "airlock.sock") -> int:
        """Open a stream."""
        number, opening = self.end.send_open(name)
        await self.send(opening)
        return number

    async def read(self, kind: type[_Event]) -> _Event:
        """Return the next event, which is of this kind, beside pings."""
        while True:
            event = self.end.next_event()
            if event is NEED_DATA:
                data = await self._stream.receive_some()
                assert data, "the daemon has ended"
                self.end.receive_data(data)
            elif isinstance(event, Pinged):
                self.pings += 1
            else:
                assert isinstance(event, kind), event
                return event

    async def read_bytes(self, count: int) -> bytes:
        """Return the next bytes of a stream, and grant them again."""
        received = b""
        while len(received) < count:
            event = await self.read(StreamData)
            received += event.data
            await self.send(self.end.send_credit(event.stream, len(event.data)))
        return received


@asynccontextmanager
async def open_bridge(
    answer: Callable[[trio.SocketStream], object] | None = None, *, most: int = 1000
) -> AsyncIterator[Container]:
    """A running bridge, whose connections are served by `answer`, else by an echo to the end.

    Those beyond `most` are refused, and closed when the container's end is `paced`.
    """
    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as nursery:

        def admit(name: str, accept: Accept) -> tuple[bytes, Awaitable[None]]:
            if len(container.served) >= most:
                return b"too many", container.paced.wait()
            return b"", serve(name, accept())

        async def serve(name: str, connection: socket.socket) -> None:
            container.served.append(name)
            container.credentials.append(identify(connection, find_credentials(connection)).kind)
            stream = trio.SocketStream(trio.socket.from_stdlib_socket(connection))
            async with stream:
                if answer is not None:
                    await answer(stream)  # type: ignore[misc]
                    return
                async for data in stream:
                    await stream.send_all(data)

        container = Container(theirs, Bridge(ours, admit, nursery), ours.send_stream)
        nursery.start_soon(container.bridge.run, SOCKETS)
        await container.send(container.end.send_hello())
        assert await container.read(BridgeHello) == BridgeHello(SOCKETS)
        yield container
        nursery.cancel_scope.cancel()


async def test_a_client_that_closes_is_seen_to_hang_up() -> None:
    """After what it has sent."""
    heard = []

    async def hear(stream: trio.SocketStream) -> None:
        heard.extend([data async for data in stream])
        is_over.set()

    is_over = trio.Event()
    async with open_bridge(hear) as container:
        number = await container.open()
        end = container.end
        await container.send(end.send_data(number, b"last words") + end.send_close(number))
        await is_over.wait()
        assert b"".join(heard) == b"last words"


async def test_a_client_that_closes_is_seen_although_the_service_takes_nothing() -> None:
    """What it has sent before does not hide that nobody is left."""
    seen = trio.Event()

    async def answer(stream: trio.SocketStream) -> None:
        poll = select.poll()
        poll.register(stream.socket.fileno(), 0)
        while not poll.poll(0):  # noqa: ASYNC110 - a hang-up alone wakes nobody in trio
            await trio.sleep(0.01)
        seen.set()

    async with open_bridge(answer) as container:
        number = await container.open("airlock.sock")
        await container.send(container.end.send_data(number, bytes(FIRST_CREDIT)))
        await container.send(container.end.send_close(number))
        await seen.wait()


async def test_what_a_service_takes_is_granted_again() -> None:
    """And no more than a window waits for one that takes nothing."""
    release = trio.Event()

    async def take_late(stream: trio.SocketStream) -> None:
        await release.wait()
        async for _ in stream:
            pass

    async with open_bridge(take_late) as container:
        number = await container.open()
        sent = 0
        while sent < 8 * WINDOW:
            most = min(32768, container.end.credit(number))
            if most == 0:
                release.set()
                await container.read(StreamCredit)
                continue
            await container.send(container.end.send_data(number, bytes(most)))
            sent += most
        assert release.is_set()


async def _send_until_held(container: Container, most: dict[int, int]) -> dict[int, int]:
    """Send up to so many bytes of each stream while more is granted; returns how many were."""
    sent = dict.fromkeys(most, 0)
    is_granted = True
    while is_granted:
        for number, count in most.items():
            while size := min(32_768, container.end.credit(number), count - sent[number]):
                await container.send(container.end.send_data(number, bytes(size)))
                sent[number] += size
        with trio.move_on_after(0.5) as scope:
            await container.read(StreamCredit)
        is_granted = not scope.cancelled_caught
    return sent


async def test_what_waits_for_services_is_bounded_however_many_streams_there_are() -> None:
    """So many that are in use get a whole window; the others the rest of their first."""
    count, wide = 60, 33

    async def take_late(stream: trio.SocketStream) -> None:
        left = IN_USE
        while left:
            left -= len(await stream.receive_some(min(left, 4096)))
        await release.wait()
        async for _ in stream:
            pass

    release = trio.Event()
    async with open_bridge(take_late) as container:
        numbers = [await container.open() for _ in range(count)]
        sent = await _send_until_held(container, dict.fromkeys(numbers, 4 * WINDOW))
        # Beside that, the kernel has some of each.
        waits = sum(sent.values()) - count * IN_USE
        assert waits < wide * 2 * WINDOW + (count - wide) * 5 * FIRST_CREDIT
        assert sum(each > WINDOW for each in sent.values()) == wide
        release.set()
        rest = {number: 4 * WINDOW - sent[number] for number in numbers}
        assert await _send_until_held(container, rest) == rest


async def test_services_that_take_nothing_leave_whole_windows_to_others() -> None:
    """What the kernel takes for them does not count as use."""
    idle = 40

    async def answer(stream: trio.SocketStream) -> None:
        if len(container.served) > idle:
            left = IN_USE
            while left:
                left -= len(await stream.receive_some(left))
        await trio.sleep_forever()

    async with open_bridge(answer) as container:
        numbers = [await container.open() for _ in range(idle)]
        sent = await _send_until_held(container, dict.fromkeys(numbers, 4 * WINDOW))
        assert max(sent.values()) < 5 * FIRST_CREDIT
        busy = await container.open()
        sent = await _send_until_held(container, {busy: 4 * WINDOW})
        assert sent[busy] > WINDOW


async def test_what_services_say_waits_in_small_buffers() -> None:
    """The kernel has a bounded part of what clients do not take, beside their window."""
    said = 0

    async def speak(stream: trio.SocketStream) -> None:
        nonlocal said
        while True:
            await stream.send_all(bytes(4096))
            said += 4096

    async with open_bridge(speak) as container:
        await container.open()
        received = 0
        while received < WINDOW:
            received += len((await container.read(StreamData)).data)
        await trio.testing.wait_all_tasks_blocked(0.1)
        assert said <= WINDOW + 2 * 65_536


async def test_streams_that_waited_for_room_all_go_on() -> None:
    """Not the last one alone."""
    blob = os.urandom(100_000)
    async with open_bridge(lambda stream: stream.send_all(blob)) as container:
        gate, deliver = trio.Event(), container.sender.send_all_hook
        assert deliver is not None

        async def deliver_late() -> None:
            await gate.wait()
            await deliver()

        container.sender.send_all_hook = deliver_late
        numbers = [await container.open() for _ in range(20)]
        await trio.testing.wait_all_tasks_blocked()
        gate.set()
        said = dict.fromkeys(numbers, b"")
        while any(len(each) < len(blob) for each in said.values()):
            event = await container.read(object)
            if isinstance(event, StreamData):
                said[event.stream] += event.data
        assert set(said.values()) == {blob}


async def test_single_bytes_take_no_more_memory_or_time_than_many() -> None:
    """A client may send them so: others have their steps between, and one buffer has them all."""
    count = 8_000
    steps = 0

    async def step() -> None:
        nonlocal steps
        while True:
            await trio.lowlevel.checkpoint()
            steps += 1

    async def take_nothing(_stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async with open_bridge(take_nothing) as container, trio.open_nursery() as nursery:
        number = await container.open()
        while not container.served:
            await trio.lowlevel.checkpoint()
        frames = b"".join(container.end.send_data(number, b"x") for _ in range(count))
        nursery.start_soon(step)
        tracemalloc.start()
        try:
            await container.send(frames + container.end.send_ping(b"all"))
            assert (await container.read(Ponged)).payload == b"all"
            # What other threads of this process allocate meanwhile is in no file of ours.
            ours = tracemalloc.Filter(inclusive=True, filename_pattern="*/airlock_*")
            kept = tracemalloc.take_snapshot().filter_traces([ours]).statistics("lineno")
        finally:
            tracemalloc.stop()
        assert sum(each.size for each in kept) < len(frames) + 100_000, kept[:5]
        assert steps > count / 64
        nursery.cancel_scope.cancel()


async def test_a_bridge_that_asks_and_takes_nothing_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its answers do not fill the daemon's memory."""
    monkeypatch.setattr("airlock_daemon.serving.daemon.bridge._FLOODED", 1 << 19)
    ours, theirs = memory_stream_pair()
    ours.send_stream.send_all_hook = trio.sleep_forever
    end = BridgeEnd("container")
    pings = end.send_ping(bytes(8)) * 16_384

    async def ask() -> None:
        while True:
            await theirs.send_all(pings)
            await trio.testing.wait_all_tasks_blocked()

    async with trio.open_nursery() as nursery:
        await theirs.send_all(end.send_hello())
        nursery.start_soon(ask)
        with pytest.raises(Failed, match="takes nothing"):
            await Bridge(ours, _never, nursery).run(SOCKETS)
        nursery.cancel_scope.cancel()


async def test_a_slow_client_holds_up_no_other() -> None:
    """Credit is of each stream."""
    blob = bytes(4 * WINDOW)

    async def answer(stream: trio.SocketStream) -> None:
        asked = await stream.receive_some()
        await stream.send_all(blob if asked == b"much" else b"little")

    async with open_bridge(answer) as container:
        slow = await container.open()
        await container.send(container.end.send_data(slow, b"much"))
        received = 0
        while received < WINDOW:
            received += len((await container.read(StreamData)).data)
        quick = await container.open()
        await container.send(container.end.send_data(quick, b"x"))
        assert await container.read(StreamData) == StreamData(quick, b"little")


async def test_a_socket_that_is_given_up_takes_no_more_connections() -> None:
    """One that was on its way is closed; others go on."""
    async with open_bridge() as container:
        kept = await container.open()
        container.bridge.listen(("airlock.sock",))
        late = await container.open("https.sock")
        assert await container.read(BridgeHello) == BridgeHello(("airlock.sock",))
        assert await container.read(StreamClosed) == StreamClosed(late)
        await container.send(container.end.send_data(kept, b"x"))
        assert await container.read(StreamData) == StreamData(kept, b"x")


async def test_a_connection_that_is_refused_is_told_and_takes_no_descriptor() -> None:
    """It is closed at the pace of refusals, whatever its client does; those that are open go on."""
    async with open_bridge(most=1) as container:
        first = await container.open()
        await container.send(container.end.send_data(first, b"x"))
        assert await container.read(StreamData) == StreamData(first, b"x")
        before = len(os.listdir("/proc/self/fd"))
        refused = [await container.open() for _ in range(20)]
        for number in refused:
            assert await container.read(StreamData) == StreamData(number, b"too many")
            assert await container.read(StreamEnded) == StreamEnded(number)
        assert len(os.listdir("/proc/self/fd")) == before
        await container.send(container.end.send_data(refused[0], b"request"))
        await container.send(container.end.send_close(refused[0]))
        await container.send(container.end.send_ping(b"mark"))
        assert await container.read(Ponged) == Ponged(b"mark")
        assert container.end.streams == 21
        container.paced.set()
        closed = {(await container.read(StreamClosed)).stream for _ in refused[1:]}
        assert closed == set(refused[1:])
        await container.send(container.end.send_data(first, b"y"))
        assert await container.read(StreamData) == StreamData(first, b"y")


async def test_a_flood_of_refused_connections_ends_the_bridge() -> None:
    """They stay among the streams that a container's end may have open until they are closed."""
    with pytest.RaisesGroup(pytest.RaisesExc(Failed, match="more than 1024 streams")):
        async with open_bridge(most=0) as container:
            for _ in range(1025):
                number = await container.open()
                await container.send(container.end.send_close(number))
            await trio.sleep_forever()


def _never(_name: str, _accept: Accept) -> tuple[bytes, Awaitable[None]]:
    raise AssertionError


async def test_what_is_no_bridge_is_told() -> None:
    """As a failure that says what came."""
    ours, theirs = memory_stream_pair()
    async with trio.open_nursery() as requests:
        bridge = Bridge(ours, _never, requests)
        await theirs.send_all(b"Usage: docker run [OPTIONS] IMAGE")
        with pytest.raises(Failed, match="breaks the protocol"):
            await bridge.run(SOCKETS)


def _take_nothing(_name: str, accept: Accept) -> tuple[bytes, Awaitable[None]]:
    accept().close()
    return b"", trio.sleep_forever()  # noqa: ASYNC105 - as the bridge does


async def test_a_fault_among_other_frames_is_told_as_one() -> None:
    """What came before it is still dealt with, and ends nothing but the bridge."""
    ours, theirs = memory_stream_pair()
    end = BridgeEnd("container")
    async with trio.open_nursery() as nursery:
        bridge = Bridge(ours, _take_nothing, nursery)

        async def speak() -> None:
            number, opening = end.send_open("airlock.sock")
            await theirs.send_all(opening)
            await trio.testing.wait_all_tasks_blocked()
            await theirs.send_all(end.send_data(number, b"x"))
            await trio.testing.wait_all_tasks_blocked()
            pieces = [end.send_data(number, bytes(2048)) for _ in range(3)]
            await theirs.send_all(b"".join(pieces) + b"\xff" * 8)

        await theirs.send_all(end.send_hello())
        nursery.start_soon(speak)
        with pytest.raises(Failed, match="breaks the protocol"):
            await bridge.run(SOCKETS)
        nursery.cancel_scope.cancel()


async def test_a_file_that_is_closed_early_holds_up_no_other() -> None:
    """The container's end is not made to break the protocol by what was still to come."""
    files = {"ca.pem": bytes(2 * WINDOW), "client.env": b"A=1"}
    async with open_bridge() as container, trio.open_nursery() as nursery:
        nursery.start_soon(container.bridge.publish, files)
        opened = await container.read(StreamOpened)
        received = 0
        while received < WINDOW:
            received += len((await container.read(StreamData)).data)
        await container.send(container.end.send_close(opened.stream))
        opened = await container.read(StreamOpened)
        assert opened.name == "client.env"
        assert await container.read_bytes(3) == b"A=1"
        assert await container.read(StreamEnded) == StreamEnded(opened.stream)
        await container.send(container.end.send_close(opened.stream))


async def test_a_bridge_that_says_nothing_is_given_up(autojump_clock: MockClock) -> None:
    """A paused container does not close its pipes."""
    ours, theirs = memory_stream_pair()
    began = trio.current_time()
    async with trio.open_nursery() as requests:
        bridge = Bridge(ours, _never, requests)
        await theirs.send_all(BridgeEnd("container").send_hello())
        with pytest.raises(Failed, match="has said nothing"):
            await bridge.run(SOCKETS)
    assert SILENCE_S < trio.current_time() - began <= SILENCE_S + PING_S
