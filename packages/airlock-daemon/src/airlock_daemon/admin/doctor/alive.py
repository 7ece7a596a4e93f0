"""Checks whether the daemon of a sockets directory answers, without a request.

The daemon hangs up on a client that closes its sending half, once it has accepted and read it. That
is no request, so it leaves no record in the audit log.
"""

import fcntl
import os
import socket

from airlock_daemon.admin.listening import connect, list_sockets
from airlock_daemon.setup.paths import LOCK, SOCKET

ANSWER_S = 5
REMEDY = "airlock doctor"
"""The command that diagnoses a daemon that does not answer."""


def find_silence(sockets_dir: str) -> str | None:
    """Return why the daemon of `sockets_dir` does not answer; None if every socket answers.

    A socket without a listener is ignored, unless there are no others.
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
    """Whether a daemon has locked a sockets directory."""
    try:
        # A container that may write here could put a FIFO in its place, which would block open.
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
