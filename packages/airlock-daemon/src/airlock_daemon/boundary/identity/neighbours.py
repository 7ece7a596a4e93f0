"""Host paths mounted in containers and boxes, whether Airlock knows those or not.

A container is an agent's if it has part of the sockets directory mounted. The mounts of its
processes show that to every user, so no engine is asked.
"""

import os
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import suppress

import msgspec

from airlock_daemon.path_text import is_within
from airlock_daemon.platform.system import MountTable, read_own_mounts, read_process_file

# Bytes of one process's mounts; a process with more is skipped.
_MAX = 1 << 20


class Mounted(msgspec.Struct, frozen=True):
    """A container's mount: where this host has the same, and whether it is writable."""

    paths: tuple[str, ...]
    is_writable: bool

    @staticmethod
    def list_all(
        waiting: AbstractSet[tuple[int, int]] = frozenset(),
    ) -> "Iterator[dict[str, Mounted]]":
        """The mounts of each running container and box, by path.

        Skips those that run only `waiting` programs, given by device and inode: prewarmed boxes.
        """
        host = read_own_mounts()
        for rows, processes in _list_namespaces(host):
            if waiting and all(_find_program(each) in waiting for each in processes):
                continue
            yield {
                row.point: Mounted(tuple(host.find_shown(row)), not row.read_only)
                for row in rows
                if not row.is_pseudo
            }

    @staticmethod
    def find_writable(sockets_dir: str) -> tuple[str, ...]:
        """The host directories that agents' containers can write now.

        `sockets_dir` is a real path. Takes some milliseconds for hundreds of processes.
        """
        host = read_own_mounts()
        found: dict[str, None] = {}
        for rows, _ in _list_namespaces(host):
            shown = {row.point: tuple(host.find_shown(row)) for row in rows}
            if any(is_within(each, sockets_dir) for places in shown.values() for each in places):
                writable = (row for row in rows if not row.read_only and not row.is_pseudo)
                found |= dict.fromkeys(each for row in writable for each in shown[row.point])
        return tuple(found)


def _list_namespaces(host: MountTable) -> Iterator[tuple[MountTable, tuple[int, ...]]]:
    """The mounts of processes whose root is not the host's, and the pids that share them.

    A host service in its own mount namespace has the host's root, and is omitted.
    """
    if not host:
        # Containers are in a virtual machine.
        return
    found: dict[str, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with suppress(OSError):
                text = read_process_file(int(name), "mountinfo", limit=_MAX)
                found.setdefault(text, []).append(int(name))
    own = host.find("/")
    for text, processes in found.items():
        rows = MountTable.parse(text)
        root = rows.find("/")
        if root is None or own is None or (root.device, root.root) != (own.device, own.root):
            yield rows, tuple(processes)


def _find_program(process: int) -> tuple[int, int] | None:
    """Device and inode of a process's executable; None if hidden."""
    try:
        status = os.stat(f"/proc/{process}/exe")
    except OSError:
        return None
    return status.st_dev, status.st_ino
