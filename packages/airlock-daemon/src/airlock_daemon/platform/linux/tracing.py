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
    _set_dumpable(0)
    descriptor = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        read_process_file(os.getpid(), f"fdinfo/{descriptor}")
    except PermissionError:
        _set_dumpable(1)
        return False
    finally:
        os.close(descriptor)
    return True


def _set_dumpable(value: int) -> None:
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)
    if prctl(_PR_SET_DUMPABLE, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
