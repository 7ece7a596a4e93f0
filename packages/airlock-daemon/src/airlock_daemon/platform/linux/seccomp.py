"""A process that can execute nothing and look into no other (seccomp(2), prctl(2))."""

import ctypes
import os
import platform
import signal
import struct
from collections.abc import Iterator, Sequence

from airlock_daemon.errors import Failed
from airlock_daemon.platform.linux.tracing import prctl

_PR_SET_PDEATHSIG = 1
_PR_SET_SECCOMP = 22
_PR_SET_NO_NEW_PRIVS = 38
_MODE_FILTER = 2

# linux/audit.h: the architecture of a system call, by the name that uname(2) has for it.
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# Calls of the ABI x32, which is of the same architecture, have this bit.
_X32 = 0x40000000

# The numbers on x86_64 and on aarch64; later calls have the same on all.
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
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "keyctl": (250, 219),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
}

# linux/filter.h and linux/seccomp.h.
_LOAD, _IS, _HAS, _RETURN = 0x20, 0x15, 0x45, 0x06
_NUMBER, _ARCHITECTURE = 0, 4
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM = 1


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when the thread that forked it ends.

    Exits at once where `parent` is its parent no more.
    """
    prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:
        os._exit(1)


def forbid_executing() -> None:
    """From now on neither this process nor what it forks executes a program or traces a process.

    Such calls fail with EPERM, and one of another architecture ends the process. Raises Failed
    where the kernel has no such filters.
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
    refused: Sequence[int] = [numbers[column] for numbers in _REFUSED.values()]
    yield _step(_LOAD, value=_ARCHITECTURE)
    yield _step(_IS, value=_ARCHITECTURES[machine], if_not=len(refused) + 4)
    yield _step(_LOAD, value=_NUMBER)
    yield _step(_HAS, value=_X32, if_so=len(refused) + 2)
    for index, number in enumerate(refused):
        yield _step(_IS, value=number, if_so=len(refused) - index)
    yield _step(_RETURN, value=_ALLOW)
    yield _step(_RETURN, value=_ERROR | _EPERM)
    yield _step(_RETURN, value=_KILL)


def _step(code: int, *, value: int, if_so: int = 0, if_not: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_so, if_not, value)
