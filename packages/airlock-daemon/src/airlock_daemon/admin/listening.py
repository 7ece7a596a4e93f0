"""Finds and connects to the sockets of a sockets directory, and checks that its daemon answers.

That takes no request, so it leaves no record in the audit log: the daemon hangs up on a client that
closes its sending half, once it has accepted and read it.
"""

import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import suppress

from airlock_daemon.setup.paths import NAMES, SOCKET, Locations


def list_sockets(path: str) -> Iterator[str]:
    """The paths of all sockets in the sockets directory `path`, with hard links, served or not."""
    try:
        entries = sorted(os.scandir(path), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.is_symlink():
            # A container that may write here could point it elsewhere.
            continue
        for candidate in (entry.path, *(os.path.join(entry.path, name) for name in NAMES)):
            with suppress(OSError):
                if stat.S_ISSOCK(os.lstat(candidate).st_mode):
                    yield candidate


def is_served(path: str) -> bool:
    """Whether something listens on the socket `path`, even if its backlog is full."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.setblocking(False)
        try:
            return connect(connection, path)
        except BlockingIOError:
            return True


def connect(connection: socket.socket, path: str) -> bool:
    """Connect to the socket `path` of any length; False if nothing listens there.

    Raises BlockingIOError if `connection` has a timeout, and the backlog is full.
    """
    try:
        directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # An address has at most 107 bytes; Linux has a short name for an open directory.
        short = f"/proc/self/fd/{directory}"
        name = os.path.basename(path)
        connection.connect(os.path.join(short, name) if os.path.isdir(short) else path)
    except BlockingIOError:
        raise
    except OSError:
        return False
    finally:
        os.close(directory)
    return True


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
        lock = os.open(os.path.join(sockets_dir, Locations.LOCK), flags)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False
