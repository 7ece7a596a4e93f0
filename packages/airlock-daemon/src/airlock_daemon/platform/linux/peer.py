"""What the kernel says of the process at the other end of a unix socket (unix(7))."""

import errno
import fcntl
import os
import signal
import socket
import struct

import msgspec

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
