"""`/proc/<pid>/mountinfo` (proc_pid_mountinfo(5)): parsed, searched, and watched for changes."""

import functools
import os
import re
import select
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from airlock_daemon.path_text import list_above, relative_to
from airlock_daemon.platform.linux.procfs import read_process_file

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


def parse_mountinfo(text: str) -> tuple[MountRow, ...]:
    """Parse the whole file; skips rows that do not have the documented form."""
    rows = []
    for line in text.splitlines():
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
    return tuple(rows)


def read_own_mounts() -> tuple[MountRow, ...]:
    """The mounts that this process sees now, parsed again only if the file has changed.

    Parsing takes several times as long as reading, and many requests need it.
    """
    return _parse_last(read_process_file(os.getpid(), "mountinfo"))


def find_mount(rows: Iterable[MountRow], path: str) -> MountRow | None:
    """The mount of `path` (absolute, normal): the longest mount point, the last of equals."""
    found: MountRow | None = None
    for row in rows:
        if relative_to(path, row.point) is not None and (
            found is None or len(row.point) >= len(found.point)
        ):
            found = row
    return found


def shows_all(rows: Sequence[MountRow]) -> bool:
    """Whether these can be all mounts of a container, as a process sees them.

    A process that has changed its root (chroot) sees none outside of it. A container has its root
    file system at / and a procfs at /proc, and cannot mount another one.
    """
    root, proc = find_mount(rows, "/"), find_mount(rows, "/proc")
    return root is not None and proc is not None and (proc.point, proc.kind) == ("/proc", "proc")


def by_point(rows: Iterable[MountRow]) -> dict[str, MountRow]:
    """The visible mount at each point: the last of several."""
    return {row.point: row for row in rows}


def find_seen(seen: Mapping[str, MountRow], path: str) -> MountRow | None:
    """As `find_mount` on the result of `by_point`, independent of the number of mounts."""
    return next((seen[each] for each in (path, *list_above(path)) if each in seen), None)


def covering(rows: Iterable[MountRow], *, device: str, root: str) -> list[tuple[MountRow, str]]:
    """Mounts of `device` that contain its directory `root`, each with the path of that."""
    found = []
    for row in rows:
        rest = relative_to(root, row.root)
        if row.device == device and rest is not None:
            found.append((row, os.path.join(row.point, rest) if rest else row.point))
    return found


def find_shown(host: Iterable[MountRow], row: MountRow) -> Iterator[str]:
    """The paths in the mounts `host` of what `row` of another namespace mounts."""
    rows = tuple(host)
    for candidate, directory in covering(rows, device=row.device, root=row.root):
        if find_mount(rows, directory) == candidate:
            yield directory


@functools.lru_cache(maxsize=1)
def _parse_last(text: str) -> tuple[MountRow, ...]:
    return parse_mountinfo(text)


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
        changed = set(before.splitlines()).symmetric_difference(after.splitlines())
        fields = [line.split(" ", 5) for line in changed]
        return tuple(_unescape(each[4]) if len(each) > 4 else "/" for each in fields)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
