"""openat2(2) and statx(2), which Python's os module lacks, for lookups that never block."""

import ctypes
import errno
import functools
import os
import struct
import sys
from collections.abc import Callable

from airlock_daemon.platform.flags import SEARCH

RESOLVE_NO_SYMLINKS = 0x04
"""No component may be a symlink (ELOOP), the last one included."""

RESOLVE_CACHED = 0x20
"""Fail with EAGAIN instead of blocking if the kernel lacks something in memory."""

# The same number on every architecture, as for all newer system calls.
_NUMBER = 437

_AT_FDCWD = -100

# struct open_how: flags, mode, resolve.
_OPEN_HOW = struct.Struct("=QQQ")


def openat2(path: str, flags: int, *, resolve: int, directory: int | None = None) -> int:
    """Open `path`, relative to the open `directory`; the caller closes the descriptor.

    Raises OSError; NotImplementedError if the call or `resolve` is not supported, on a kernel
    before Linux 5.6 (RESOLVE_CACHED: 5.12) or under a seccomp filter that does not know it; and
    ValueError for a NUL in the path.
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


def open_without_links(path: str, flags: int, *, at_once: bool = False) -> int:
    """Open the absolute `path`, none of whose components may be a symlink (ELOOP, ENOTDIR).

    The caller closes the descriptor. Raises OSError; with `at_once`, BlockingIOError if it would
    block.
    """
    resolve = RESOLVE_NO_SYMLINKS | RESOLVE_CACHED if at_once else RESOLVE_NO_SYMLINKS
    if sys.platform == "linux":
        try:
            return openat2(path, flags, resolve=resolve)
        except NotImplementedError:
            pass
    if at_once:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN), path)
    return _open_by_parts(path, flags)


def _open_by_parts(path: str, flags: int) -> int:
    """Open without openat2(2), by a system call per component."""
    directory = SEARCH | os.O_DIRECTORY | os.O_CLOEXEC
    descriptor = os.open("/", directory)
    parts = [part for part in path.split("/") if part]
    for number, part in enumerate(parts, start=1):
        kind = flags if number == len(parts) else directory
        try:
            inner = os.open(part, kind | os.O_NOFOLLOW, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = inner
    return descriptor


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
