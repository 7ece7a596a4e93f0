"""openat2(2), which Python's os module does not have."""

import ctypes
import errno
import functools
import os
import struct
from collections.abc import Callable

RESOLVE_NO_SYMLINKS = 0x04
"""No component may be a symbolic link (ELOOP), the last one included."""

RESOLVE_CACHED = 0x20
"""Nothing may be waited for: what the kernel does not have in memory is EAGAIN."""

# The same number on every architecture, as for all newer system calls.
_NUMBER = 437

_AT_FDCWD = -100

# struct open_how: flags, mode, resolve.
_OPEN_HOW = struct.Struct("=QQQ")


def openat2(path: str, flags: int, *, resolve: int, directory: int | None = None) -> int:
    """Open `path`, from the open `directory` on; the caller closes the descriptor returned.

    Raises OSError; NotImplementedError where there is no such call or `resolve` is not known, on a
    kernel before Linux 5.6 (RESOLVE_CACHED: 5.12) or under a seccomp filter that does not know it;
    and ValueError for a NUL in the path.
    """
    name = os.fsencode(path)
    if b"\0" in name:
        raise ValueError("embedded null byte")
    how = _OPEN_HOW.pack(flags, 0, resolve)
    descriptor = _syscall()(
        _NUMBER, _AT_FDCWD if directory is None else directory, name, how, len(how)
    )
    if descriptor >= 0:
        return descriptor
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EPERM, errno.EINVAL):
        raise NotImplementedError("openat2")
    raise OSError(number, os.strerror(number), path)


@functools.cache
def _syscall() -> Callable[..., int]:
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    call.argtypes = (
        ctypes.c_long,
        ctypes.c_long,
        ctypes.c_char_p,
        ctypes.c_char_p,
        ctypes.c_size_t,
    )
    return call
