"""Waiting for the peer of a unix socket, where the kernel has counts and no event."""

import array
import fcntl
import select
import socket
import termios
import time

from airlock_conformance.terminal import count_unread

_TICK_S = 0.002
_STILL_S = 0.2


def await_drained(connection: socket.socket, *, patience: float) -> None:
    """Return when the peer has read all that was sent, so that chunks arrive as they were sent.

    The kernel offers no event for this, only a count of unread bytes (SIOCOUTQ, unix(7)), so it
    is asked again and again. A peer that has not read within `patience` seconds, or has gone, is
    left alone: the checks on what it answers tell more.
    """
    unread = array.array("i", [0])
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        try:
            fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, unread)
        except OSError:
            return
        if unread[0] == 0:
            return
        select.select([], [], [], _TICK_S)


def await_stalled(connection: socket.socket, *, patience: float) -> None:
    """Return when the peer has sent something and for a while no more of it has come.

    A peer that is only slow passes for one that has stalled; what is sent to it then is taken by
    either, so that the wait makes a check stricter and never fails one that should pass.
    """
    deadline = time.monotonic() + patience
    unread, since = 0, time.monotonic()
    while (now := time.monotonic()) < deadline:
        count = count_unread(connection.fileno())
        if count != unread:
            unread, since = count, now
        elif unread and now - since > _STILL_S:
            return
        select.select([], [], [], _TICK_S)
