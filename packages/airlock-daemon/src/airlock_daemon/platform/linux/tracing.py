"""Keeping this process to itself (PR_SET_DUMPABLE(2const), ptrace(2))."""

import ctypes
import os

from airlock_daemon.platform.linux.procfs import read_process_file

_PR_SET_DUMPABLE = 4


def forbid_tracing() -> bool:
    """Let no other process of this user read memory, environment and descriptors of this one.

    Root still can, and what this process executes is not affected. Returns False, with nothing
    changed, where it could not read all of its own /proc any more: before Linux 5.14 its fdinfo
    belongs to root then.
    """
    prctl(_PR_SET_DUMPABLE, 0)
    descriptor = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        read_process_file(os.getpid(), f"fdinfo/{descriptor}")
    except PermissionError:
        prctl(_PR_SET_DUMPABLE, 1)
        return False
    finally:
        os.close(descriptor)
    return True


def prctl(option: int, *values: int) -> None:
    """Call prctl(2). Raises OSError."""
    call = ctypes.CDLL(None, use_errno=True).prctl
    call.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)
    if call(option, *values, *[0] * (4 - len(values))) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
