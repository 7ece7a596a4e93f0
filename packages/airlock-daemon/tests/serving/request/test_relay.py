"""Tests of `airlock_daemon.serving.request.relay`: the sockets of a box's relay."""

import math
import os
import socket
from collections.abc import Callable
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airlock_daemon.boundary.connection.descriptors import Closer
from airlock_daemon.boundary.fairness import Allowance, Gate
from airlock_daemon.errors import Denied
from airlock_daemon.serving.request.execution import run_job
from airlock_daemon.serving.request.relay import (
    UnexpectedDescriptors,
    make_connection,
    make_relay,
    receive_bytes,
    send_connection,
)
from airlock_daemon.setup.limits import Limits

# Each gives descriptors.
KINDS: dict[str, Callable[[], tuple[int | socket.socket, ...]]] = {
    "connection": lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM),
    "packets": lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET),
    "udp": lambda: (socket.socket(socket.AF_INET, socket.SOCK_DGRAM),),
    "pipe": os.pipe,
    "directory": lambda: (os.open("/", os.O_PATH),),
}

_messages = st.lists(
    st.tuples(
        st.lists(st.sampled_from(sorted(KINDS)), max_size=6), st.binary(min_size=1, max_size=64)
    ),
    max_size=8,
)


@settings(max_examples=100)
@given(messages=_messages)
def test_a_message_is_a_wish_and_no_descriptor_stays_open(
    messages: list[tuple[list[str], bytes]],
) -> None:
    """One with descriptors is none, whatever they are, and they are closed."""
    before = set(os.listdir("/proc/self/fd"))
    closer = Closer()
    ours, theirs = make_relay()
    for kinds, word in messages:
        with ExitStack() as stack:
            numbers = [_open(kind, stack) for kind in kinds]
            socket.send_fds(theirs, [word], numbers)
            try:
                assert receive_bytes(ours, closer)
            except UnexpectedDescriptors:
                assert kinds
            else:
                assert not kinds
    theirs.close()
    assert not receive_bytes(ours, closer)
    ours.close()
    # They are closed in a thread.
    while set(os.listdir("/proc/self/fd")) != before:
        os.sched_yield()


def test_a_connection_is_given_and_few_wait() -> None:
    """Each is another one, and the end that stays never blocks."""
    ours, theirs = make_relay()
    count = 0
    with ours, theirs:
        while _give_one(ours):
            count += 1
    assert 0 < count < 20


def _give_one(relay: socket.socket) -> bool:
    here, there = make_connection()
    with here, there:
        assert not here.getblocking()
        try:
            send_connection(relay, there)
        except BlockingIOError:
            return False
    return True


def _open(kind: str, stack: ExitStack) -> int:
    numbers = [each if isinstance(each, int) else each.detach() for each in KINDS[kind]()]
    for number in numbers:
        stack.callback(os.close, number)
    return numbers[0]


async def test_a_request_over_it_does_not_add_to_commands_that_cannot_be_ended() -> None:
    """It needs no slot: one command could make any number of them."""
    gate = Gate(Limits(running=1), Allowance(bytes_s=1, burst=math.inf))
    gate.strand(lambda: False)
    job: Any = SimpleNamespace(module=SimpleNamespace(concurrent=True), asked=None)
    call: Any = SimpleNamespace(
        agent=SimpleNamespace(gate=gate), recording=None, held=None, origin=object()
    )
    with pytest.raises(Denied, match="hang in the kernel"):
        await run_job(job, call)
