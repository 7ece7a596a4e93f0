"""What serving, and examining workspaces, need of the operating system: Linux."""

import importlib
import os
import sys

# A Python built for an old C library lacks some of these on Linux too.
_NEEDED = (
    "os.O_PATH",
    "os.memfd_create",
    "os.pidfd_open",
    "os.pipe2",
    "select.epoll",
    "signal.pidfd_send_signal",
    "socket.SO_PEERCRED",
)


def is_darwin() -> bool:
    """Whether the kernel is that of macOS, whatever names this Python has."""
    return os.uname().sysname == "Darwin"


def find_missing() -> tuple[str, ...]:
    """The names of the standard library that serving needs and this Python lacks."""
    missing = []
    for name in _NEEDED:
        module, _, attribute = name.partition(".")
        if not hasattr(importlib.import_module(module), attribute):
            missing.append(name)
    return tuple(missing)


def count_processors() -> int:
    """The processors that this process may use, or those of the machine."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
