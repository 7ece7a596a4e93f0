"""What is taken from a relay, whatever is sent over it."""

import os
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack

from hypothesis import given, settings
from hypothesis import strategies as st

from airlock_daemon.connection.closing import Closer
from airlock_daemon.connection.relayed import NoConnection, make_relay, receive_connection

_STREAM, _PACKETS = socket.SOCK_STREAM, socket.SOCK_SEQPACKET


def _listener(family: int) -> socket.socket:
    made = socket.socket(family)
    made.bind("" if family == socket.AF_UNIX else ("127.0.0.1", 0))
    made.listen()
    return made


# Each gives a descriptor, and others that must live as long.
KINDS: dict[str, Callable[[], tuple[int | socket.socket, ...]]] = {
    "connection": lambda: socket.socketpair(socket.AF_UNIX, _STREAM),
    "packets": lambda: socket.socketpair(socket.AF_UNIX, _PACKETS),
    "datagrams": lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM),
    "listener": lambda: (_listener(socket.AF_UNIX),),
    "tcp": lambda: (_listener(socket.AF_INET),),
    "udp": lambda: (socket.socket(socket.AF_INET, socket.SOCK_DGRAM),),
    "pipe": os.pipe,
    "directory": lambda: (os.open("/", os.O_PATH),),
    "file": lambda: (os.open("/dev/null", os.O_RDWR),),
}

_messages = st.lists(
    st.tuples(
        st.lists(st.sampled_from(sorted(KINDS)), max_size=6), st.binary(min_size=1, max_size=64)
    ),
    max_size=8,
)


@settings(max_examples=100, deadline=None)
@given(messages=_messages)
def test_connections_come_out_and_nothing_else_stays_open(
    messages: list[tuple[list[str], bytes]],
) -> None:
    """One of the right kind is a connection, which never blocks; all others are closed."""
    before = set(os.listdir("/proc/self/fd"))
    closer = Closer()
    ours, theirs = make_relay()
    for kinds, word in messages:
        with ExitStack() as stack:
            numbers = [_open(kind, stack) for kind in kinds]
            socket.send_fds(theirs, [word], numbers)
            try:
                came = receive_connection(ours, closer)
            except NoConnection:
                came = None
            assert (came is not None) == (kinds == ["connection"])
            if came is not None:
                assert not came.getblocking()
                came.close()
    theirs.close()
    assert receive_connection(ours, closer) is None
    ours.close()
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join()
    assert set(os.listdir("/proc/self/fd")) == before


def _open(kind: str, stack: ExitStack) -> int:
    numbers = [each if isinstance(each, int) else each.detach() for each in KINDS[kind]()]
    for number in numbers:
        stack.callback(os.close, number)
    return numbers[0]
