"""The kernel's Landlock version, and confinement of a process's file access (landlock(7))."""

import ctypes
import functools
import os
import struct
from collections.abc import Iterable, Sequence
from contextlib import suppress

from airlock_daemon.platform.linux.privileges import drop_capabilities

# The same number on every architecture, as for all newer system calls.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION = 1
_BENEATH = 1

# linux/landlock.h: read rights; write rights, with the version that added each.
_READ_FILE, _READ_DIRECTORY = 1 << 2, 1 << 3
_WRITE_FILE, _REMOVE_FILE, _MAKE_REGULAR, _TRUNCATE = 1 << 1, 1 << 5, 1 << 8, 1 << 14
_CHANGES = sum(1 << bit for bit in (1, *range(4, 13)))
_LATER_CHANGES = {2: 1 << 13, 3: _TRUNCATE, 5: 1 << 15}
# Abstract sockets and signals of other processes.
_SCOPES = {6: 0b11}


@functools.cache
def landlock_version() -> int:
    """The kernel's Landlock version; 0 if missing or disabled."""
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    nothing = ctypes.c_void_p(None)
    found: int = call(
        ctypes.c_long(_CREATE_RULESET), nothing, ctypes.c_size_t(0), ctypes.c_uint32(_ASK_VERSION)
    )
    return max(found, 0)


def confine_files(*, written: Sequence[str], read: Iterable[str]) -> None:
    """Confine the file access of this thread, and of threads and processes that it starts.

    First it drops the capabilities of this thread that writing there does not need. The processes
    may write beneath the directories `written`, and read these and the paths `read` with all
    beneath, some of which may be missing. Open files stay open; mode, owner and times of files are
    not covered. The process must have no_new_privs. Without Landlock only capabilities are dropped.
    Raises Failed and OSError.
    """
    drop_capabilities(written)
    version = landlock_version()
    if version == 0:
        return
    changes = _CHANGES | _sum_known(_LATER_CHANGES, version)
    reading = _READ_FILE | _READ_DIRECTORY
    allowed = changes & (_WRITE_FILE | _REMOVE_FILE | _MAKE_REGULAR | _TRUNCATE)
    # Files, network, scopes. An older kernel accepts zeros for members that it does not know.
    attributes = struct.pack("=QQQ", changes | reading, 0, _sum_known(_SCOPES, version))
    ruleset = _call(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    try:
        for path in written:
            _allow(ruleset, path, allowed | reading)
        for path in read:
            with suppress(FileNotFoundError, PermissionError):
                _allow(ruleset, path, reading if os.path.isdir(path) else _READ_FILE)
        _call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, access: int) -> None:
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        _call(_ADD_RULE, ruleset, _BENEATH, struct.pack("=Qi", access, place), 0)
    finally:
        os.close(place)


def _sum_known(bits: dict[int, int], version: int) -> int:
    return sum(bit for since, bit in bits.items() if version >= since)


def _call(number: int, *arguments: object) -> int:
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    result: int = call(ctypes.c_long(number), *arguments)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result
