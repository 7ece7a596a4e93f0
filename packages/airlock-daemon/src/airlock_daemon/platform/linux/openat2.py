"""openat2(2) and statx(2), which Python's os module lacks, for lookups that never block."""

import ctypes
import errno
import functools
import os
import struct
import sys
from collections.abc import Callable

_RESOLVE_NO_SYMLINKS, _RESOLVE_CACHED = 0x04, 0x20

# The same number on every architecture, as for all newer system calls.
_NUMBER = 437

_AT_FDCWD = -100

# struct open_how: flags, mode, resolve.
_OPEN_HOW = struct.Struct("=QQQ")


def openat2(
    path: str,
    flags: int,
    *,
    directory: int | None = None,
    is_cached: bool = False,
    no_links: bool = False,
) -> int:
    """Open `path`, relative to the open `directory`; the caller closes the descriptor.

    With `is_cached`, fails with EAGAIN instead of blocking if the kernel lacks something in memory.
    With `no_links`, no component may be a symlink (ELOOP), the last one included. Raises OSError;
    NotImplementedError if the call or `is_cached` is not supported, on a kernel before Linux 5.6
    (`is_cached`: 5.12), under a seccomp filter that does not know it, or on another system; and
    ValueError for a NUL in the path.
    """
    if sys.platform != "linux":
        # There the number is that of another call.
        raise NotImplementedError("openat2")
    name = os.fsencode(path)
    if b"\0" in name:
        raise ValueError("embedded null byte")
    resolve = _RESOLVE_CACHED * is_cached | _RESOLVE_NO_SYMLINKS * no_links
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


# fstat(2) asks the remote end of a file system (FUSE, NFS), and never returns if that does not
# answer.

_AT_EMPTY_PATH, _AT_STATX_DONT_SYNC = 0x1000, 0x4000
_STATX_BASIC_STATS = 0x7FF

# struct statx: links, user, group and mode, then the inode, and after the times the device.
_STATX = struct.Struct("=16xIIIH2xQ96xII112x")
_Answer = ctypes.c_char * _STATX.size


def read_known_status(descriptor: int) -> os.stat_result:
    """An open file's status; size and times are 0. Raises OSError."""
    answer = _Answer()
    flags = _AT_EMPTY_PATH | _AT_STATX_DONT_SYNC
    if _statx()(descriptor, b"", flags, _STATX_BASIC_STATS, answer):
        # The call is missing, or forbidden here.
        return os.fstat(descriptor)
    links, user, group, mode, inode, major, minor = _STATX.unpack(answer)
    device = os.makedev(major, minor)
    return os.stat_result((mode, inode, device, links, user, group, 0, 0, 0, 0))


@functools.cache
def _statx() -> Callable[..., int]:
    call: Callable[..., int] = getattr(ctypes.CDLL(None), "statx", lambda *_: -1)
    return call
