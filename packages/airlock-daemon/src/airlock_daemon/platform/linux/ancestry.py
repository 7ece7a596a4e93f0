"""Who descends from a process, by pidfds (pidfd_open(2)) and /proc."""

import os
from contextlib import suppress

from airlock_daemon.errors import is_full_table
from airlock_daemon.platform.linux.peer import is_dead
from airlock_daemon.platform.linux.procfs import read_process_entry

KEPT = 16
GENERATIONS = 256
"""Exceeds any process's ancestry; ends the walk if the process table changes meanwhile."""
ATTEMPTS = 8
"""Walks of a process table that changes meanwhile."""


class Ancestry:
    """Tells the descendants of process `ancestor` from all others. Its owner must `close` it.

    A process that is not a descendant never becomes one: the kernel reparents orphans to ancestors
    that they already had. So some of them are cached, by pidfd, which unlike a pid is never reused;
    a client whose shell is cached needs no walk to the first process.
    """

    def __init__(self, ancestor: int) -> None:
        self._ancestor = ancestor
        self._strangers: dict[int, int] = {}

    def includes(self, pid: int, *, parent: int | None = None) -> bool:
        """Whether `pid` descends from the ancestor; True also if that is unknown.

        `parent` is the parent of `pid`, if known. Raises OSError without a descriptor to look.
        """
        if pid == self._ancestor:
            return True
        start = pid if parent is None else parent
        if start in self._strangers and self._is_stranger(start):
            return False
        for _ in range(ATTEMPTS):
            try:
                return self._descends(start, asks=pid)
            except ProcessLookupError:
                # An ancestor ended: `docker exec` does so as soon as its command runs. Start again
                # at the client to find the new parents.
                start = pid
            except OSError as error:
                if is_full_table(error):
                    raise
                return True
        return True

    def close(self) -> None:
        """Close all pidfds."""
        _close(self._strangers)
        self._strangers.clear()

    def _descends(self, start: int, *, asks: int) -> bool:
        walked: dict[int, int] = {}
        try:
            is_one = self._walk(start, walked)
            # The client itself is not cached: it asks once.
            for stranger in () if is_one else walked.keys() - {asks}:
                self._remember(stranger, walked.pop(stranger))
        finally:
            _close(walked)
        return is_one

    def _walk(self, pid: int, walked: dict[int, int]) -> bool:
        """Raises ProcessLookupError if one of the processes ends meanwhile, or OSError."""
        for _ in range(GENERATIONS):
            if pid == self._ancestor:
                return True
            if pid <= 1 or self._is_stranger(pid):
                return False
            # Opened before reading: if it is alive afterwards, the pid was not reused, and the data
            # are those of this process.
            walked[pid] = os.pidfd_open(pid)
            try:
                stat = read_process_entry(pid, "stat")
            except FileNotFoundError as error:
                raise ProcessLookupError from error
            if is_dead(walked[pid]):
                raise ProcessLookupError
            # A process's name may contain blanks and parentheses.
            pid = int(stat.rpartition(")")[2].split()[1])
        return True

    def _is_stranger(self, pid: int) -> bool:
        pidfd = self._strangers.get(pid)
        if pidfd is not None and is_dead(pidfd):
            os.close(self._strangers.pop(pid))
            return False
        return pidfd is not None

    def _remember(self, pid: int, pidfd: int) -> None:
        if len(self._strangers) >= KEPT:
            os.close(self._strangers.pop(next(iter(self._strangers))))
        self._strangers[pid] = pidfd


def _close(processes: dict[int, int]) -> None:
    for pidfd in processes.values():
        with suppress(OSError):
            os.close(pidfd)
