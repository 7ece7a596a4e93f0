"""Limits all boxes of an agent together, in cgroups that the service manager delegates.

A cgroup with children may hold no process, so the daemon moves to the child `daemon`; each box of
an agent has a cgroup of its own in `agents/agent-NAME`.
"""

import fcntl
import itertools
import os
import select
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from typing import ClassVar, Self

import msgspec

from airlock_daemon.path_text import join_below, relative_to
from airlock_daemon.platform.system import SEARCH, read_own_mounts, read_process_entry
from airlock_daemon.setup.generation import Limits

DELEGATED = "AIRLOCK_DELEGATED"
"""A unit's variable for Delegate=: user managers do not mark delegated cgroups."""

_AGENTS = "agents"

# The daemon's cpu.weight; that of all agents together is 100.
_WEIGHT = 400

# Processes of an agent, as a multiple of one box's limit.
_BOXES = 4

_DIRECTORY = SEARCH | os.O_DIRECTORY | os.O_CLOEXEC
_DYING_S = 2.0

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


class Groups:
    """The cgroups of all agents' boxes. Its owner must `close` it, which kills their processes.

    `controllers` are those of CONTROLLERS that are available.
    """

    DAEMON: ClassVar[str] = "daemon"
    """The daemon's own cgroup, below the delegated one. systemd can also create it."""

    CONTROLLERS: ClassVar[tuple[str, ...]] = ("cpu", "memory", "pids")
    """The controllers to use if available."""

    def __init__(self, root: Cgroup, lock: int) -> None:
        """Divide the cgroup `root`; takes over `lock`. Raises OSError."""
        self._lock = lock
        self._top = root.below(_AGENTS)
        self._numbers = itertools.count(1)
        self._adopted: dict[str, Limits] = {}
        self._dying: list[Cgroup] = []
        # Left by a daemon that was killed.
        self._top.clear(timeout_s=_DYING_S)
        own = root.below(self.DAEMON)
        with suppress(FileExistsError):
            os.mkdir(own.directory)
        own.write("cgroup.procs", "0")
        os.makedirs(self._top.directory, exist_ok=True)
        there = root.read("cgroup.controllers")
        self.controllers = tuple(name for name in self.CONTROLLERS if name in there)
        for each in (root, self._top):
            for name in self.controllers:
                each.write("cgroup.subtree_control", f"+{name}")
        if "cpu" in self.controllers:
            own.write("cpu.weight", str(_WEIGHT))

    @classmethod
    def claim(cls, environment: Mapping[str, str]) -> "Self | str":
        """Divide this process's cgroup and move to a child; or return why that is impossible.

        The cgroup must be delegated, as marked by systemd or by `environment`.
        """
        is_told = environment.get(DELEGATED) == "1"
        try:
            own = cls.locate(os.getpid())
            if own is None:
                return "there is no cgroup of version 2"
            is_below = own.name == cls.DAEMON and (is_told or own.above.is_delegated)
            root = own.above if is_below else own
            if not is_told and not root.is_delegated:
                return f"the cgroup {own.directory} is not the daemon's to divide"
            if not os.path.exists(os.path.join(root.directory, "cgroup.kill")):
                return "the kernel is older than Linux 5.14"
            return cls._claim(root)
        except OSError as error:
            return f"the cgroup cannot be divided: {error.strerror}: {error.filename}"

    @staticmethod
    def locate(pid: int) -> Cgroup | None:
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

    def open(self, agent: str, limits: Limits) -> "Group":
        """Create a cgroup for one box; the caller closes it. Raises OSError."""
        return self._open_below(self._adopt(agent, limits))

    def open_trial(self) -> "Group":
        """As `open`, without the limits of an agent."""
        return self._open_below(self._top)

    def remove(self, cgroup: Cgroup) -> None:
        """Kill the processes of a cgroup, and remove it once they are gone."""
        self._dying = [each for each in (*self._dying, cgroup) if not each.remove()]

    def close(self) -> None:
        """Kill remaining processes, and remove all cgroups but the daemon's own."""
        self._top.clear(timeout_s=_DYING_S)
        os.close(self._lock)

    @classmethod
    def _claim(cls, root: Cgroup) -> "Self | str":
        with ExitStack() as stack:
            lock = os.open(root.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, lock)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return f"another daemon divides the cgroup {root.directory}"
            groups = cls(root, lock)
            stack.pop_all()
            return groups

    def _open_below(self, above: Cgroup) -> "Group":
        cgroup = above.below(f"{os.getpid()}-{next(self._numbers)}")
        os.mkdir(cgroup.directory)
        try:
            return Group(self, cgroup, os.open(cgroup.directory, _DIRECTORY))
        except BaseException:
            self.remove(cgroup)
            raise

    def _adopt(self, agent: str, limits: Limits) -> Cgroup:
        """Create an agent's cgroup with these limits."""
        cgroup = self._top.below(f"agent-{agent}")
        if self._adopted.get(agent) != limits:
            os.makedirs(cgroup.directory, exist_ok=True)
            if "memory" in self.controllers:
                cgroup.write("memory.max", str(limits.box_memory_mb << 20))
                # Swapping one agent would make others wait for the disk.
                with suppress(FileNotFoundError):
                    cgroup.write("memory.swap.max", "0")
            if "pids" in self.controllers:
                cgroup.write("pids.max", str(_BOXES * limits.box_processes))
            self._adopted[agent] = limits
        return cgroup


class Group:
    """The cgroup of one box. Its owner must `close` it, which kills its processes."""

    def __init__(self, groups: Groups, cgroup: Cgroup, descriptor: int) -> None:
        """Take over `descriptor`, that of the directory of the new `cgroup`."""
        self._groups = groups
        self._cgroup = cgroup
        self.descriptor = descriptor

    def close(self) -> None:
        """Kill its processes, and remove it."""
        os.close(self.descriptor)
        self._groups.remove(self._cgroup)


OpenGroup = Callable[[], Group | None]
"""Opens a box's cgroup, None without cgroups. Raises Failed."""


def open_none() -> None:
    """Open no cgroup."""
