"""The functions of `system` where Linux's names are missing, by POSIX or by macOS's own calls.

A Linux kernel below, as in tests, is asked in its own way what POSIX has no call for.
"""

import errno
import fcntl
import os
import resource
import select
import socket
import stat
import struct
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from airlock_daemon.platform.linux import files, privileges, processes
from airlock_daemon.platform.linux.mountinfo import MountTable
from airlock_daemon.platform.linux.processes import Credentials
from airlock_daemon.platform.posix import is_darwin

# macOS's struct flock with 64-bit offsets: start, length, pid, type, whence.
_LOCK = struct.Struct("qqihh")

_NO_ID: int | None = None


def peer_credentials(connection: socket.socket) -> Credentials:
    """Return the process that connected (unix(4) of macOS). Raises OSError."""
    if is_darwin():
        from airlock_daemon.platform.darwin import leaves  # noqa: PLC0415

        return Credentials(leaves.read_peer_pid(connection), leaves.read_peer_user(connection))
    return processes.peer_credentials(connection)


def forbid_tracing() -> bool:
    """Keep debuggers from this process's memory; False if that is not possible."""
    if is_darwin():
        from airlock_daemon.platform.darwin import leaves  # noqa: PLC0415

        leaves.forbid_tracing()
        return True
    return privileges.forbid_tracing()


def find_fault() -> str | None:
    """What this Mac does not do as serving relies on, by the self-test; None if it does all."""
    from airlock_daemon.platform.posix import self_test  # noqa: PLC0415 - once, at the start

    tried = self_test.run_self_test() if is_darwin() else ()
    return next((f"{each.what}: {each.problem}" for each in tried if each.problem), None)


def read_arguments(pid: int) -> list[str]:
    """The arguments of a process of this user. Raises OSError."""
    if is_darwin():
        from airlock_daemon.platform.darwin import leaves  # noqa: PLC0415

        return [os.fsdecode(word) for word in leaves.read_arguments(pid)]
    return processes.read_process_entry(pid, "cmdline").split("\0")


def find_ssh_agent(environment: Mapping[str, str]) -> str:
    """The socket of the ssh-agent to use now, "" if there is none; takes milliseconds.

    macOS has a new one at each login, which is asked for.
    """
    from airlock_daemon.platform.darwin import ssh_agent  # noqa: PLC0415 - seldom needed

    return ssh_agent.find_agent(environment) or ""


def ask_for_short_slices() -> bool:
    """Return False: POSIX has no such call."""
    return False


def name_descriptor(descriptor: int) -> str:
    """The path of an open directory, on macOS as it is spelled on disk. Raises OSError."""
    if is_darwin():
        from airlock_daemon.platform.darwin import leaves  # noqa: PLC0415

        return leaves.read_path(descriptor)
    return processes.name_descriptor(descriptor)


def read_mount_id(descriptor: int) -> int | None:
    """Return None: the mounts of this system have no ids."""
    del descriptor
    return _NO_ID


def read_own_mounts() -> MountTable:
    """Return no mounts: containers are in a virtual machine, and see none of this system's."""
    return MountTable()


@contextmanager
def private_file(name: str, content: bytes) -> Iterator[str]:
    """As `memfd.private_file`: a file of the temporary directory, 0600, which is removed."""
    with tempfile.NamedTemporaryFile(prefix=f"{name}-") as made:
        made.write(content)
        made.flush()
        yield made.name


def lock_byte(descriptor: int, offset: int) -> None:
    """As `files.lock_byte`, by the structure that Python knows."""
    fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, offset, os.SEEK_SET)


def find_holder(descriptor: int, offset: int) -> int | None:
    """As `files.find_holder`."""
    if not is_darwin():
        return files.find_holder(descriptor, offset)
    asked = _LOCK.pack(offset, 1, 0, fcntl.F_WRLCK, os.SEEK_SET)
    _, _, pid, kind, _ = _LOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    return None if kind == fcntl.F_UNLCK else pid


@contextmanager
def relative_address(directory: int, name: str) -> Iterator[str]:
    """Yield `name` as a socket's address, from within an open directory.

    An address has at most 103 bytes on macOS. Nothing else in the daemon uses a relative path.
    """
    before = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fchdir(directory)
        try:
            yield name
        finally:
            os.fchdir(before)
    finally:
        os.close(before)


def set_access(directory: int, name: str, *, mode: int, gid: int | None) -> None:
    """Set the mode of a file in an open directory, and its group unless `gid` is None.

    macOS follows no symlink there; Linux's chmod(2), as in tests, does. Raises OSError.
    """
    if gid is not None:
        os.chown(name, -1, gid, dir_fd=directory, follow_symlinks=False)
    follows = os.chmod not in os.supports_follow_symlinks
    os.chmod(name, mode, dir_fd=directory, follow_symlinks=follows)


# Limits of open files, from the largest on; macOS allows what kern.maxfilesperproc says, 10240 at
# least.
_WANTED = (1 << 20, 1 << 18, 122_880, 61_440, 24_576, 10_240, 4096, 1024)


def raise_open_files() -> int:
    """Raise the soft limit of open files as far as the kernel allows; returns the old one.

    On macOS it is 256, and the hard one "infinity", which setrlimit(2) refuses (EINVAL).
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED if hard == resource.RLIM_INFINITY else (hard, *_WANTED)
    for limit in wanted:
        if limit <= soft or (hard != resource.RLIM_INFINITY and limit > hard):
            continue
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
            break
    return soft


def splice(source: int, target: int, limit: int) -> int:
    """As splice(2) on Linux, without losing a byte (read(2), write(2), poll(2)).

    A pipe that poll(2) calls writable takes PIPE_BUF bytes whole, so that nothing that was read is
    left over, whether its descriptors block or not. Nobody else may write to `target` meanwhile.
    """
    moved = 0
    while moved < limit:
        if not (_is_ready(target, select.POLLOUT) and _is_ready(source, select.POLLIN)):
            break
        piece = os.read(source, min(select.PIPE_BUF, limit - moved))
        if not piece:
            return moved
        os.write(target, piece)
        moved += len(piece)
    if limit and not moved:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return moved


def _is_ready(pipe: int, event: int) -> bool:
    """Also True where the call would fail, or find the end, without blocking."""
    asked = select.poll()
    asked.register(pipe, event)
    return bool(asked.poll(0))


_DIRECTORY: int = (
    getattr(os, "O_SEARCH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
)

# A name that changes each time it is looked at belongs to somebody who wants it to.
_ATTEMPTS = 16


def step(name: str, directory: int) -> int | str | None:
    """Look at `name`, one component, in the open `directory`, where O_PATH does not exist.

    Returns a descriptor of a directory, opened for searching alone (O_SEARCH), for the caller to
    close; a symlink's target; or None for anything else. That is not opened: a fifo would wait for
    its other side, and a device could start something. Raises OSError, ELOOP if the name is
    replaced again and again meanwhile.
    """
    for _ in range(_ATTEMPTS):
        try:
            return os.open(name, _DIRECTORY, dir_fd=directory)
        except OSError as error:
            # A symlink is ELOOP or ENOTDIR, by system.
            if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                raise
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            try:
                return os.readlink(name, dir_fd=directory)
            except OSError as error:
                # It is no symlink any more.
                if error.errno != errno.EINVAL:
                    raise
        elif not stat.S_ISDIR(status.st_mode):
            return None
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name)
