"""How soon the kernel lets this process run when it has something to do (sched_setattr(2)).

A process that serves others computes often and briefly. Beside others that compute without end, as
git does that packs, each of its steps would wait for their slices to end. Linux 6.12 and newer let
a process ask for shorter slices of its own: it gets no more of the processor, but gets it sooner.
"""

import ctypes
import os
import platform
import struct

SLICE_NS = 100_000
"""The shortest slice that there is."""

# By the name that uname(2) has for the processor; others are left as they are.
_NUMBERS = {"x86_64": 314, "aarch64": 274}

# struct sched_attr: size, policy, flags, nice, priority, runtime, deadline, period.
_ATTRIBUTES = struct.Struct("=IIQiIQQQ")

# What is started from here has slices as any other program.
_RESET_ON_FORK = 1


def ask_for_short_slices() -> bool:
    """Ask it for this thread; returns False where it cannot be asked, with nothing changed.

    A kernel that knows no such slices takes it and does nothing. A thread that was given another
    policy than the usual one keeps that.
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
