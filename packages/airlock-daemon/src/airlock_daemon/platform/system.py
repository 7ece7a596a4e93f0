"""The face of this folder: what each operating system does its own way, chosen when it is imported.

On Linux these are Linux's own calls, and nothing of `posix` or `darwin` is loaded. Elsewhere
`posix` stands for them. On a Mac, whatever names its Python has, `darwin` does what POSIX cannot.
"""

import errno
import fcntl
import importlib
import os
import select
import socket
import struct
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Protocol, Self

import msgspec

from airlock_daemon.platform.linux import procfs
from airlock_daemon.platform.linux.mountinfo import MountRow
from airlock_daemon.platform.linux.openat2 import openat2, read_known_status
from airlock_daemon.platform.linux.peer import Credentials

__all__ = [
    "BIND_TO_DEVICE",
    "CLOSED_AT_EXEC",
    "GONE",
    "HANGUPS_ALONE",
    "KEEP_IDLE",
    "LOOK",
    "READABLE",
    "SEARCH",
    "WRITABLE",
    "Credentials",
    "Descendants",
    "Readiness",
    "ask_for_short_slices",
    "count_processors",
    "enlarge_pipe",
    "find_holder",
    "find_missing",
    "forbid_tracing",
    "is_darwin",
    "know_descendants",
    "lock_byte",
    "name_descriptor",
    "open_readiness",
    "open_without_links",
    "peer_credentials",
    "private_file",
    "raise_open_files",
    "read_known_status",
    "read_mount_id",
    "read_own_mounts",
    "run_self_test",
    "splice",
    "step",
]

# A Python built for an old C library lacks some of these on Linux too. On macOS `posix` stands for
# them; any other system lacks one.
_OF_LINUX = (
    "os.O_PATH",
    "os.memfd_create",
    "os.pidfd_open",
    "os.pipe2",
    "select.epoll",
    "signal.pidfd_send_signal",
    "socket.SO_PEERCRED",
)
_OF_MACOS = ("os.posix_spawn", "select.poll", "socket.recv_fds")


def is_darwin() -> bool:
    """Whether the kernel is that of macOS, whatever names this Python has."""
    return os.uname().sysname == "Darwin"


def find_missing() -> tuple[str, ...]:
    """The names of the standard library that serving needs and this Python lacks."""
    missing = []
    for name in _OF_MACOS if sys.platform == "darwin" else _OF_LINUX:
        module, _, attribute = name.partition(".")
        if not hasattr(importlib.import_module(module), attribute):
            missing.append(name)
    return tuple(missing)


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """One check of the self-test: its name, what it is about, and what is wrong, None if nothing.

    Each is something that serving without Linux's own calls relies on, tried on this machine.
    """

    name: str
    what: str
    problem: str | None


def run_self_test() -> Iterator[Tried]:
    """Run all checks for this system; one that raises anything has failed."""
    from airlock_daemon.platform.posix.self_test import list_checks  # noqa: PLC0415

    for name, what, check in list_checks():
        try:
            check()
        except Exception as error:  # noqa: BLE001 - whatever it is, the call cannot be relied on
            problem = f"{type(error).__name__}: {error}"
            yield Tried(name=name, what=what, problem=problem)
        else:
            yield Tried(name=name, what=what, problem=None)


# Flags, each for what Linux alone has.

SEARCH: int = getattr(os, "O_PATH", getattr(os, "O_SEARCH", os.O_RDONLY))
"""Opens a directory without the right to list it: O_PATH; O_SEARCH of POSIX; else to read it."""

LOOK: int = getattr(os, "O_PATH", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
"""Opens a file without its contents (O_PATH); else to read it, without waiting for anybody."""

KEEP_IDLE: int = getattr(socket, "TCP_KEEPIDLE", getattr(socket, "TCP_KEEPALIVE", 4))
"""For setsockopt(2): seconds of silence after which a TCP peer is asked whether it is there."""

BIND_TO_DEVICE: int = getattr(socket, "SO_BINDTODEVICE", 25)
"""For setsockopt(2): only through this network device. Other systems refuse it."""

CLOSED_AT_EXEC: int = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
"""For recvmsg(2): a program that is executed does not get the received descriptors."""


# Processes.


class Descendants(Protocol):
    """Tells the descendants of a process from all others."""

    def includes(self, pid: int, *, parent: int | None = None) -> bool:
        """Whether `pid` is one of them; True also if that is unknown.

        `parent` is the parent of `pid`, if known.
        """

    def close(self) -> None:
        """Release what it holds."""


def know_descendants(ancestor: int) -> Descendants:
    """What tells the descendants of process `ancestor`, for the caller to close."""
    if sys.platform == "linux":
        from airlock_daemon.platform.linux.ancestry import Ancestry  # noqa: PLC0415

        return Ancestry(ancestor)
    from airlock_daemon.platform.posix import processes  # noqa: PLC0415

    return processes.Ancestry(ancestor, processes.read_process)


if sys.platform == "linux":
    from airlock_daemon.platform.linux.peer import peer_credentials
else:

    def peer_credentials(connection: socket.socket) -> Credentials:
        """Return the process that connected (unix(7); unix(4) of macOS). Raises OSError."""
        if is_darwin():
            from airlock_daemon.platform.darwin import leaves  # noqa: PLC0415

            return Credentials(leaves.read_peer_pid(connection), leaves.read_peer_user(connection))
        from airlock_daemon.platform.linux import peer  # noqa: PLC0415

        return peer.peer_credentials(connection)


def forbid_tracing() -> bool:
    """Keep the user's other processes from this one's memory; False if that is not possible."""
    if is_darwin():
        from airlock_daemon.platform.darwin import leaves  # noqa: PLC0415

        leaves.forbid_tracing()
        return True
    from airlock_daemon.platform.linux import privileges  # noqa: PLC0415

    return privileges.forbid_tracing()


def ask_for_short_slices() -> bool:
    """Ask the kernel to run this thread soon whenever it can; False if it does not know that."""
    if sys.platform != "linux":
        return False
    from airlock_daemon.platform.linux import scheduling  # noqa: PLC0415

    return scheduling.ask_for_short_slices()


def count_processors() -> int:
    """The processors that this process may use, or those of the machine."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def raise_open_files() -> int:
    """Raise this process's soft limit of open files as far as possible; returns the old one."""
    import resource  # noqa: PLC0415 - commands for people do not need it

    if sys.platform != "linux":
        from airlock_daemon.platform.posix import limits  # noqa: PLC0415

        return limits.raise_open_files()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return soft


# Files.

if sys.platform == "linux":
    from airlock_daemon.platform.linux.mountinfo import read_own_mounts
    from airlock_daemon.platform.linux.procfs import name_descriptor, read_mount_id
else:

    def name_descriptor(descriptor: int) -> str:
        """The path of an open directory, on macOS as it is spelled on disk. Raises OSError."""
        if is_darwin():
            from airlock_daemon.platform.darwin import leaves  # noqa: PLC0415

            return leaves.read_path(descriptor)
        return procfs.name_descriptor(descriptor)

    def read_mount_id(descriptor: int) -> int | None:
        """Return None: the mounts of this system have no ids."""
        del descriptor

    def read_own_mounts() -> tuple[MountRow, ...]:
        """Return no mounts: containers are in a virtual machine, and see none of this system's."""
        return ()


def open_without_links(path: str, flags: int, *, at_once: bool = False) -> int:
    """Open the absolute `path`, none of whose components may be a symlink (ELOOP, ENOTDIR).

    The caller closes the descriptor. Raises OSError; with `at_once`, BlockingIOError if it would
    block.
    """
    if sys.platform == "linux":
        with suppress(NotImplementedError):
            return openat2(path, flags, is_cached=at_once, no_links=True)
    if at_once:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN), path)
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


def step(name: str, directory: int) -> int | str | None:
    """Look at `name`, one component, in the open `directory`, where O_PATH does not exist.

    Returns a descriptor of a directory, for the caller to close; a symlink's target; or None for
    anything else, which is not opened. Raises OSError.
    """
    from airlock_daemon.platform.posix import walk  # noqa: PLC0415

    return walk.step(name, directory)


@contextmanager
def private_file(name: str, content: bytes) -> Iterator[str]:
    """Yield a path at which this process alone can read `content` meanwhile. Raises OSError.

    It is for libraries that read only files. On Linux the file is in memory, with this `name`.
    Elsewhere it is one of the temporary directory, 0600, and is removed.
    """
    if sys.platform == "linux":
        file = os.memfd_create(name, os.MFD_CLOEXEC)
        try:
            os.write(file, content)
            yield f"/proc/self/fd/{file}"
        finally:
            os.close(file)
    else:
        with tempfile.NamedTemporaryFile(prefix="airlock-") as made:
            made.write(content)
            made.flush()
            yield made.name


# Locks on one byte of a file, which the kernel attributes to a process (F_SETLK of fcntl(2)). Such
# a lock belongs to the process that took it: it cannot be passed by a descriptor, children do not
# inherit it, and it ends with the process. It also ends when the process closes any descriptor of
# the same file. The byte need not exist.

# struct flock with 64-bit offsets. Linux: type, whence, start, length, pid.
_LINUX_LOCK = struct.Struct("hhqqi4x")
# macOS: start, length, pid, type, whence.
_DARWIN_LOCK = struct.Struct("qqihh")


def lock_byte(descriptor: int, offset: int) -> None:
    """Lock a byte of a file open for writing; raises OSError, also if another process has it."""
    fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, offset, os.SEEK_SET)


def find_holder(descriptor: int, offset: int) -> int | None:
    """The pid of another process that has locked a byte of the open file, None if none has.

    0 for a process outside of this pid namespace. Raises OSError.
    """
    if is_darwin():
        asked = _DARWIN_LOCK.pack(offset, 1, 0, fcntl.F_WRLCK, os.SEEK_SET)
        _, _, pid, kind, _ = _DARWIN_LOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    else:
        asked = _LINUX_LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, offset, 1, 0)
        kind, _, _, _, pid = _LINUX_LOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    return None if kind == fcntl.F_UNLCK else pid


# Pipes.


def enlarge_pipe(pipe: int, size: int) -> None:
    """Enlarge a pipe if possible: it is not if its user has many pipes, or outside of Linux."""
    if sys.platform == "linux":
        with suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, size)


def splice(source: int, target: int, most: int) -> int:
    """Move at most `most` bytes between pipes (splice(2)), without blocking; 0 at the end.

    Raises BlockingIOError if the source is empty or the target full, and OSError.
    """
    if sys.platform == "linux":
        return os.splice(source, target, most, flags=os.SPLICE_F_NONBLOCK)
    from airlock_daemon.platform.posix import copying  # noqa: PLC0415

    return copying.copy(source, target, most)


# Which of many descriptors are ready. The numbers are those of epoll(7), too.

READABLE = select.POLLIN
WRITABLE = select.POLLOUT
GONE = select.POLLHUP | select.POLLERR
"""Always reported: the other side is closed in both directions."""

HANGUPS_ALONE: int = getattr(select, "EPOLLONESHOT", 0)
"""As events: wait for nothing but GONE."""


class Readiness(Protocol):
    """What is used of select.epoll. Its own descriptor is readable while one of its is ready."""

    def register(self, descriptor: int, events: int, /) -> None:
        """Add a descriptor."""

    def modify(self, descriptor: int, events: int, /) -> None:
        """Change the events of a descriptor."""

    def unregister(self, descriptor: int, /) -> None:
        """Remove a descriptor, before it is closed."""

    def poll(self, timeout: float, most: int = -1, /) -> list[tuple[int, int]]:
        """Return at most `most` ready descriptors with their events; `timeout` is 0."""

    def fileno(self) -> int:
        """Return its own descriptor."""

    def close(self) -> None:
        """Release everything but the registered descriptors."""

    def __enter__(self) -> Self:
        """Return it."""

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
        /,
    ) -> None:
        """Close it."""


def open_readiness() -> Readiness:
    """Make an empty set of descriptors, for the caller to close: an epoll(7), or of poll(2)."""
    if sys.platform == "linux":
        return select.epoll()
    from airlock_daemon.platform.posix.poll_set import PollSet  # noqa: PLC0415

    return PollSet()
