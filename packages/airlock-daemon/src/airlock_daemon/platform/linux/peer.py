"""What the kernel says of the process at the other end of a unix socket (unix(7))."""

import errno
import fcntl
import os
import signal
import socket
import struct

import msgspec

# SO_PEERPIDFD (Linux 6.5), which Python's socket module does not name.
SO_PEERPIDFD = 77

# ioctl(2) with the first form of struct pidfd_info, from Linux 6.13 (linux/pidfd.h): the mask, the
# number of the cgroup, pid, thread group, parent, and eight numbers of user and group.
_PIDFD_INFO = struct.Struct("=QQIII36x")
_PIDFD_GET_INFO = 3 << 30 | _PIDFD_INFO.size << 16 | 0xFF << 8 | 11
_PIDFD_INFO_PID = 1


class Credentials(msgspec.Struct, frozen=True):
    """Pid and uid of a process; the pid is 0 where its namespace cannot be seen from here."""

    pid: int
    uid: int


def peer_credentials(connection: socket.socket) -> Credentials:
    """Say which process connected (SO_PEERCRED)."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    pid, uid, _ = struct.unpack("iII", credentials)
    return Credentials(pid, uid)


def peer_pidfd(connection: socket.socket) -> int | None:
    """A descriptor of that process, for the caller to close; None on a kernel without it.

    Raises OSError: EMFILE and ENFILE where there are no descriptors left, anything else for a
    process that is gone.
    """
    try:
        return connection.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD)
    except OSError as error:
        if error.errno == errno.ENOPROTOOPT:
            return None
        raise


def read_parent(pidfd: int) -> int | None:
    """The pid of the parent of the process of a descriptor; None on a kernel that does not say.

    0 where that is outside of this pid namespace. Raises ProcessLookupError for a process that has
    ended and was waited for.
    """
    asked = _PIDFD_INFO.pack(_PIDFD_INFO_PID, 0, 0, 0, 0)
    try:
        _, _, _, _, parent = _PIDFD_INFO.unpack(fcntl.ioctl(pidfd, _PIDFD_GET_INFO, asked))
    except ProcessLookupError:
        raise
    except OSError:
        return None
    return int(parent)


def is_dead(pidfd: int) -> bool:
    """Whether the process of a descriptor has ended and was waited for."""
    try:
        signal.pidfd_send_signal(pidfd, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        # The process is another user's, and there.
        return False
    return False


def read_namespaces(process: str) -> tuple[str, str]:
    """Name the pid and the mount namespace of /proc/`process`.

    Raises OSError without the right to trace it, which mostly means another user's.
    """
    directory = f"/proc/{process}/ns"
    return os.readlink(f"{directory}/pid"), os.readlink(f"{directory}/mnt")
