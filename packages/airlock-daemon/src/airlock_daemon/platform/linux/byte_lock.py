"""Locks on one byte of a file, which the kernel attributes to a process (F_SETLK(2const)).

Such a lock belongs to the process that took it: it cannot be passed by a descriptor, children do
not inherit it, and it ends with the process. It also ends when the process closes any descriptor of
the same file. The byte need not exist.
"""

import fcntl
import struct

# Linux's struct flock with 64-bit file offsets: type, whence, start, length, pid.
_FLOCK = struct.Struct("hhqqi4x")


def lock_byte(descriptor: int, offset: int) -> None:
    """Lock a byte of a file open for writing; raises OSError, also if another process has it."""
    fcntl.fcntl(descriptor, fcntl.F_SETLK, _FLOCK.pack(fcntl.F_WRLCK, 0, offset, 1, 0))


def find_holder(descriptor: int, offset: int) -> int | None:
    """The pid of another process that has locked a byte of the open file, None if none has.

    0 for a process outside of this pid namespace. Raises OSError.
    """
    asked = _FLOCK.pack(fcntl.F_WRLCK, 0, offset, 1, 0)
    kind, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    return None if kind == fcntl.F_UNLCK else pid
