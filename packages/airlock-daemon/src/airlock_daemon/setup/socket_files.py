"""A sockets directory: of each agent NAME one socket, `NAME/airlock.sock` and `NAME.sock`."""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress

LOCK = ".lock"
"""Held by the daemon that serves the directory, as long as it lives."""

SOCKET = "airlock.sock"
"""A socket's name in the directory of its agent."""


def list_sockets(path: str) -> Iterator[str]:
    """The paths of all sockets in the sockets directory `path`, of both names, served or not."""
    try:
        entries = sorted(os.scandir(path), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.is_symlink():
            # A container that may write here could lead elsewhere by it.
            continue
        inner = os.path.join(entry.path, SOCKET)
        for candidate in (entry.path, inner):
            with suppress(OSError):
                if stat.S_ISSOCK(os.lstat(candidate).st_mode):
                    yield candidate
