"""The process at the other end of a unix socket, as the kernel tells it."""

import socket
import sys

from airlock_daemon.platform.linux import peer as linux
from airlock_daemon.platform.linux.peer import Credentials
from airlock_daemon.platform.support import is_darwin


def peer_credentials(connection: socket.socket) -> Credentials:
    """Return the process that connected (unix(7); unix(4) of macOS). Raises OSError."""
    if sys.platform != "linux" and is_darwin():
        from airlock_daemon.platform.darwin.leaves import (  # noqa: PLC0415 - on macOS alone
            read_peer_pid,
            read_peer_user,
        )

        return Credentials(read_peer_pid(connection), read_peer_user(connection))
    return linux.peer_credentials(connection)
