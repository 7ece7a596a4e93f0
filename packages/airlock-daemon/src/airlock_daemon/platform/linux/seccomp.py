"""Keeps a process from executing programs and reaching other processes (seccomp(2), prctl(2))."""

import ctypes
import errno
import os
import platform
import signal
import socket
import struct
from collections.abc import Iterator

from airlock_daemon.errors import Failed
from airlock_daemon.platform.linux.privileges import drop_capabilities, prctl

_PR_SET_PDEATHSIG = 1
_PR_SET_SECCOMP = 22
_PR_SET_NO_NEW_PRIVS = 38
_MODE_FILTER = 2

# linux/audit.h: the architecture of a system call, by uname(2)'s name.
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# Calls of the x32 ABI, which has the same architecture value, have this bit.
_X32 = 0x40000000

# The numbers on x86_64 and on aarch64; newer calls have the same on both.
_REFUSED = {
    "execve": (59, 221),
    "execveat": (322, 281),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "umount2": (166, 39),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "open_by_handle_at": (304, 265),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "kill": (62, 129),
    "tkill": (200, 130),
    "tgkill": (234, 131),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
}

# What reaches others through files and processes of the same user: modes, owners, times and
# attributes (chmod to file_setattr); priorities, processors and pages (setpriority to move_pages);
# memory, semaphores and queues (shmget to mq_unlink).
_UNNAMED = {
    "x86_64": (
        *(90, 91, 92, 93, 94, 132, 188, 189, 190, 197, 198, 199, 235, 260, 261, 268, 280, 452),
        *(463, 466, 469, 141, 142, 144, 203, 251, 256, 279, 314),
        *(29, 30, 31, 64, 65, 66, 68, 69, 70, 71, 220, 240, 241),
    ),
    "aarch64": (
        *(5, 6, 7, 14, 15, 16, 52, 53, 54, 55, 88, 452, 463, 466, 469),
        *(30, 118, 119, 122, 140, 238, 239, 274),
        *(180, 181, 186, 187, 188, 189, 190, 191, 192, 193, 194, 195, 196),
    ),
}

_SOCKET, _SOCKETPAIR, _PRLIMIT = (41, 198), (53, 199), (302, 261)
_CLONE, _CLONE3 = (56, 220), (435, 435)
# The resolver uses netlink(7) to find which addresses this host has.
_FAMILIES = (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK)
_TYPE_MASK = 0xF
# CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET.
_NAMESPACES = 0x7E020000

# linux/filter.h and linux/seccomp.h.
_LOAD, _IS, _HAS, _AND, _RETURN = 0x20, 0x15, 0x45, 0x54, 0x06
# The low half of an argument, which is all that a call reads of an int; it comes first on both.
_NUMBER, _ARCHITECTURE, _FIRST, _SECOND = 0, 4, 16, 24
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def isolate_child(parent: int) -> None:
    """Tie this forked process to `parent`, drop its capabilities, and keep it from executing.

    It may keep CAP_DAC_OVERRIDE, as `drop_capabilities` says. Raises Failed, as
    `forbid_executing` does.
    """
    _die_with_parent(parent)
    drop_capabilities()
    forbid_executing()


def _die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when the thread that forked it ends.

    Exits at once if `parent` is not its parent any more.
    """
    prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:
        os._exit(1)


def forbid_executing() -> None:
    """Keep this process and its children from executing programs and reaching other processes.

    They can neither trace nor signal, limit no other process, enter no namespace, change no mode or
    time of a file, and create only network sockets and stream socket pairs. Such calls fail with
    EPERM, and one of another architecture kills the process. Raises Failed if the kernel has no
    such filters.
    """
    try:
        prctl(_PR_SET_NO_NEW_PRIVS, 1)
        code = b"".join(_make_program(platform.machine()))
        program = _Program(len(code) // 8, code)
        prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.addressof(program))
    except (KeyError, OSError) as error:
        raise Failed(
            f"the kernel takes no filter of system calls ({error})",
            hint="use a kernel with CONFIG_SECCOMP_FILTER on x86_64 or aarch64",
        ) from error


def _make_program(machine: str) -> Iterator[bytes]:
    column = list(_ARCHITECTURES).index(machine)
    yield _step(_LOAD, value=_ARCHITECTURE)
    yield _step(_IS, value=_ARCHITECTURES[machine], if_so=1)
    yield _step(_RETURN, value=_KILL)
    yield _step(_LOAD, value=_NUMBER)
    yield _step(_HAS, value=_X32, if_not=1)
    yield _step(_RETURN, value=_KILL)
    for number in (*(each[column] for each in _REFUSED.values()), *_UNNAMED[machine]):
        yield from _decide(number, _fail(errno.EPERM))
    # The C library asks for this process's own by 0. RLIMIT_CPU would end another one.
    yield from _decide(
        _PRLIMIT[column],
        _step(_LOAD, value=_FIRST),
        _step(_IS, value=0, if_so=1),
        _fail(errno.EPERM),
        _step(_RETURN, value=_ALLOW),
    )
    # Its flags are in memory, which a filter cannot read. The C library falls back to clone(2).
    yield from _decide(_CLONE3[column], _fail(errno.ENOSYS))
    yield from _decide(
        _CLONE[column],
        _step(_LOAD, value=_FIRST),
        _step(_HAS, value=_NAMESPACES, if_not=1),
        _fail(errno.EPERM),
        _step(_RETURN, value=_ALLOW),
    )
    # One of a pair of datagram sockets could connect to another socket.
    yield from _decide(
        _SOCKETPAIR[column],
        _step(_LOAD, value=_SECOND),
        _step(_AND, value=_TYPE_MASK),
        _step(_IS, value=socket.SOCK_STREAM, if_so=1),
        _fail(errno.EPERM),
        _step(_RETURN, value=_ALLOW),
    )
    yield from _decide(
        _SOCKET[column],
        _step(_LOAD, value=_FIRST),
        *(_step(_IS, value=each, if_so=len(_FAMILIES) - i) for i, each in enumerate(_FAMILIES)),
        _fail(errno.EPERM),
        _step(_RETURN, value=_ALLOW),
    )
    yield _step(_RETURN, value=_ALLOW)


def _decide(number: int, *steps: bytes) -> tuple[bytes, ...]:
    """The steps for one call, which end in a return."""
    return (_step(_IS, value=number, if_not=len(steps)), *steps)


def _fail(number: int) -> bytes:
    return _step(_RETURN, value=_ERROR | number)


def _step(code: int, *, value: int, if_so: int = 0, if_not: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_so, if_not, value)
