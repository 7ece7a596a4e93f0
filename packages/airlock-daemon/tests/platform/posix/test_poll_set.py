"""Tests of `airlock_daemon.platform.posix.poll_set`, which systems without Linux wait with."""

import os
import queue
import select
import socket
import threading

import pytest
import trio

from airlock_daemon.platform.posix.poll_set import PollSet
from airlock_daemon.platform.system import HANGUPS_ALONE, READABLE


async def test_a_half_closed_socket_does_not_report_its_hangup_again_and_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on macOS, where poll(2) reports a half-closed peer as a hangup."""
    ours, theirs = socket.socketpair()
    asked: queue.SimpleQueue[int] = queue.SimpleQueue()
    gone = False

    def is_gone(descriptor: int) -> bool:
        if threading.current_thread() is not threading.main_thread():
            asked.put(descriptor)
        return gone

    monkeypatch.setattr("airlock_daemon.platform.posix.poll_set.HALF_CLOSED_S", 0.01)
    monkeypatch.setattr("airlock_daemon.platform.posix.poll_set.is_gone", is_gone)
    with ours, PollSet() as ready:
        ready.register(ours.fileno(), HANGUPS_ALONE)
        # On Linux only a closed peer is a hangup; `is_gone` says that this one still reads.
        theirs.close()
        await trio.lowlevel.wait_readable(ready.fileno())
        for _ in range(2):  # the thread may have reported it twice before the first poll
            assert ready.poll(0) == []
            assert [asked.get(timeout=20) for _ in range(3)] == [ours.fileno()] * 3
        assert select.select([ready], [], [], 0)[0] == []
        gone = True
        await trio.lowlevel.wait_readable(ready.fileno())
        assert [number for number, _ in ready.poll(0)] == [ours.fileno()]


def test_many_ready_descriptors_are_served_in_turns() -> None:
    """Busy ones starve nobody."""
    pipes = [os.pipe() for _ in range(5)]
    with PollSet() as ready:
        for reading, writing in pipes:
            ready.register(reading, READABLE)
            os.write(writing, b"x")
        served = {number for _ in range(3) for number, _ in ready.poll(0, 2)}
    assert served == {reading for reading, _ in pipes}
    for ends in pipes:
        for end in ends:
            os.close(end)


def test_a_closed_set_leaves_no_descriptor() -> None:
    """Nor its thread."""
    descriptors, threads = os.listdir("/proc/self/fd"), threading.enumerate()
    made = PollSet()
    made.close()
    made.close()
    assert (os.listdir("/proc/self/fd"), threading.enumerate()) == (descriptors, threads)
