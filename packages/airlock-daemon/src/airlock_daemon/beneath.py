"""Following a path below a directory without ever leaving it.

What openat2(2) calls RESOLVE_BENEATH, with two differences that a workspace needs: a link may be
absolute as long as it leads back to the directory, and what is not there yet may be named.
"""

import errno
import os
import stat
from collections.abc import Iterable

from airlock_daemon.reserved import is_within

MOST_LINKS = 40
"""As many links as the kernel follows in one path (path_resolution(7))."""

_STEP = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
# Nothing has that name, or no file can have it: there is nothing to follow from there on.
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)


class LeadsOutError(Exception):
    """The path leaves the directory, by `..` or through a link."""


def follow(start: int, parts: Iterable[str], *, depth: int, root: int, root_path: str) -> None:
    """Follow `parts` from the open directory `start` as the kernel would now.

    `start` lies `depth` levels below the directory `root`, which has the real path `root_path`.
    Links are followed one by one and only below the root, so that no link into `/proc` is read in
    the name of the wrong process. From the first part that does not exist on, the rest is counted
    as text. Raises LeadsOutError, and OSError for what cannot be looked at (EACCES, ELOOP). Takes a
    few system calls a part, and opens nothing but for O_PATH.
    """
    waiting = _backwards(parts)
    links = 0
    here = os.dup(start)
    try:
        while waiting:
            part = waiting.pop()
            if part == ".." and depth == 0:
                raise LeadsOutError
            try:
                inner = os.open(part, _STEP, dir_fd=here)
            except OSError as error:
                if error.errno not in _ABSENT:
                    raise
                count((part, *reversed(waiting)), depth=depth)
                return
            target = _read_link(inner)
            if target is None:
                depth += -1 if part == ".." else 1
            else:
                os.close(inner)
                links += 1
                if links > MOST_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                if target.startswith("/"):
                    target, depth = _strip(target, root_path), 0
                    inner = os.dup(root)
                else:
                    inner = os.dup(here)
                waiting += _backwards(target.split("/"))
            os.close(here)
            here = inner
        # Somebody may have moved a directory while it was followed: where did that end?
        if not is_within(os.readlink(f"/proc/self/fd/{here}"), root_path):
            raise LeadsOutError
    finally:
        os.close(here)


def count(parts: Iterable[str], *, depth: int) -> None:
    """Follow `parts` as text, from `depth` levels below the root. Raises LeadsOutError.

    Many tools join and shorten paths before they open them, and to those `link/..` is the directory
    of the link and not the one above its target.
    """
    for part in parts:
        if part not in ("", "."):
            depth += -1 if part == ".." else 1
            if depth < 0:
                raise LeadsOutError


def _backwards(parts: Iterable[str]) -> list[str]:
    return [part for part in parts if part not in ("", ".")][::-1]


def _read_link(descriptor: int) -> str | None:
    """Return where an open link leads, None for what is no link."""
    if not stat.S_ISLNK(os.fstat(descriptor).st_mode):
        return None
    return os.readlink("", dir_fd=descriptor)


def _strip(target: str, root_path: str) -> str:
    """Return what remains of an absolute link below the root."""
    prefix = root_path.rstrip("/") + "/"
    if not f"{target}/".startswith(prefix):
        raise LeadsOutError
    return target[len(prefix) :]
