"""Tests of `airlock_daemon.platform.posix.poll_set`, beside the epoll that it stands for."""

import os
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest
import trio

from airlock_daemon.platform.posix.poll_set import PollSet, is_gone
from airlock_daemon.platform.system import (
    GONE,
    HANGUPS_ALONE,
    READABLE,
    WRITABLE,
    Readiness,
)

Set = Readiness | PollSet


@pytest.fixture(params=[Readiness, PollSet], ids=["epoll", "poll"])
def ready(request: pytest.FixtureRequest) -> Iterator[Set]:
    make: Callable[[], Set] = request.param
    with make() as made:
        yield made


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    with ExitStack() as stack:
        ours, theirs = socket.socketpair()
        yield stack.enter_context(ours), stack.enter_context(theirs)


async def wait(ready: Set) -> list[tuple[int, int]]:
    """Wait until a descriptor is ready; being woken for nothing is allowed."""
    while not (found := ready.poll(0)):
        await trio.lowlevel.wait_readable(ready.fileno())
    return found


def test_the_numbers_are_those_of_epoll() -> None:
    """So that an epoll needs no translation."""
    assert (READABLE, WRITABLE) == (select.EPOLLIN, select.EPOLLOUT)
    assert GONE == select.EPOLLHUP | select.EPOLLERR
    assert isinstance(Readiness(), select.epoll)


async def test_a_pipe_wakes_its_reader_until_it_is_empty(ready: Set) -> None:
    """And its end wakes it, too."""
    reading, writing = os.pipe()
    ready.register(reading, READABLE)
    os.write(writing, b"x")
    assert await wait(ready) == [(reading, READABLE)]
    os.read(reading, 1)
    assert ready.poll(0) == []
    os.close(writing)
    assert [number for number, _ in await wait(ready)] == [reading]
    ready.unregister(reading)
    os.close(reading)


async def test_what_a_client_sends_does_not_wake_who_waits_for_hangups(
    ready: Set, pair: tuple[socket.socket, socket.socket]
) -> None:
    """Until it is asked for."""
    ours, theirs = pair
    ready.register(ours.fileno(), HANGUPS_ALONE)
    theirs.send(b"x")
    assert ready.poll(0) == []
    ready.modify(ours.fileno(), READABLE)
    assert await wait(ready) == [(ours.fileno(), READABLE)]


async def test_a_client_that_still_reads_has_not_hung_up(
    ready: Set, pair: tuple[socket.socket, socket.socket]
) -> None:
    """It has closed its sending half; the hangup comes when it closes the other."""
    ours, theirs = pair
    ready.register(ours.fileno(), HANGUPS_ALONE)
    theirs.shutdown(socket.SHUT_WR)
    assert ready.poll(0) == []
    assert not is_gone(ours.fileno())
    theirs.close()
    ((number, events),) = await wait(ready)
    assert (number, bool(events & GONE)) == (ours.fileno(), True)
    assert is_gone(ours.fileno())


async def test_a_full_socket_is_not_gone(pair: tuple[socket.socket, socket.socket]) -> None:
    """Nothing is sent to find that out."""
    ours, theirs = pair
    ours.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            ours.send(b"x" * 65536)
    assert not is_gone(ours.fileno())
    theirs.close()
    assert is_gone(ours.fileno())


async def test_a_half_closed_socket_does_not_report_its_hangup_again_and_again(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on macOS, where poll(2) reports a half-closed peer as a hangup."""
    ours, theirs = pair
    monkeypatch.setattr("airlock_daemon.platform.posix.poll_set.HALF_CLOSED_S", 0.01)
    gone = False
    monkeypatch.setattr("airlock_daemon.platform.posix.poll_set.is_gone", lambda _: gone)
    with PollSet() as ready:
        ready.register(ours.fileno(), HANGUPS_ALONE)
        # On Linux only a closed peer is a hangup; `is_gone` says that this one still reads.
        theirs.close()
        await trio.lowlevel.wait_readable(ready.fileno())
        assert ready.poll(0) == []
        gone = True
        assert [number for number, _ in await wait(ready)] == [ours.fileno()]


async def test_many_ready_descriptors_are_served_in_turns(ready: Set) -> None:
    """Busy ones starve nobody."""
    pipes = [os.pipe() for _ in range(5)]
    for reading, writing in pipes:
        ready.register(reading, READABLE)
        os.write(writing, b"x")
    served = {number for _ in range(3) for number, _ in ready.poll(0, 2)}
    assert served == {reading for reading, _ in pipes}
    for ends in pipes:
        ready.unregister(ends[0])
        for end in ends:
            os.close(end)


def test_a_closed_set_leaves_no_descriptor() -> None:
    """Nor its thread."""
    descriptors, threads = os.listdir("/proc/self/fd"), threading.enumerate()
    made = PollSet()
    made.close()
    made.close()
    assert (os.listdir("/proc/self/fd"), threading.enumerate()) == (descriptors, threads)
