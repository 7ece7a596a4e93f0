"""Locks on one byte of a file, which the kernel attributes to a process (F_SETLK of fcntl(2)).

Such a lock belongs to the process that took it: it cannot be passed by a descriptor, children do
not inherit it, and it ends with the process. It also ends when the process closes any descriptor of
the same file. The byte need not exist.
"""

import fcntl
import os
import struct

from airlock_daemon.platform.support import is_darwin

# struct flock with 64-bit offsets. Linux: type, whence, start, length, pid.
_LINUX = struct.Struct("hhqqi4x")
# macOS: start, length, pid, type, whence.
_DARWIN = struct.Struct("qqihh")


def lock_byte(descriptor: int, offset: int) -> None:
    """Lock a byte of a file open for writing; raises OSError, also if another process has it."""
    fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, offset, os.SEEK_SET)


def find_holder(descriptor: int, offset: int) -> int | None:
    """The pid of another process that has locked a byte of the open file, None if none has.

    0 for a process outside of this pid namespace. Raises OSError.
    """
    if is_darwin():
        asked = _DARWIN.pack(offset, 1, 0, fcntl.F_WRLCK, os.SEEK_SET)
        _, _, pid, kind, _ = _DARWIN.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    else:
        asked = _LINUX.pack(fcntl.F_WRLCK, os.SEEK_SET, offset, 1, 0)
        kind, _, _, _, pid = _LINUX.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    return None if kind == fcntl.F_UNLCK else pid
