"""Calls on files that Python lacks: openat2(2), statx(2), sealed files in memory, locks on a byte.

The lookups never block. Such a lock (F_SETLK(2const)) belongs to the process that took it: it
cannot be passed by a descriptor, children do not inherit it, and it ends with the process. It also
ends when the process closes any descriptor of the same file. The byte need not exist.
"""

import ctypes
import errno
import fcntl
import functools
import os
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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


def make_sealed(name: str, content: bytes) -> int:
    """Make a file that nobody can change any more, for the caller to close. Raises OSError."""
    file = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(file, view) :]
        fcntl.fcntl(file, fcntl.F_ADD_SEALS, _content_seals() | fcntl.F_SEAL_SEAL)
    except BaseException:
        os.close(file)
        raise
    return file


@contextmanager
def private_file(name: str, content: bytes) -> Iterator[str]:
    """Yield a path at which this process alone can read `content` meanwhile. Raises OSError.

    It is for libraries that read only files.
    """
    file = os.memfd_create(name, os.MFD_CLOEXEC)
    try:
        os.write(file, content)
        yield f"/proc/self/fd/{file}"
    finally:
        os.close(file)


def is_sealed(file: int) -> bool:
    """Whether nobody can change an open file in memory. Raises OSError for any other file."""
    wanted = _content_seals()
    return fcntl.fcntl(file, fcntl.F_GET_SEALS) & wanted == wanted


def _content_seals() -> int:
    return fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


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
