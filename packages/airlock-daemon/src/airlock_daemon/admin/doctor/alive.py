"""Whether the daemon of a sockets directory answers, found out without a request.

A client that connects and says that it will send nothing is hung up on once the daemon has accepted
it and read its end. That is no request, so that it leaves no record in the audit log.
"""

import fcntl
import os
import socket

from airlock_daemon.setup.sockets import LOCK, SOCKET, connect, list_sockets

ANSWER_S = 5
REMEDY = "airlock doctor"
"""What says more where there is silence, and what to do."""


def find_silence(sockets_dir: str) -> str | None:
    """Say why the daemon of `sockets_dir` is not alive; None where it answers on every socket.

    A socket on which nobody listens is not the daemon's, unless there are no others.
    """
    if not is_locked(sockets_dir):
        return f"no daemon serves {sockets_dir}"
    refused = answered = 0
    for path in list_sockets(sockets_dir):
        if os.path.dirname(path) != sockets_dir and os.path.basename(path) == SOCKET:
            # `NAME.sock` is the same socket.
            continue
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(ANSWER_S)
            try:
                if not connect(connection, path):
                    refused += 1
                    continue
                connection.shutdown(socket.SHUT_WR)
                connection.recv(4096)
            except OSError as error:
                return f"{path} does not answer: {error}"
            answered += 1
    return f"nobody listens on the sockets in {sockets_dir}" if refused and not answered else None


def is_locked(sockets_dir: str) -> bool:
    """Whether a daemon holds the lock of a sockets directory."""
    try:
        # A container that may write there could put a FIFO in its place, on which an open waits.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        lock = os.open(os.path.join(sockets_dir, LOCK), flags)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False
