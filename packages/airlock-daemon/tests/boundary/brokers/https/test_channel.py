"""Messages on a stream: whole, in order, each with its descriptor, and nothing else."""

import os
import socket
from collections.abc import AsyncIterator

import msgspec
import pytest
import trio
import trio.testing

from airlock_daemon.boundary.brokers.https.messages import (
    CARRIES,
    HEAD,
    MAX_BYTES,
    Answer,
    Channel,
    Connection,
    Over,
    ToWorker,
)

Pair = tuple[Channel[object, ToWorker], socket.socket]


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    """A channel, and the plain socket at its other end."""
    ours, theirs = socket.socketpair()
    channel: Channel[object, ToWorker] = Channel(ours, receives=ToWorker)
    with theirs:
        yield channel, theirs
        channel.close()


def encode(message: msgspec.Struct, *, carries: bool = False) -> bytes:
    data = msgspec.json.encode(message)
    return HEAD.pack(len(data) | (CARRIES if carries else 0)) + data


async def test_messages_arrive_whole_however_they_are_cut(pair: Pair) -> None:
    """A byte at a time, and several at once."""
    channel, other = pair
    messages = [Over(connection=number) for number in range(3)]
    other.sendall(b"".join(map(encode, messages)))
    assert [await channel.receive() for _ in messages] == [(each, None) for each in messages]
    async with trio.open_nursery() as nursery:

        async def drip() -> None:
            for byte in encode(messages[0]):
                other.sendall(bytes([byte]))
                await trio.testing.wait_all_tasks_blocked()

        nursery.start_soon(drip)
        assert await channel.receive() == (messages[0], None)


async def test_each_message_has_its_own_descriptor(pair: Pair) -> None:
    """Though others without one are between them, and all are read at once."""
    channel, other = pair
    files = [os.memfd_create(str(number)) for number in range(2)]
    socket.send_fds(other, [encode(Connection(number=0), carries=True)], files[:1])
    other.sendall(encode(Over(connection=0)))
    socket.send_fds(other, [encode(Connection(number=1), carries=True)], files[1:])
    for number in (0, None, 1):
        received = await channel.receive()
        assert received is not None
        message, descriptor = received
        if number is None:
            assert (message, descriptor) == (Over(connection=0), None)
        else:
            assert message == Connection(number=number)
            assert descriptor is not None
            assert os.path.samestat(os.fstat(descriptor), os.fstat(files[number]))
            assert not os.get_inheritable(descriptor)
            os.close(descriptor)
    for file in files:
        os.close(file)


@pytest.mark.parametrize(
    "said",
    [
        HEAD.pack(MAX_BYTES + 1),
        HEAD.pack(3) + b"{}}",
        encode(Over(connection=1), carries=True),
    ],
    ids=["too long", "no message", "no descriptor"],
)
async def test_anything_else_is_no_message(pair: Pair, said: bytes) -> None:
    """It is an error, whatever comes after it."""
    channel, other = pair
    other.sendall(said)
    with pytest.raises(msgspec.MsgspecError):
        await channel.receive()


async def test_descriptors_that_no_message_carries_do_not_add_up(pair: Pair) -> None:
    """Whoever sends them is ended, and they are closed."""
    channel, other = pair
    before = len(os.listdir("/dev/fd"))
    null = os.open(os.devnull, os.O_RDONLY)

    async def flood() -> None:
        for _ in range(9):
            socket.send_fds(other, [encode(Over(connection=1))], [null])
            await channel.receive()

    with pytest.raises(msgspec.MsgspecError):
        await flood()
    os.close(null)
    channel.close()
    # Without the channel's own.
    assert len(os.listdir("/dev/fd")) == before - 1


@pytest.mark.parametrize("count", [2, 253])
async def test_descriptors_of_a_hostile_end_are_all_closed_where_it_blocks_nobody(
    count: int,
) -> None:
    """Two or more with one message, and those that nobody has received yet.

    What the kernel has no room for, it closes in the event loop. A socket may linger there.
    """
    ours, theirs = socket.socketpair()
    closed: list[int] = []
    channel: Channel[object, ToWorker] = Channel(ours, receives=ToWorker, close_all=closed.extend)
    reading, writing = os.pipe()
    with theirs:
        for _ in range(2):
            socket.send_fds(theirs, [encode(Over(connection=1), carries=True)], [writing] * count)
        os.close(writing)
        with pytest.raises(msgspec.MsgspecError):
            await channel.receive()
        channel.close()
        assert theirs.recv(1) == b""
    assert len(closed) == count + 1
    os.set_blocking(reading, False)
    with pytest.raises(BlockingIOError):
        os.read(reading, 1)
    for number in closed:
        os.close(number)
    assert os.read(reading, 1) == b""
    os.close(reading)


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_what_fits_in_part_is_completed_before_anything_else(
    pair: Pair, *, is_cancelled: bool
) -> None:
    """By whoever sends first, and `send` of the same message does not send it again."""
    channel, other = pair
    other.setblocking(False)
    messages: list[ToWorker] = []
    while not channel._rest:
        # None of them is as long as what the kernel takes at once.
        message = Answer(question=len(messages), certificate="x" * 150_000)
        assert channel.send_now(message) or channel._rest
        messages.append(message)
    received: Channel[ToWorker, ToWorker] = Channel(other, receives=ToWorker)
    got: list[ToWorker] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(channel.send, Over(connection=5))
        await trio.testing.wait_all_tasks_blocked()
        with trio.CancelScope() as scope:
            if is_cancelled:
                scope.cancel()
                await channel.send(messages[-1])
        if not is_cancelled:
            nursery.start_soon(channel.send, messages[-1])
            await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(channel.send, Over(connection=6))
        while Over(connection=6) not in got:
            answer = await received.receive()
            assert answer is not None
            got.append(answer[0])
    assert got == [*messages, Over(connection=5), Over(connection=6)]
    assert not channel._begun
