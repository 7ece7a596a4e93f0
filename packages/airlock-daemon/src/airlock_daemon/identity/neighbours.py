"""What containers of agents have mounted of this host, whether they have asked or not.

A container is an agent's if it has something of the sockets directory mounted. That is seen by the
mounts of its processes, which the kernel shows to everybody, so that no engine is asked.
"""

import os
from collections.abc import Iterator

import msgspec

from airlock_daemon.identity.peer import containers_in, outermost_beyond
from airlock_daemon.platform.linux.mountinfo import (
    MountRow,
    find_mount,
    find_shown,
    parse_mountinfo,
    read_own_mounts,
)
from airlock_daemon.platform.linux.procfs import read_process_entry, read_process_file
from airlock_daemon.setup.reserved import is_within

# Bytes of the mounts of one process: who has more is passed over.
_MOST = 1 << 20


class Mounted(msgspec.Struct, frozen=True):
    """What a container has mounted: where this host has the same, and whether it may write."""

    paths: tuple[str, ...]
    is_writable: bool


def find_mounted(sockets_dir: str) -> tuple[str, ...]:
    """The directories of this host that containers of agents may write to now.

    `sockets_dir` is a real path. It takes some milliseconds for hundreds of processes.
    """
    host = read_own_mounts()
    found: dict[str, None] = {}
    for rows in _list_containers(host):
        shown = {row.point: tuple(find_shown(host, row)) for row in rows}
        if any(is_within(each, sockets_dir) for places in shown.values() for each in places):
            writable = (row for row in rows if not row.read_only and not row.is_pseudo)
            found |= dict.fromkeys(each for row in writable for each in shown[row.point])
    return tuple(found)


def list_mounted() -> Iterator[dict[str, Mounted]]:
    """For each container that an engine runs: what is mounted at each of its paths."""
    host = read_own_mounts()
    for rows in _list_containers(host, only_named=True):
        yield {
            row.point: Mounted(tuple(find_shown(host, row)), not row.read_only)
            for row in rows
            if not row.is_pseudo
        }


def _list_containers(
    host: tuple[MountRow, ...], *, only_named: bool = False
) -> Iterator[tuple[MountRow, ...]]:
    """The mounts of each process with another root than the host's, the same ones once.

    With `only_named` those alone whose cgroup names a container, as those of boxes do not.
    """
    seen = set()
    around = containers_in(read_process_entry(os.getpid(), "cgroup")) if only_named else ()
    own = find_mount(host, "/")
    for name in os.listdir("/proc"):
        if not name.isdecimal():
            continue
        try:
            text = read_process_file(int(name), "mountinfo", most=_MOST)
            if only_named:
                named = containers_in(read_process_entry(int(name), "cgroup"))
                if outermost_beyond(around, named) is None:
                    continue
        except OSError:
            continue
        if text in seen:
            continue
        seen.add(text)
        rows = parse_mountinfo(text)
        root = find_mount(rows, "/")
        if root is None or own is None or (root.device, root.root) != (own.device, own.root):
            yield rows
