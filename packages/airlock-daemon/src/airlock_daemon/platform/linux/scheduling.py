"""How soon the kernel schedules this process when it becomes runnable (sched_setattr(2)).

A server computes often and briefly. Among processes that compute continuously, such as a git that
packs, each of its steps would wait for their time slices to end. Since Linux 6.12 a process can
request shorter slices: it gets no more CPU time, but gets it sooner.
"""

import ctypes
import os
import platform
import struct

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
