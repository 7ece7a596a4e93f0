"""Follows a path below a directory without leaving it.

Like RESOLVE_BENEATH of openat2(2), with two differences: a symlink may be absolute if it leads back
into the directory, and the path may name what does not exist yet.
"""

import errno
import os
import stat
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple

from airlock_daemon.errors import Denied
from airlock_daemon.path_text import is_within
from airlock_daemon.platform.system import (
    LOOK,
    SEARCH,
    name_descriptor,
    open_without_links,
    openat2,
    read_known_status,
)
from airlock_wire import quote

MAX_LINKS = 40
"""The kernel's limit of symlinks in one path (path_resolution(7))."""

MAX_STEPS = 256
"""Limit of directories and symlinks in one path: each costs system calls."""

_STEP = LOOK | os.O_NOFOLLOW | os.O_CLOEXEC
# The name does not exist, or cannot: nothing to follow from here on.
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)


class LeadsOutError(Exception):
    """The path leaves the directory, by `..` or a symlink."""


def follow(
    start: int,
    parts: Iterable[str],
    *,
    depth: int,
    root: int,
    root_path: str,
    at_once: bool = False,
) -> None:
    """Follow `parts` as the kernel would now, from the open directory `start`.

    `start` lies `depth` levels below the directory `root`, which has the real path `root_path`.
    Parts after the first missing one are followed as text. Raises LeadsOutError; OSError if a part
    cannot be inspected (EACCES, ELOOP, ENAMETOOLONG for more than MAX_STEPS); with `at_once`
    BlockingIOError if that would block.
    """
    end = _walk(start, parts, depth=depth, root=root, root_path=root_path, at_once=at_once)
    try:
        if end.rest:
            count(end.rest, depth=end.depth)
        elif not is_within(name_descriptor(end.descriptor), root_path):
            # A directory was moved meanwhile.
            raise LeadsOutError
    finally:
        os.close(end.descriptor)


def open_beneath(root: int, path: str, *, root_path: str, at_once: bool = False) -> int:
    """Open the directory `path` below `root` with O_PATH; the caller closes it.

    The kernel must not follow symlinks, as it would follow them to any file system, even one that
    hangs. The caller checks where the directory lies, since it may be moved meanwhile. Raises as
    `follow`, and OSError for a missing path or one that is not a directory.
    """
    parts = path.split("/")
    end = _walk(root, parts, depth=0, root=root, root_path=root_path, at_once=at_once)
    error = end.error
    if error is None and not stat.S_ISDIR(read_known_status(end.descriptor).st_mode):
        error = _no_directory()
    if error is not None:
        os.close(end.descriptor)
        raise error
    return end.descriptor


class _End(NamedTuple):
    """The end of a walk: an open descriptor, `depth` levels below the root.

    With an `error`, `rest` are the parts from the first missing one on; there are none if the path
    ends with a file that is no directory, which without O_PATH is not opened: then the descriptor
    is that of its directory.
    """

    descriptor: int
    depth: int
    rest: Sequence[str] = ()
    error: OSError | None = None


def _walk(
    start: int, parts: Iterable[str], *, depth: int, root: int, root_path: str, at_once: bool
) -> _End:
    """Follow `parts` as far as they exist, with a few system calls for each.

    Symlinks are followed one by one and only below the root: so none into `/proc` is resolved as
    the daemon's own, and none leads to a file system that hangs. Opens only with O_PATH.
    """
    waiting = _backwards(parts)
    links = steps = 0
    here = os.dup(start)
    try:
        while waiting:
            steps += 1
            if steps > MAX_STEPS:
                raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
            part = waiting.pop()
            if part == ".." and depth == 0:
                raise LeadsOutError
            try:
                found = _open(part, here, at_once=at_once)
            except OSError as error:
                if error.errno not in _ABSENT:
                    raise
                return _End(here, depth, (part, *reversed(waiting)), error)
            if found is None:
                return _End(here, depth + 1, waiting[::-1], _no_directory())
            inner, target = _settle(found, at_once=at_once)
            if target is None:
                depth += -1 if part == ".." else 1
            else:
                links += 1
                if links > MAX_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                if target.startswith("/"):
                    target, depth = _strip(target, root_path), 0
                    inner = os.dup(root)
                else:
                    inner = os.dup(here)
                waiting += _backwards(target.split("/"))
            os.close(here)
            here = inner
    except BaseException:
        os.close(here)
        raise
    return _End(here, depth)


def _open(part: str, directory: int, *, at_once: bool) -> int | str | None:
    """Open a part; without O_PATH as `step` does."""
    if sys.platform != "linux":
        if at_once:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        from airlock_daemon.platform.system import step  # noqa: PLC0415 - without O_PATH

        return step(part, directory)
    if at_once:
        with suppress(NotImplementedError):
            return openat2(part, _STEP, directory=directory, is_cached=True)
    return os.open(part, _STEP, dir_fd=directory)


def _settle(found: int | str, *, at_once: bool) -> tuple[int, str | None]:
    """Return an open part and None; or no descriptor and a symlink's target, which it closes."""
    if isinstance(found, str):
        return -1, found
    try:
        target = _read_link(found, at_once=at_once)
    except BaseException:
        os.close(found)
        raise
    if target is None:
        return found, None
    os.close(found)
    return -1, target


def _no_directory() -> NotADirectoryError:
    return NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))


def count(parts: Iterable[str], *, depth: int) -> None:
    """Follow `parts` as text, from `depth` levels below the root. Raises LeadsOutError.

    Many tools normalize paths before they open them: to those, `link/..` is the directory of the
    symlink, not the parent of its target.
    """
    for part in parts:
        if part not in ("", "."):
            depth += -1 if part == ".." else 1
            if depth < 0:
                raise LeadsOutError


def _backwards(parts: Iterable[str]) -> list[str]:
    return [part for part in parts if part not in ("", ".")][::-1]


def _read_link(descriptor: int, *, at_once: bool) -> str | None:
    """Return an open symlink's target, None if it is not a symlink.

    With `at_once` none is read: the kernel does not tell whether the target is cached.
    """
    if not stat.S_ISLNK(read_known_status(descriptor).st_mode):
        return None
    if at_once:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return os.readlink("", dir_fd=descriptor)


def _strip(target: str, root_path: str) -> str:
    """Return the part of an absolute symlink below the root."""
    prefix = root_path.rstrip("/") + "/"
    if not f"{target}/".startswith(prefix):
        raise LeadsOutError
    return target[len(prefix) :]


_FILE = LOOK | os.O_CLOEXEC
_DIRECTORY = SEARCH | os.O_DIRECTORY | os.O_CLOEXEC


def open_unlinked(path: str, *, is_file: bool = False, at_once: bool = False) -> tuple[int, str]:
    """Open the directory `path`, which is absolute, or with `is_file` any file, with O_PATH.

    Refuses a symlink in any component: only a user who can write a directory above the workspace
    can have made it, and following it could lead to a file system that hangs. Returns the
    descriptor, which the caller closes, and the real path. Raises Denied; with `at_once`
    BlockingIOError if opening would block.
    """
    try:
        descriptor = open_without_links(path, _FILE if is_file else _DIRECTORY, at_once=at_once)
    except BlockingIOError:
        raise
    except OSError as error:
        raise _closed(path, error) from error
    try:
        return descriptor, real_path(descriptor)
    except BaseException:
        os.close(descriptor)
        raise


def _closed(path: str, error: OSError) -> Denied:
    return Denied(
        f"the workspace {quote(path)} cannot be entered on the host: {error.strerror}",
        layer="workspace",
        rule="missing",
        hint="it must be a directory there, and the daemon's user must be able to enter it",
    )


def real_path(descriptor: int) -> str:
    """The kernel's path of an open directory. Raises Denied if it was removed."""
    path = name_descriptor(descriptor)
    # An existing directory's name may end like this too.
    may_be_removed = sys.platform != "linux" or path.endswith(" (deleted)")
    is_removed = may_be_removed and read_known_status(descriptor).st_nlink == 0
    if is_removed or not path.startswith("/"):
        raise Denied(
            "the working directory has been removed",
            layer="workspace",
            rule="missing",
            hint="change to a directory that exists",
        )
    return path
