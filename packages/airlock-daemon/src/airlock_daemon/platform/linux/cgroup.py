"""Cgroups of version 2 (cgroups(7))."""

import os
import select
import time
from contextlib import suppress

import msgspec

from airlock_daemon.path_text import join_below, relative_to
from airlock_daemon.platform.linux.mountinfo import read_own_mounts
from airlock_daemon.platform.linux.processes import read_process_entry

_OURS = "0::"

# systemd's marks of a delegated cgroup; everybody can read the first one (systemd 251).
_MARKS = ("user.delegate", "trusted.delegate")


class Cgroup(msgspec.Struct, frozen=True):
    """A cgroup, by the absolute path of its directory."""

    directory: str

    def below(self, name: str) -> "Cgroup":
        """The cgroup `name` below it."""
        return Cgroup(os.path.join(self.directory, name))

    @property
    def above(self) -> "Cgroup":
        """The cgroup that contains it."""
        return Cgroup(os.path.dirname(self.directory))

    @property
    def name(self) -> str:
        """Its name in the cgroup above."""
        return os.path.basename(self.directory)

    @property
    def is_delegated(self) -> bool:
        """Whether it is marked as delegated to its processes (Delegate= of a unit)."""
        for mark in _MARKS:
            with suppress(OSError):
                if os.getxattr(self.directory, mark) == b"1":
                    return True
        return False

    def read(self, name: str) -> list[str]:
        """The words of one of its files. Raises OSError."""
        with open(os.path.join(self.directory, name), encoding="ascii") as file:
            return file.read().split()

    def write(self, name: str, text: str) -> None:
        """Write a file by one write(2), as the kernel requires. Raises OSError."""
        descriptor = os.open(os.path.join(self.directory, name), os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, text.encode("ascii"))
        finally:
            os.close(descriptor)

    def remove(self) -> bool:
        """Kill all processes in it and below, and remove these cgroups. Never raises.

        Returns whether they are gone: processes take a moment to die, and then the caller has to
        repeat it.
        """
        with suppress(OSError):
            os.rmdir(self.directory)
        with suppress(OSError):
            self.write("cgroup.kill", "1")
        for folder, _, _ in os.walk(self.directory, topdown=False):
            with suppress(OSError):
                os.rmdir(folder)
        return not os.path.isdir(self.directory)

    def clear(self, *, timeout_s: float) -> bool:
        """Repeat `remove` for at most `timeout_s` seconds; returns whether they are gone."""
        until = time.monotonic() + timeout_s
        while not self.remove():
            left = until - time.monotonic()
            if left <= 0:
                return False
            path = os.path.join(self.directory, "cgroup.events")
            with suppress(OSError), open(path, "rb") as events:
                changed = select.poll()
                changed.register(events, select.POLLPRI)
                if b"populated 1" in events.read():
                    changed.poll(left * 1000)
        return True

    @staticmethod
    def find(pid: int) -> "Cgroup | None":
        """The cgroup of a process, None without a cgroup2 file system. Raises OSError."""
        entries = read_process_entry(pid, "cgroup").split("\n")
        path = next((line.removeprefix(_OURS) for line in entries if line.startswith(_OURS)), None)
        if path is None:
            return None
        for row in read_own_mounts():
            below = relative_to(path, row.root) if row.kind == "cgroup2" else None
            if below is not None:
                return Cgroup(join_below(row.point, below))
        return None
