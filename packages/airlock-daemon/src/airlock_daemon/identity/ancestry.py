"""Whether a process was started by Airlock, as the kernel tells (proc_pid_stat(5))."""

from airlock_daemon.platform.linux.procfs import read_process_entry

# More generations than any process has, should the table of processes change while it is read.
GENERATIONS = 256

KEPT = 1024


class Ancestry:
    """Tells the descendants of process `ancestor` from all others.

    A process that is none can never become one: the kernel hands orphans up, to ancestors that they
    had before. So each that was found to be none is remembered, by its number and the time of its
    start, and a client whose shell is known needs no walk up to the first process.
    """

    def __init__(self, ancestor: int) -> None:
        self._ancestor = ancestor
        self._strangers: dict[int, str] = {}

    def includes(self, pid: int) -> bool:
        """Whether `pid` descends from the ancestor; True also when that cannot be told."""
        walked: dict[int, str] = {}
        for _ in range(GENERATIONS):
            if pid == self._ancestor:
                return True
            if pid <= 1:
                self._remember(walked)
                return False
            try:
                stat = read_process_entry(pid, "stat")
            except OSError:
                return True
            # The name of a process may hold blanks and brackets.
            fields = stat.rpartition(")")[2].split()
            parent, start = int(fields[1]), fields[19]
            if self._strangers.get(pid) == start:
                self._remember(walked)
                return False
            walked[pid] = start
            pid = parent
        return True

    def _remember(self, walked: dict[int, str]) -> None:
        # The first is the client itself, which asks once.
        strangers = list(walked.items())[1:]
        if len(self._strangers) + len(strangers) > KEPT:
            self._strangers.clear()
        self._strangers.update(strangers)
