"""Connections that come over the relay of a box: one end of a socket pair in each message.

Whoever sends them runs what an agent wrote. Descriptors of any kind and number may come, and are
looked at by no call that could ask a file system (fstat); a socket's flags stay the sender's too.
"""

import socket

from airlock_daemon.connection.closing import Closer
from airlock_daemon.connection.descriptors import receive

# What is said beside the descriptor means nothing.
_WORD = 16


class NoConnection(Exception):
    """A message came, and was not one connected unix stream socket."""


def make_relay() -> tuple[socket.socket, socket.socket]:
    """A relay: the daemon's end, and that of a box. Raises OSError."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    return ours, theirs


def receive_connection(relay: socket.socket, closer: Closer) -> socket.socket | None:
    """Take the next connection, None at the end of the relay. What else came is closed by `closer`.

    Raises BlockingIOError where there is none yet, NoConnection, OSError.
    """
    data, numbers = receive(relay, _WORD)
    if not (data or numbers):
        return None
    connection = _take(numbers[0]) if len(numbers) == 1 else None
    if connection is None:
        closer.close(numbers)
        raise NoConnection
    return connection


def _take(number: int) -> socket.socket | None:
    try:
        found = socket.socket(fileno=number)
    except OSError:
        return None
    is_stream = (found.family, found.type, found.proto) == (socket.AF_UNIX, socket.SOCK_STREAM, 0)
    if is_stream and not found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        found.setblocking(False)
        return found
    found.detach()
    return None
