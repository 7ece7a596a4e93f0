"""What tells that something of the host has become another thing, at little cost."""

import functools
import os
from collections.abc import Iterable

from airlock_daemon.platform.linux.known_status import read_known_status

Mark = tuple[int, ...] | None
"""Of what was found at a path, None where there was nothing to be found."""


def look(path: str) -> Mark:
    """Device and inode of a path, which is no link."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def see(descriptor: int) -> Mark:
    """The same of an open descriptor."""
    found = read_known_status(descriptor)
    return found.st_dev, found.st_ino


def look_around(paths: Iterable[str]) -> tuple[Mark, ...]:
    """Of the directories in which `paths` lie: it changes when one of these comes, goes, or is
    replaced by another (rename(2)), though not when it is written in its place.
    """
    return tuple(map(look_closer, _list_directories(tuple(paths))))


@functools.lru_cache(maxsize=64)
def _list_directories(paths: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(path.rpartition("/")[0] or "/" for path in paths))


def look_closer(path: str) -> Mark:
    """What a path leads to, which changes with all that is written there."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns
