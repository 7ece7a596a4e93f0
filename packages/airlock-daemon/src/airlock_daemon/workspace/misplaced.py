"""Directories that a profile maps to one path, and that the container has not there.

What the container hides or protects in a directory is said by its mounts, at its paths. At a path
where the container does not have that directory nothing would be hidden or protected.
"""

import os
from collections.abc import Sequence

from airlock_daemon.platform.linux.mountinfo import MountRow, find_mount, relative_to


def find_elsewhere(
    directory: str, *, target: str, rows: Sequence[MountRow], host: Sequence[MountRow]
) -> str | None:
    """Where a container that does not have `directory` of the host at `target` has it, or a part.

    `rows` are the mounts of the container, `host` those of the host. None if it has it at `target`,
    or nowhere.
    """
    own = find_mount(host, directory)
    if own is None:
        return None
    root = _join(own.root, relative_to(directory, own.point) or "")
    there = [row for row in rows if row.point != "/" and row.device == own.device]
    seen = find_mount(rows, target)
    if seen in there and _join(seen.root, relative_to(target, seen.point) or "") == root:
        return None
    for row in there:
        below = relative_to(row.root, root)
        is_part_in_place = below is not None and relative_to(row.point, target) == below
        if not is_part_in_place and (below is not None or relative_to(root, row.root) is not None):
            return row.point
    return None


def find_other(
    directory: str, *, target: str, rows: Sequence[MountRow], host: Sequence[MountRow]
) -> str | None:
    """What a container has mounted at `target` in place of `directory` of the host.

    It is the path in the file system of the mount. None where it has that directory there, or none
    at all, on its own root.
    """
    own, seen = find_mount(host, directory), find_mount(rows, target)
    if own is None or seen is None or seen.point == "/":
        return None
    there = _join(seen.root, relative_to(target, seen.point) or "")
    here = _join(own.root, relative_to(directory, own.point) or "")
    return None if (own.device, here) == (seen.device, there) else there


def _join(directory: str, rest: str) -> str:
    return os.path.join(directory, rest) if rest else directory
