"""One listening socket in a directory that others may write: creation, access, identity.

Everything is relative to an open directory, or to an open file where the path may have changed: a
container may put a symlink in its place at any moment, but on macOS, where none reaches it.
"""

import errno
import os
import socket
import stat
import sys
from contextlib import AbstractContextManager, nullcontext

from airlock_daemon.errors import AirlockError

BACKLOG = 1024

File = tuple[int, int]
"""Device and inode, which identify a socket's file at its path."""


def clear(directory: int, name: str, path: str) -> None:
    """Remove a dead socket or an empty directory at `name`; anything else is an error.

    `path` is for messages. Raises AirlockError and OSError.
    """
    try:
        info = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return
    if stat.S_ISDIR(info.st_mode):
        # docker creates one when a container mounts a missing socket.
        try:
            os.rmdir(name, dir_fd=directory)
        except OSError as error:
            raise AirlockError(
                f"a directory stands where the socket {path} belongs, and is not empty",
                hint=f"look at what is in it, then: rm -r {path}",
            ) from error
        return
    if not stat.S_ISSOCK(info.st_mode):
        raise AirlockError(
            f"something that is no socket stands at {path}",
            hint=f"look at what it is, then: rm {path}",
        )
    with _address(directory, name) as address:
        is_live = _is_live(address)
    if is_live:
        raise AirlockError(
            f"somebody else is listening on {path}",
            hint="stop that process, or choose another directory with --sockets",
        )
    os.unlink(name, dir_fd=directory)


def bind(directory: int, name: str, *, mode: int, gid: int | None) -> tuple[socket.socket, File]:
    """Listen on a new socket, which the caller closes; raises OSError."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.setblocking(False)
        # Nobody can connect until listen(), when the mode is set.
        with _address(directory, name) as address:
            listening.bind(address)
        own = identify(directory, name)
        open_to_others(directory, name, own, mode=mode, gid=gid)
        listening.listen(BACKLOG)
    except BaseException:
        listening.close()
        raise
    return listening, own


def identify(directory: int, name: str) -> File:
    """Identify the file at `name` without following a symlink; raises OSError."""
    info = os.stat(name, dir_fd=directory, follow_symlinks=False)
    return info.st_dev, info.st_ino


def open_to_others(directory: int, name: str, own: File, *, mode: int, gid: int | None) -> None:
    """Set the mode of the socket `own`, and its group unless `gid` is None.

    Raises OSError, FileNotFoundError if `name` is not that socket any more.
    """
    if sys.platform != "linux":
        from airlock_daemon.platform.system import set_access  # noqa: PLC0415 - for macOS

        _check(os.stat(name, dir_fd=directory, follow_symlinks=False), own)
        set_access(directory, name, mode=mode, gid=gid)
        return
    file = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        info = os.fstat(file)
        _check(info, own)
        if gid is not None:
            os.chown(f"/proc/self/fd/{file}", -1, gid)
        os.chmod(f"/proc/self/fd/{file}", mode)
    finally:
        os.close(file)


def _check(info: os.stat_result, own: File) -> None:
    if not stat.S_ISSOCK(info.st_mode) or (info.st_dev, info.st_ino) != own:
        raise FileNotFoundError(errno.ENOENT, "it is not the socket that was made here")


def _address(directory: int, name: str) -> AbstractContextManager[str]:
    """An address for `name` in an open directory: short at any depth, and never redirected."""
    if sys.platform != "linux":
        from airlock_daemon.platform.system import relative_address  # noqa: PLC0415 - for macOS

        return relative_address(directory, name)
    return nullcontext(f"/proc/self/fd/{directory}/{name}")


def _is_live(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except OSError as error:
            # EAGAIN means a full backlog, so somebody listens.
            return error.errno not in (errno.ECONNREFUSED, errno.ENOENT)
        return True
