"""What macOS does its own way, by libSystem: each function is one call and its layout.

The layouts are those of the headers that each function names. Nothing here can be tested on Linux:
`self_test` calls each of them with something whose answer is known. All raise OSError.
"""

import ctypes
import errno
import fcntl
import functools
import os
import socket
import struct

from airlock_daemon.platform.posix.processes import ProcessEntry

# sys/un.h: options of level SOL_LOCAL.
_SOL_LOCAL, _LOCAL_PEERCRED, _LOCAL_PEERPID = 0, 1, 2

# sys/ucred.h, struct xucred: version, user, count of groups, 16 groups.
_XUCRED = struct.Struct("=IIh2x16I")
_XUCRED_VERSION = 0

# sys/proc_info.h: PROC_PIDTBSDINFO, and struct proc_bsdinfo up to the pid's own start.
_PROC_PIDTBSDINFO = 3
_BSDINFO = struct.Struct("=12I16s32s5IiQQ")

# sys/proc_info.h: PROC_PIDVNODEPATHINFO, whose first path is the working directory's.
_PROC_PIDVNODEPATHINFO, _VNODE_INFO_SIZE, _MAXPATHLEN = 9, 152, 1024
_VNODE_PATHS = 2 * (_VNODE_INFO_SIZE + _MAXPATHLEN)

# sys/sysctl.h
_CTL_KERN, _KERN_PROCARGS2 = 1, 49

# sys/ptrace.h
_PT_DENY_ATTACH = 31

# sys/fcntl.h
_F_GETPATH = 50


def read_peer_user(connection: socket.socket) -> int:
    """The effective uid of the process that connected (LOCAL_PEERCRED, unix(4))."""
    answer = connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED.size)
    version, user, *_ = _XUCRED.unpack(answer)
    if version != _XUCRED_VERSION:
        raise OSError(f"struct xucred has version {version}, and not {_XUCRED_VERSION}")
    return int(user)


def read_peer_pid(connection: socket.socket) -> int:
    """The pid of the process that connected (LOCAL_PEERPID, unix(4))."""
    return connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERPID)


def read_process(pid: int) -> ProcessEntry:
    """A process's parent and start, in microseconds since 1970 (proc_pidinfo, libproc.h)."""
    fields = _BSDINFO.unpack(_read_info(pid, _PROC_PIDTBSDINFO, _BSDINFO.size))
    if fields[3] != pid:
        raise ProcessLookupError
    return ProcessEntry(parent=fields[4], began=fields[-2] * 1_000_000 + fields[-1])


def read_working_directory(pid: int) -> str:
    """The path of a process's working directory (PROC_PIDVNODEPATHINFO, libproc.h)."""
    answer = _read_info(pid, _PROC_PIDVNODEPATHINFO, _VNODE_PATHS)
    path = answer[_VNODE_INFO_SIZE : _VNODE_INFO_SIZE + _MAXPATHLEN]
    return os.fsdecode(path.partition(b"\0")[0])


def list_pids() -> list[int]:
    """The pids of all processes (proc_listallpids, libproc.h)."""
    room = _call("proc_listallpids", None, 0) + 64
    pids = (ctypes.c_int * room)()
    count = _call("proc_listallpids", pids, ctypes.sizeof(pids))
    return list(pids[:count])


def read_arguments(pid: int) -> list[bytes]:
    """The arguments of a process of this user (KERN_PROCARGS2, sysctl(3))."""
    name = (ctypes.c_int * 3)(_CTL_KERN, _KERN_PROCARGS2, pid)
    size = ctypes.c_size_t(os.sysconf("SC_ARG_MAX"))
    room = ctypes.create_string_buffer(size.value)
    _call("sysctl", name, 3, room, ctypes.byref(size), None, ctypes.c_size_t(0))
    count = struct.unpack_from("=i", room.raw)[0]
    # The path of the program, zero bytes up to a multiple of the word's size, then the arguments.
    _, _, rest = room.raw[4 : size.value].partition(b"\0")
    return rest.lstrip(b"\0").split(b"\0")[:count]


def read_path(descriptor: int) -> str:
    """The path of an open file, as it is spelled on disk (F_GETPATH, fcntl(2)).

    APFS ignores case by default, and realpath(3) leaves it as it was asked for.
    """
    answer = fcntl.fcntl(descriptor, _F_GETPATH, bytes(_MAXPATHLEN))
    return os.fsdecode(answer.partition(b"\0")[0])


def forbid_tracing() -> None:
    """Keep debuggers from this process's memory (PT_DENY_ATTACH, ptrace(2)).

    A debugger that is attached already ends this process.
    """
    _call("ptrace", _PT_DENY_ATTACH, 0, None, 0)


def _read_info(pid: int, flavour: int, size: int) -> bytes:
    room = ctypes.create_string_buffer(size)
    got = _call("proc_pidinfo", pid, flavour, ctypes.c_uint64(0), room, size)
    if got != size:
        # Such as ESRCH, which is a ProcessLookupError.
        number = ctypes.get_errno() or errno.ESRCH
        raise OSError(number, os.strerror(number), "proc_pidinfo")
    return room.raw


def _call(name: str, *arguments: object) -> int:
    ctypes.set_errno(0)
    result = int(getattr(_library(), name)(*arguments))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)
    return result


@functools.cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL("/usr/lib/libSystem.B.dylib", use_errno=True)
