"""Who descends from a process, without pidfds and without /proc.

A pid may be used again. A process is therefore recognised by its pid and the time of its start, and
is read again after its parent was read: if both are the same, the parent was its parent.
"""

import os
from collections.abc import Callable

import msgspec

from airlock_daemon.platform.linux.processes import GENERATIONS, ask_again
from airlock_daemon.platform.posix import is_darwin


class ProcessEntry(msgspec.Struct, frozen=True):
    """A process's parent, and when it began, in a unit of the kernel's own."""

    parent: int
    began: int


Read = Callable[[int], ProcessEntry]
"""Reads the entry of a pid; raises ProcessLookupError for one that has ended, and OSError."""


def read_process(pid: int) -> ProcessEntry:
    """Read the entry of a process of this system; raises as Read does."""
    if is_darwin():
        from airlock_daemon.platform.darwin import leaves  # noqa: PLC0415 - on macOS alone

        return leaves.read_process(pid)
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # A process's name may contain blanks and parentheses.
            words = file.read().rpartition(b")")[2].split()
    except FileNotFoundError as error:
        raise ProcessLookupError from error
    return ProcessEntry(parent=int(words[1]), began=int(words[19]))


class Ancestry:
    """Tells the descendants of process `ancestor` from all others.

    Without subreapers a process whose parent has ended is init's child. It still counts by its
    session, whose leader is the tool that started it, unless it has left that (setsid(2)).
    """

    def __init__(
        self,
        ancestor: int,
        read: Read = read_process,
        *,
        find_session: Callable[[int], int] = os.getsid,
    ) -> None:
        self._ancestor = ancestor
        self._read = read
        self._find_session = find_session

    def includes(self, pid: int, *, parent: int | None = None) -> bool:
        """Whether `pid` descends from the ancestor; True also if that is unknown.

        `parent` is of no use here: it may have ended, and its pid be another's. Raises OSError
        without a descriptor to look.
        """
        del parent
        return ask_again(lambda: self._descends(pid))

    def close(self) -> None:
        """Release nothing: no descriptor is open."""

    def _descends(self, pid: int) -> bool:
        if self._walk(pid):
            return True
        leader = self._find_session(pid)
        try:
            return leader != pid and self._walk(leader)
        except ProcessLookupError:
            # The launcher ends what a tool leaves behind.
            return False

    def _walk(self, pid: int) -> bool:
        if pid == self._ancestor:
            return True
        entry = self._read(pid)
        for _ in range(GENERATIONS):
            if entry.parent == self._ancestor:
                return True
            if entry.parent <= 1:
                return False
            above = self._read(entry.parent)
            if self._read(pid) != entry:
                raise ProcessLookupError
            pid, entry = entry.parent, above
        return True
