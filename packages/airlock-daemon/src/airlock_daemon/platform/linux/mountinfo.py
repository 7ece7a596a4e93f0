"""`/proc/<pid>/mountinfo` (proc_pid_mountinfo(5)): parsed, searched, and watched for changes."""

import functools
import os
import re
import select
from collections.abc import Iterable, Iterator
from typing import Self

import msgspec

from airlock_daemon.path_text import join_below, list_above, relative_to
from airlock_daemon.platform.linux.processes import read_process_file

_ESCAPED = re.compile(r"\\([0-7]{3})")

# File systems without directories that a person works in.
_PSEUDO = frozenset(
    (
        *("autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts"),
        *("devtmpfs", "efivarfs", "fusectl", "hugetlbfs", "mqueue", "nsfs", "proc", "pstore"),
        *("ramfs", "securityfs", "selinuxfs", "sysfs", "tracefs"),
    )
)


class MountRow(msgspec.Struct, frozen=True):
    """One mount. `mount_id` is unique in the kernel while the mount exists.

    With `no_devices` devices there cannot be opened.
    """

    mount_id: int
    device: str
    root: str
    point: str
    read_only: bool
    kind: str
    no_devices: bool = False

    @property
    def is_pseudo(self) -> bool:
        """Whether the file system is a kernel interface rather than a place for files."""
        return self.kind in _PSEUDO


class Location(msgspec.Struct, frozen=True):
    """A path on its file system, `device`: equal for all bind mounts of it."""

    device: str
    path: str

    def includes(self, other: "Location") -> bool:
        """Whether `other` is it, or below it."""
        return other.device == self.device and relative_to(other.path, self.path) is not None


class MountTable(tuple[MountRow, ...]):  # noqa: SLOT001 - `seen` is cached in its dictionary
    """The mounts of one mount namespace, in the order of the file. Paths are absolute and normal.

    `find` takes the same time for any number of mounts.
    """

    _skipped: int

    def __new__(cls, rows: Iterable[MountRow] = (), *, skipped: int = 0) -> Self:
        """`skipped` counts rows that could not be parsed."""
        table = super().__new__(cls, rows)
        table._skipped = skipped
        return table

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the whole file; skips rows that do not have the documented form."""
        rows = []
        lines = _list_lines(text)
        for line in lines:
            fields = line.split(" ")
            try:
                separator = fields.index("-", 6)
                rows.append(
                    MountRow(
                        mount_id=int(fields[0]),
                        device=fields[2],
                        root=_unescape(fields[3]),
                        point=_unescape(fields[4]),
                        read_only="ro" in fields[5].split(",")
                        or "ro" in fields[separator + 3].split(","),
                        kind=fields[separator + 1],
                        no_devices="nodev" in fields[5].split(","),
                    )
                )
            except (ValueError, IndexError):
                continue
        return cls(rows, skipped=len(lines) - len(rows))

    @functools.cached_property
    def seen(self) -> dict[str, MountRow]:
        """The visible mount at each point: the last of several."""
        return {row.point: row for row in self}

    def find(self, path: str) -> MountRow | None:
        """The mount of `path`: the longest mount point, the last of equals."""
        if not self:
            return None
        # normpath(3) keeps two leading slashes, below which list_above ends before the root.
        above = (path, *list_above(path), "/")
        return next((self.seen[each] for each in above if each in self.seen), None)

    def locate(self, path: str) -> Location | None:
        """Where `path` is on its file system; None without a mount."""
        row = self.find(path)
        if row is None:
            return None
        return Location(row.device, join_below(row.root, relative_to(path, row.point) or ""))

    def find_shown(self, row: MountRow) -> Iterator[str]:
        """The visible paths of what `row` of another namespace mounts."""
        for mine in self:
            rest = relative_to(row.root, mine.root) if mine.device == row.device else None
            if rest is not None:
                path = join_below(mine.point, rest)
                if self.find(path) == mine:
                    yield path

    @property
    def is_whole(self) -> bool:
        """Whether these can be all mounts of a container, as a process sees them.

        A process that has changed its root (chroot) sees none outside of it. A container has its
        root file system at / and a procfs at /proc, and cannot mount another one. A row that could
        not be parsed may be of any mount.
        """
        proc = self.seen.get("/proc")
        is_root = "/" in self.seen and proc is not None and proc.kind == "proc"
        return is_root and not self._skipped


def read_own_mounts() -> MountTable:
    """The mounts that this process sees now, parsed again only if the file has changed.

    Parsing takes several times as long as reading, and many requests need it.
    """
    return _parse_last(read_process_file(os.getpid(), "mountinfo"))


@functools.lru_cache(maxsize=1)
def _parse_last(text: str) -> MountTable:
    return MountTable.parse(text)


def _list_lines(text: str) -> list[str]:
    # Not splitlines(): a name may have other line breaks, which the kernel does not escape.
    return [line for line in text.split("\n") if line]


def _unescape(text: str) -> str:
    # The kernel writes space, tab, newline and backslash as three octal digits.
    return _ESCAPED.sub(lambda match: chr(int(match.group(1), 8)), text) if "\\" in text else text


class MountWatch:
    """Detects mount changes between calls (proc_pid_mounts(5)). Its owner must `close` it."""

    def __init__(self) -> None:
        self._file = os.open("/proc/self/mountinfo", os.O_RDONLY | os.O_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._file, select.POLLPRI)

    def has_changed(self) -> bool:
        """Whether a mount has changed since the last call, or since it was made."""
        return bool(self._poll.poll(0))

    @staticmethod
    def read() -> str:
        """All mounts, as they are now."""
        return read_process_file(os.getpid(), "mountinfo")

    @staticmethod
    def find_changes(before: str, after: str) -> tuple[str, ...]:
        """The mount points of lines that only one of two such files has.

        "/" for a line that does not have the documented form.
        """
        changed = set(_list_lines(before)).symmetric_difference(_list_lines(after))
        fields = [line.split(" ", 5) for line in changed]
        return tuple(_unescape(each[4]) if len(each) > 4 else "/" for each in fields)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
