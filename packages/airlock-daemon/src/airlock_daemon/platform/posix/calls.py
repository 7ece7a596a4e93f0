"""The functions of `system` where Linux's names are missing, by POSIX or by macOS's own calls.

A Linux kernel below, as in tests, is asked in its own way what POSIX has no call for.
"""

import fcntl
import os
import socket
import struct
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from airlock_daemon.platform.linux import byte_lock, privileges, procfs
from airlock_daemon.platform.linux import peer as linux_peer
from airlock_daemon.platform.linux.mountinfo import MountTable
from airlock_daemon.platform.linux.peer import Credentials
from airlock_daemon.platform.posix import is_darwin

# macOS's struct flock with 64-bit offsets: start, length, pid, type, whence.
_LOCK = struct.Struct("qqihh")

_NO_ID: int | None = None


def peer_credentials(connection: socket.socket) -> Credentials:
    """Return the process that connected (unix(4) of macOS). Raises OSError."""
    if is_darwin():
        from airlock_daemon.platform.darwin import leaves  # noqa: PLC0415

        return Credentials(leaves.read_peer_pid(connection), leaves.read_peer_user(connection))
    return linux_peer.peer_credentials(connection)


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
    return procfs.read_process_entry(pid, "cmdline").split("\0")


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
    return procfs.name_descriptor(descriptor)


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
    """As `byte_lock.lock_byte`, by the structure that Python knows."""
    fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, offset, os.SEEK_SET)


def find_holder(descriptor: int, offset: int) -> int | None:
    """As `byte_lock.find_holder`."""
    if not is_darwin():
        return byte_lock.find_holder(descriptor, offset)
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
