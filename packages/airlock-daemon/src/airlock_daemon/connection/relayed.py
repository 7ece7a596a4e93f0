"""Connections that are asked for over the relay of a box: one for each message, made here.

Whoever asks runs what an agent wrote. So the daemon takes nothing of theirs: an end that somebody
else has too is theirs to configure (SO_PASSPIDFD has each read here open a descriptor), and to lock
for as long as memory of theirs takes to be written to, in the middle of a recvmsg(2).
"""

import socket

from airlock_daemon.connection.closing import Closer
from airlock_daemon.connection.descriptors import receive

# What is said beside the descriptor means nothing, and to the box neither.
_WORD = 16
_SAID = b"c"

# As few connections as the kernel allows wait there for somebody who does not take them: what is on
# the way is counted for the daemon's user (unix(7), ETOOMANYREFS).
_LEAST = 1


class NoWish(Exception):
    """A message came with descriptors, which nobody is to send."""


def make_relay() -> tuple[socket.socket, socket.socket]:
    """A relay: the daemon's end, and that of a box. Raises OSError."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LEAST)
    return ours, theirs


def receive_wish(relay: socket.socket, closer: Closer) -> bool:
    """Take the next message, of which each is for one connection; False at the end of the relay.

    Raises BlockingIOError where there is none yet, OSError, and NoWish where descriptors came,
    which `closer` closes.
    """
    data, numbers = receive(relay, _WORD)
    if numbers:
        closer.close(numbers)
        raise NoWish
    return bool(data)


def make_connection() -> tuple[socket.socket, socket.socket]:
    """A connection: the end that stays here, and the one to `give`. Raises OSError."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    return ours, theirs


def give(relay: socket.socket, end: socket.socket) -> None:
    """Send an end of a connection to the box, where its asker takes it.

    Raises BlockingIOError where others wait there that nobody has taken, OSError.
    """
    socket.send_fds(relay, [_SAID], [end.fileno()], socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
