"""Cgroups of version 2 (cgroups(7)).

Finds this process's group, and manages the groups below.
"""

import os
import select
import time
from contextlib import suppress

from airlock_daemon.platform.linux.mountinfo import read_own_mounts, relative_to
from airlock_daemon.platform.linux.procfs import read_process_entry

_OURS = "0::"

# systemd's marks of a delegated cgroup; everybody can read the first one (systemd 251).
_MARKS = ("user.delegate", "trusted.delegate")


def find_group(pid: int) -> str | None:
    """The cgroup directory of a process, None without a cgroup2 file system.

    Raises OSError.
    """
    entries = read_process_entry(pid, "cgroup").splitlines()
    path = next((line.removeprefix(_OURS) for line in entries if line.startswith(_OURS)), None)
    if path is None:
        return None
    for row in read_own_mounts():
        below = relative_to(path, row.root) if row.kind == "cgroup2" else None
        if below is not None:
            return os.path.join(row.point, below) if below else row.point
    return None


def is_delegated(directory: str) -> bool:
    """Whether the cgroup is marked as delegated to its processes (Delegate= of a unit)."""
    for mark in _MARKS:
        with suppress(OSError):
            if os.getxattr(directory, mark) == b"1":
                return True
    return False


def read_group(directory: str, name: str) -> list[str]:
    """The words of a cgroup's file. Raises OSError."""
    with open(os.path.join(directory, name), encoding="ascii") as file:
        return file.read().split()


def write_group(directory: str, name: str, text: str) -> None:
    """Write a cgroup's file by one write(2), as the kernel requires. Raises OSError."""
    descriptor = os.open(os.path.join(directory, name), os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode("ascii"))
    finally:
        os.close(descriptor)


def remove_group(directory: str) -> bool:
    """Kill all processes in the cgroup and those below, and remove them. Never raises.

    Returns whether they are gone: processes take a moment to die, and then the caller has to repeat
    it.
    """
    with suppress(OSError):
        os.rmdir(directory)
    with suppress(OSError):
        write_group(directory, "cgroup.kill", "1")
    for folder, _, _ in os.walk(directory, topdown=False):
        with suppress(OSError):
            os.rmdir(folder)
    return not os.path.isdir(directory)


def clear_group(directory: str, *, longest_s: float) -> bool:
    """Repeat `remove_group` for at most `longest_s` seconds; returns whether they are gone."""
    until = time.monotonic() + longest_s
    while not remove_group(directory):
        left = until - time.monotonic()
        if left <= 0:
            return False
        with suppress(OSError), open(os.path.join(directory, "cgroup.events"), "rb") as events:
            changed = select.poll()
            changed.register(events, select.POLLPRI)
            if b"populated 1" in events.read():
                changed.poll(left * 1000)
    return True
