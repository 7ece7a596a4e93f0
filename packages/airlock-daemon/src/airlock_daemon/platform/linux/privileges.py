"""Privileges of this process, access by its user's other processes, and how soon it runs."""

import ctypes
import os
import platform
import struct
from collections.abc import Iterable
from contextlib import suppress

from airlock_daemon.errors import Failed
from airlock_daemon.platform.linux.processes import read_process_file

_PR_SET_DUMPABLE = 4


def forbid_tracing() -> bool:
    """Keep the user's other processes from this one's memory, environment and descriptors.

    Root still has access, and executed programs are not affected. Returns False, with nothing
    changed, if this process could then not read all of its own /proc: before Linux 5.14 its fdinfo
    would belong to root.
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


_PR_CAPBSET_DROP = 24
_PR_CAP_AMBIENT, _CLEAR_ALL = 47, 4
_VERSION = 0x20080522
_MAX = 64
_DAC_OVERRIDE = 1 << 1


def drop_capabilities(directories: Iterable[str] | None = None) -> None:
    """Drop all capabilities of this thread, and every way to regain one.

    Keeps CAP_DAC_OVERRIDE if the process cannot write to all of `directories` without it; None
    keeps it while they are unknown. Raises Failed.
    """
    for number in range(_MAX):
        # Unprivileged, or the kernel does not know the capability.
        with suppress(OSError):
            prctl(_PR_CAPBSET_DROP, number)
    with suppress(OSError):
        prctl(_PR_CAP_AMBIENT, _CLEAR_ALL)
    kept = _read_permitted() & _DAC_OVERRIDE
    _set(effective=0, permitted=kept)
    is_needed = directories is None or not all(
        os.access(each, os.W_OK | os.X_OK, effective_ids=True) for each in directories
    )
    if is_needed:
        _set(effective=kept, permitted=kept)
    else:
        _set(effective=0, permitted=0)


def _read_permitted() -> int:
    data = ctypes.create_string_buffer(24)
    _call("capget", data)
    _, low, _, _, high, _ = struct.unpack("=6I", data.raw)
    return int(low | high << 32)


def _set(*, effective: int, permitted: int) -> None:
    halves = [
        (effective >> shift & 0xFFFFFFFF, permitted >> shift & 0xFFFFFFFF, 0) for shift in (0, 32)
    ]
    _call("capset", ctypes.create_string_buffer(struct.pack("=6I", *halves[0], *halves[1]), 24))


def _call(name: str, data: "ctypes.Array[ctypes.c_char]") -> None:
    call = getattr(ctypes.CDLL(None, use_errno=True), name)
    if call(struct.pack("=Ii", _VERSION, 0), data) != 0:
        problem = f"capabilities cannot be dropped: {name}: {os.strerror(ctypes.get_errno())}"
        raise Failed(problem, hint="have the seccomp profile of the daemon's container allow that")


# A server computes often and briefly. Among processes that compute continuously, such as a git that
# packs, each of its steps would wait for their time slices to end. Since Linux 6.12 a process can
# request shorter slices (sched_setattr(2)): it gets no more CPU time, but gets it sooner.
SLICE_NS = 100_000
"""The shortest slice that the kernel allows, in nanoseconds."""

# System call numbers by uname(2)'s name of the processor; others are not supported.
_NUMBERS = {"x86_64": 314, "aarch64": 274}

# struct sched_attr: size, policy, flags, nice, priority, runtime, deadline, period.
_ATTRIBUTES = struct.Struct("=IIQiIQQQ")

# Started programs get default slices.
_RESET_ON_FORK = 1


def ask_for_short_slices() -> bool:
    """Request short slices for this thread; returns False, with nothing changed, if it cannot.

    An older kernel accepts the request and ignores it. A thread with another scheduling policy
    keeps that.
    """
    number = _NUMBERS.get(platform.machine())
    if number is None or os.sched_getscheduler(0) != os.SCHED_OTHER:
        return False
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    size = _ATTRIBUTES.size
    asked = _ATTRIBUTES.pack(size, os.SCHED_OTHER, _RESET_ON_FORK, nice, 0, SLICE_NS, 0, 0)
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    return bool(call(ctypes.c_long(number), ctypes.c_int(0), asked, ctypes.c_uint(0)) == 0)
