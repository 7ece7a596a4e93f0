"""Whether a process was started by Airlock, as the kernel tells (proc_pid_stat(5))."""

import os
from contextlib import suppress

from airlock_daemon.platform.linux.peer import is_dead
from airlock_daemon.platform.linux.procfs import read_process_entry

# More generations than any process has, should the table of processes change while it is read.
GENERATIONS = 256

KEPT = 16

# How often a table of processes that changes while it is read is read again.
ATTEMPTS = 8


class Ancestry:
    """Tells the descendants of process `ancestor` from all others. Its owner must `close` it.

    A process that is none can never become one: the kernel hands orphans up, to ancestors that they
    had before. So some that were found to be none are remembered, by descriptors, which no other
    process can take over as a number can be; and a client whose shell is known needs no walk up to
    the first process.
    """

    def __init__(self, ancestor: int) -> None:
        self._ancestor = ancestor
        self._strangers: dict[int, int] = {}

    def includes(self, pid: int, *, parent: int | None = None) -> bool:
        """Whether `pid` descends from the ancestor; True also when that cannot be told.

        `parent` is the parent of `pid`, where that is known.
        """
        if pid == self._ancestor:
            return True
        start = pid if parent is None else parent
        for _ in range(ATTEMPTS):
            try:
                return self._descends(start, asks=pid)
            except ProcessLookupError:
                # Somebody above has ended: `docker exec` does so as soon as its command runs. Where
                # the orphans were handed to is asked of the client itself.
                start = pid
            except OSError:
                return True
        return True

    def close(self) -> None:
        """Give back all descriptors."""
        _close(self._strangers)
        self._strangers.clear()

    def _descends(self, start: int, *, asks: int) -> bool:
        walked: dict[int, int] = {}
        try:
            is_one = self._walk(start, walked)
            # The client itself asks once.
            for stranger in () if is_one else walked.keys() - {asks}:
                self._remember(stranger, walked.pop(stranger))
        finally:
            _close(walked)
        return is_one

    def _walk(self, pid: int, walked: dict[int, int]) -> bool:
        """Raises ProcessLookupError where one of them ends meanwhile, or OSError."""
        for _ in range(GENERATIONS):
            if pid == self._ancestor:
                return True
            if pid <= 1 or self._is_stranger(pid):
                return False
            # Before it is looked at: what is read is then of the process that this holds, as long
            # as that lives.
            walked[pid] = os.pidfd_open(pid)
            try:
                stat = read_process_entry(pid, "stat")
            except FileNotFoundError as error:
                raise ProcessLookupError from error
            if is_dead(walked[pid]):
                raise ProcessLookupError
            # The name of a process may hold blanks and brackets.
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
