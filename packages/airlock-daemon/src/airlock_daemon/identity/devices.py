"""Whether devices that root of a container makes are those of the host (mknod(2)).

That needs CAP_MKNOD in the initial user namespace, which nothing has in a pid namespace that
another user namespace owns (pid_namespaces(7), ioctl_ns(2)).
"""

import fcntl
import os

# Those of the initial namespaces are fixed (include/linux/proc_ns.h of the kernel).
_FIRST_PIDS, _FIRST_USERS = 0xEFFFFFFC, 0xEFFFFFFD
_NS_GET_USERNS, _NS_GET_PARENT = 0xB701, 0xB702


def holds_devices(pid: int | None) -> bool:
    """Whether root of the container of `pid` can make devices that the daemon opens.

    True where that cannot be known. A daemon that is in a pid namespace of its own is in a
    container, whose engine lists the devices that can be opened in there.
    """
    if os.stat("/proc/self/ns/pid").st_ino != _FIRST_PIDS:
        return False
    if pid is None:
        return True
    try:
        return _find_owner(pid) == _FIRST_USERS
    except OSError:
        return True


def _find_owner(pid: int) -> int:
    """The user namespace that owns the outermost pid namespace of `pid` below the first.

    What a process of the container can make for itself lies further in. Raises OSError.
    """
    namespace = os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        while True:
            above = fcntl.ioctl(namespace, _NS_GET_PARENT)
            if os.fstat(above).st_ino == _FIRST_PIDS:
                os.close(above)
                break
            os.close(namespace)
            namespace = above
        owner = fcntl.ioctl(namespace, _NS_GET_USERNS)
    finally:
        os.close(namespace)
    try:
        return os.fstat(owner).st_ino
    finally:
        os.close(owner)
