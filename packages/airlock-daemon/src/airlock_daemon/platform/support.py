"""What serving needs of the operating system, and what it asks of it at the start."""

import importlib
import os
import sys

# A Python built for an old C library lacks some of these on Linux too. On macOS, POSIX parts stand
# in for them; any other system is asked for them, and lacks one.
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


def forbid_tracing() -> bool:
    """Keep the user's other processes from this one's memory; False if that cannot be.

    On Linux as `privileges.forbid_tracing`. On macOS no debugger can attach (ptrace(2)). Raises
    OSError.
    """
    if sys.platform != "linux" and is_darwin():
        from airlock_daemon.platform.darwin import leaves  # noqa: PLC0415 - on macOS alone

        leaves.forbid_tracing()
        return True
    from airlock_daemon.platform.linux import privileges  # noqa: PLC0415 - on Linux alone

    return privileges.forbid_tracing()


def count_processors() -> int:
    """The processors that this process may use, or those of the machine."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
