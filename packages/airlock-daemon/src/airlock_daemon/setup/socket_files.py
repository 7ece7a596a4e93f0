"""A sockets directory: of each agent NAME the sockets `NAME/*.sock`, and `NAME.sock`."""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress

LOCK = ".lock"
"""Held by the daemon that serves the directory, as long as it lives."""

SOCKET = "airlock.sock"
"""The socket for commands, in the directory of its agent. `NAME.sock` is a hard link to it."""

HTTPS = "https.sock"
"""The socket for APIs and networks, which an agent has where its profile grants some."""

NAMES = (SOCKET, HTTPS)
"""Every socket that the directory of an agent may have."""


def list_sockets(path: str) -> Iterator[str]:
    """The paths of all sockets in the sockets directory `path`, links too, served or not."""
    try:
        entries = sorted(os.scandir(path), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.is_symlink():
            # A container that may write here could lead elsewhere by it.
            continue
        for candidate in (entry.path, *(os.path.join(entry.path, name) for name in NAMES)):
            with suppress(OSError):
                if stat.S_ISSOCK(os.lstat(candidate).st_mode):
                    yield candidate
