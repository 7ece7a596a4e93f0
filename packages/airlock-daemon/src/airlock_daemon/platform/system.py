"""The face of this folder: what each operating system does its own way, chosen when it is imported.

On Linux these are Linux's own calls, and nothing of `posix` or `darwin` is loaded. Elsewhere
`posix` stands for them. On a Mac, whatever names its Python has, `darwin` does what POSIX cannot.
"""

import errno
import fcntl
import importlib
import os
import resource
import select
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from airlock_daemon.platform.linux.files import is_sealed, make_sealed, openat2, read_known_status
from airlock_daemon.platform.linux.mountinfo import Location, MountRow, MountTable, MountWatch
from airlock_daemon.platform.linux.processes import (
    Credentials,
    peer_pidfd,
    read_namespaces,
    read_parent,
    read_process_entry,
    read_process_file,
)

if sys.platform == "linux":
    from airlock_daemon.platform.linux.files import find_holder, lock_byte, private_file
    from airlock_daemon.platform.linux.mountinfo import read_own_mounts
    from airlock_daemon.platform.linux.privileges import ask_for_short_slices, forbid_tracing
    from airlock_daemon.platform.linux.processes import (
        Ancestry,
        find_fault,
        name_descriptor,
        peer_credentials,
        read_mount_id,
    )

    Readiness = select.epoll

    def raise_open_files() -> int:
        """Raise this process's soft limit of open files as far as possible; returns the old one."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        return soft

    def splice(source: int, target: int, limit: int) -> int:
        """Move at most `limit` bytes between pipes (splice(2)), without blocking; 0 at the end.

        Raises BlockingIOError if the source is empty or the target full, and OSError.
        """
        return os.splice(source, target, limit, flags=os.SPLICE_F_NONBLOCK)

else:
    from airlock_daemon.platform.posix.calls import (
        ask_for_short_slices,
        find_fault,
        find_holder,
        find_ssh_agent,
        forbid_tracing,
        lock_byte,
        name_descriptor,
        peer_credentials,
        private_file,
        raise_open_files,
        read_arguments,
        read_mount_id,
        read_own_mounts,
        relative_address,
        set_access,
        splice,
        step,
    )
    from airlock_daemon.platform.posix.poll_set import PollSet as Readiness
    from airlock_daemon.platform.posix.processes import Ancestry

if TYPE_CHECKING:
    from airlock_daemon.platform.posix.self_test import Tried

# With an old C library, Linux's Python lacks some, too. On macOS `posix` stands for all of them.
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


def find_missing() -> tuple[str, ...]:
    """The names of the standard library that serving needs and this Python lacks."""
    missing = []
    for name in _OF_MACOS if sys.platform == "darwin" else _OF_LINUX:
        module, _, attribute = name.partition(".")
        if not hasattr(importlib.import_module(module), attribute):
            missing.append(name)
    return tuple(missing)


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


def run_self_test() -> Iterator["Tried"]:
    """Try here what serving without Linux's own calls relies on; an error fails a check."""
    from airlock_daemon.platform.posix import self_test  # noqa: PLC0415

    return self_test.run_self_test()


def count_processors() -> int:
    """The processors that this process may use, or those of the machine."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def descriptor_limit() -> int:
    """This process's limit of open descriptors."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def forbid_core_dumps() -> None:
    """Have this process and what it starts dump no core (core(5)).

    Not to a collector either, unless the hard limit is 0, which cannot be raised to the one value
    that tells the kernel so.
    """
    with suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (1, 1))


def open_without_links(path: str, flags: int, *, at_once: bool = False) -> int:
    """Open the absolute `path`, none of whose components may be a symlink (ELOOP, ENOTDIR).

    The caller closes the descriptor. Raises OSError; with `at_once`, BlockingIOError if it would
    block.
    """
    try:
        return openat2(path, flags, is_cached=at_once, no_links=True)
    except NotImplementedError:
        pass
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


def enlarge_pipe(pipe: int, size: int) -> None:
    """Enlarge a pipe if possible: it is not if its user has many pipes, or outside of Linux."""
    if sys.platform == "linux":
        with suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, size)


# Events of a Readiness. The numbers are those of epoll(7), too.

READABLE = select.POLLIN
WRITABLE = select.POLLOUT
GONE = select.POLLHUP | select.POLLERR
"""Always reported: the other side is closed in both directions."""

HANGUPS_ALONE: int = getattr(select, "EPOLLONESHOT", 0)
"""As events: wait for nothing but GONE."""
