"""Locks on one byte of a file, which the kernel attributes to a process (F_SETLK(2const)).

Such a lock belongs to the process that took it: no descriptor hands it on, no child inherits it,
and it is gone when the process is. It also goes when the process closes any descriptor of the same
file. The byte need not exist.
"""

import fcntl
import struct

# struct flock of Linux, where file offsets have 64 bits: type, whence, start, length, pid.
_FLOCK = struct.Struct("hhqqi4x")


def lock_byte(descriptor: int, offset: int) -> None:
    """Lock a byte of a file that is open for writing; raises OSError, also where another has it."""
    fcntl.fcntl(descriptor, fcntl.F_SETLK, _FLOCK.pack(fcntl.F_WRLCK, 0, offset, 1, 0))


def find_holder(descriptor: int, offset: int) -> int | None:
    """The pid of the other process that has locked a byte of the open file, None for no process.

    It is 0 for one that has no number in this pid namespace. Raises OSError.
    """
    asked = _FLOCK.pack(fcntl.F_WRLCK, 0, offset, 1, 0)
    kind, _, _, _, pid = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    return None if kind == fcntl.F_UNLCK else pid
