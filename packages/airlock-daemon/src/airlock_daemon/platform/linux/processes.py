"""Processes: their files in /proc, the one at the other end of a unix socket, and descendants.

Every request reads /proc, so each system call counts: this is several times faster than Python's
text files. unix(7) names the process of a peer, and a pidfd (pidfd_open(2)) is never reused.
"""

import errno
import fcntl
import itertools
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress

import msgspec

from airlock_daemon.errors import is_full_table

_PIECE = 65536


def read_process_file(pid: int, name: str, *, limit: int = sys.maxsize) -> str:
    """The whole content of /proc/`pid`/`name`.

    Raises OSError, also for a process that is gone, and EFBIG for more than `limit` bytes.
    """
    descriptor = _open(pid, name)
    try:
        pieces = []
        size = 0
        while piece := os.read(descriptor, _PIECE):
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    finally:
        os.close(descriptor)
    return os.fsdecode(b"".join(pieces))


def read_process_entry(pid: int, name: str) -> str:
    """As `read_process_file`, for a file that one read returns: stat, status, cgroup, fdinfo.

    Others (mountinfo, maps) are lists, of which one read returns some rows.
    """
    descriptor = _open(pid, name)
    try:
        return os.fsdecode(os.read(descriptor, _PIECE))
    finally:
        os.close(descriptor)


def find_fault() -> str | None:
    """Return None: Linux's own calls need no self-test."""


def read_mount_id(descriptor: int) -> int | None:
    """The mount id of an open file, as in mountinfo (proc_pid_fdinfo(5))."""
    for line in read_process_entry(os.getpid(), f"fdinfo/{descriptor}").splitlines():
        if line.startswith("mnt_id:"):
            return int(line.split()[1])
    return None


def name_descriptor(descriptor: int) -> str:
    """The kernel's name of an open file of this process: a path, or such as `pipe:[4711]`.

    Does not access the file itself. Raises OSError for a number that is not open.
    """
    return os.readlink(f"/proc/self/fd/{descriptor}")


def _open(pid: int, name: str) -> int:
    return os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)


# Of every architecture; a Python without Linux's names lacks it.
_SO_PEERCRED: int = getattr(socket, "SO_PEERCRED", 17)

# SO_PEERPIDFD (Linux 6.5), which Python's socket module lacks.
SO_PEERPIDFD = 77

# ioctl(2) with the first form of struct pidfd_info, from Linux 6.13 (linux/pidfd.h): the mask, the
# cgroup's id, pid, thread group, parent, and eight ids of users and groups.
_PIDFD_INFO = struct.Struct("=QQIII36x")
_PIDFD_GET_INFO = 3 << 30 | _PIDFD_INFO.size << 16 | 0xFF << 8 | 11
_PIDFD_INFO_PID = 1


class Credentials(msgspec.Struct, frozen=True):
    """Pid and uid of a process; the pid is 0 if it is outside of this pid namespace."""

    pid: int
    uid: int


def peer_credentials(connection: socket.socket) -> Credentials:
    """Return the process that connected (SO_PEERCRED)."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERCRED, 12)
    pid, uid, _ = struct.unpack("iII", credentials)
    return Credentials(pid, uid)


def peer_pidfd(connection: socket.socket) -> int | None:
    """A pidfd of that process, for the caller to close; None if the kernel has no such option.

    Raises OSError: EMFILE and ENFILE without free descriptors, anything else for a process that is
    gone.
    """
    try:
        return connection.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD)
    except OSError as error:
        if error.errno == errno.ENOPROTOOPT:
            return None
        raise


def read_parent(pidfd: int) -> int | None:
    """The parent's pid of a pidfd's process; None if the kernel does not support it.

    0 if the parent is outside of this pid namespace. Raises ProcessLookupError for a process that
    has ended and was waited for.
    """
    asked = _PIDFD_INFO.pack(_PIDFD_INFO_PID, 0, 0, 0, 0)
    try:
        _, _, _, _, parent = _PIDFD_INFO.unpack(fcntl.ioctl(pidfd, _PIDFD_GET_INFO, asked))
    except ProcessLookupError:
        raise
    except OSError as error:
        if is_dead(pidfd):
            raise ProcessLookupError from error
        return None
    return int(parent)


def is_dead(pidfd: int) -> bool:
    """Whether a pidfd's process has ended and was waited for."""
    try:
        signal.pidfd_send_signal(pidfd, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        # The process exists, and is another user's.
        return False
    return False


def read_namespaces(process: str) -> tuple[str, str]:
    """Return the pid and the mount namespace of /proc/`process`.

    Raises OSError without the right to trace it, usually because it is another user's.
    """
    directory = f"/proc/{process}/ns"
    return os.readlink(f"{directory}/pid"), os.readlink(f"{directory}/mnt")


KEPT = 16
GENERATIONS = 256
"""Exceeds any process's ancestry; ends the walk if the process table changes meanwhile."""
ATTEMPTS = 8
"""Walks of a process table that changes meanwhile."""


def ask_again(descends: Callable[[], bool]) -> bool:
    """Whether a process `descends`, asked again while one of its ancestors ends.

    True also if that is unknown. Raises OSError without a descriptor to look.
    """
    for _ in range(ATTEMPTS):
        try:
            return descends()
        except ProcessLookupError:
            continue
        except OSError as error:
            if is_full_table(error):
                raise
            return True
    return True


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
        # If an ancestor ends, as `docker exec` does as soon as its command runs, the client has new
        # parents.
        starts = itertools.chain((start,), itertools.repeat(pid))
        return ask_again(lambda: self._descends(next(starts), asks=pid))

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
