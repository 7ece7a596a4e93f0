"""The functions of `system` where Linux's names are missing, by POSIX or by macOS's own calls.

A Linux kernel below, as in tests, is asked in its own way what POSIX has no call for.
"""

import fcntl
import os
import socket
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from airlock_daemon.platform.linux import byte_lock, privileges, procfs
from airlock_daemon.platform.linux import peer as linux_peer
from airlock_daemon.platform.linux.mountinfo import MountRow
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


def read_own_mounts() -> tuple[MountRow, ...]:
    """Return no mounts: containers are in a virtual machine, and see none of this system's."""
    return ()


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
