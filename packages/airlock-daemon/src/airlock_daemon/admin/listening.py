"""Finds and connects to the sockets of a sockets directory."""

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import suppress

from airlock_daemon.setup.paths import NAMES


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
