"""Closing descriptors whose close may never return.

close(2) of a file on a file system of the client's making (FUSE) waits for that file system, and of
a socket for data that its peer does not take (SO_LINGER): for ever, if the client likes. Closed in
the event loop, one of them would stop all agents.
"""

import os
import threading
from collections.abc import Iterable
from contextlib import suppress

from airlock_daemon.platform.linux.procfs import name_descriptor

# Each that never returns costs a thread. Where an agent has so many of them no further descriptor
# is welcome, but one that comes all the same must be closed so: not to take it would close it here.
STUCK = 8

MOST = 64
"""With so many no further connection of the agent is taken: its open ones bound the rest."""


class Closer:
    """Closes the descriptors of one agent's clients in threads of their own."""

    def __init__(self) -> None:
        self._threads: set[threading.Thread] = set()

    @property
    def is_stuck(self) -> bool:
        """Whether so many hang that no further descriptor should be taken from this agent."""
        return self._count() >= STUCK

    @property
    def is_full(self) -> bool:
        """Whether there are MOST."""
        return self._count() >= MOST

    def close(self, descriptors: Iterable[int]) -> None:
        """Close them, some time."""
        doubtful = [descriptor for descriptor in descriptors if not close_pipe(descriptor)]
        if doubtful:
            # A daemon thread, since the process must be able to end without it.
            thread = threading.Thread(target=_close_all, args=(doubtful,), daemon=True)
            self._threads.add(thread)
            thread.start()

    def _count(self) -> int:
        if self._threads:
            self._threads = {thread for thread in self._threads if thread.is_alive()}
        return len(self._threads)


def close_pipe(descriptor: int) -> bool:
    """Close `descriptor` if it is a pipe, which never waits; False, and still open, if not."""
    if not is_pipe(name_descriptor(descriptor)):
        return False
    os.close(descriptor)
    return True


def is_pipe(name: str) -> bool:
    """Whether a link in /proc/<pid>/fd is that of a pipe; a path has a slash first."""
    return name.startswith("pipe:[")


def _close_all(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        with suppress(OSError):
            os.close(descriptor)
