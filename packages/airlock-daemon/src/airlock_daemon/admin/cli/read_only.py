"""Paths of a workspace that a container cannot change: `run --read-only`."""

import os
import shutil
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

import msgspec

from airlock_daemon.admin.cli.wiring import Mount
from airlock_daemon.boundary.identity.neighbours import Mounted
from airlock_daemon.errors import AirlockError
from airlock_daemon.path_text import absolute, is_within
from airlock_daemon.platform.system import open_without_links
from airlock_daemon.setup.generation import BoxConfig, Identity
from airlock_wire import quote

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Placeholder(msgspec.Struct, frozen=True):
    """An empty file or directory that was created as a mount point."""

    path: str
    is_directory: bool
    identity: Identity


class ReadOnly(msgspec.Struct, frozen=True):
    """The mounts, outermost first, and what was created in the workspace.

    Each mount has the identity of the path, which has no symlinks. A parent directory is mounted
    over itself, still writable: a mount point cannot be renamed, so nothing in it can be replaced.
    """

    mounts: Mapping[Mount, Identity] = {}
    placeholders: tuple[Placeholder, ...] = ()

    def clean(self) -> Iterator[str]:
        """Remove the unused placeholders; yields which ones stay, and why."""
        mounted = Mounted.list_all() if self.placeholders else ()
        in_use = {path for each in mounted for found in each.values() for path in found.paths}
        for each in reversed(self.placeholders):
            if each.path in in_use:
                yield f"{each.path} stays, empty: another container has it mounted"
                continue
            with suppress(OSError):
                _remove(each)


def protect(paths: Iterable[str], workspaces: Iterable[Mount], *, can_make: bool) -> ReadOnly:
    """Make `paths` read-only, each in one of the workspaces; missing ones are created empty.

    A path that ends in a slash is a directory. Without `can_make` all must exist. Raises
    AirlockError if one is outside of all workspaces, contains a symlink, or could be replaced by a
    container or a boxed command that is running.
    """
    mounts: dict[str, Mount] = {}
    found: dict[str, Identity] = {}
    made: list[Placeholder] = []
    try:
        for written in paths:
            path = absolute(written)
            workspace = _find_workspace(path, workspaces)
            steps = _list_steps(path, workspace.source)
            _refuse_replaceable(steps, workspace.source)
            for step in steps:
                is_last = step == path
                is_directory = not is_last or written.endswith("/")
                seen = _look(step, is_directory=is_directory)
                if seen is None:
                    placeholder = _make(step, is_directory=is_directory, can_make=can_make)
                    made.append(placeholder)
                    seen = placeholder.identity
                if is_last or step not in mounts:
                    target = os.path.join(workspace.target, os.path.relpath(step, workspace.source))
                    mounts[step] = Mount(source=step, target=target, read_only=is_last)
                    found[step] = seen
    except BaseException:
        list(ReadOnly({}, tuple(made)).clean())
        raise
    ordered = sorted(mounts.values(), key=lambda each: each.target.count("/"))
    return ReadOnly({each: found[each.source] for each in ordered}, tuple(made))


def _find_workspace(path: str, workspaces: Iterable[Mount]) -> Mount:
    around = [each for each in workspaces if is_within(path, each.source)]
    if not around or any(path == each.source for each in around):
        raise AirlockError(
            f"{path} lies in no workspace of the container",
            hint="name a file or directory below one with --read-only",
        )
    return max(around, key=lambda each: len(each.source))


def _list_steps(path: str, workspace: str) -> list[str]:
    """All paths from below a workspace to `path`, which is the last."""
    parts = os.path.relpath(path, workspace).split("/")
    return [os.path.join(workspace, *parts[: number + 1]) for number in range(len(parts))]


def _look(path: str, *, is_directory: bool) -> Identity | None:
    """Identify `path`, None if missing; raises AirlockError for a symlink, and for other kinds."""
    try:
        status = _read_status(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise AirlockError(
            f"{path} cannot be looked at: {error.strerror}", hint="mend its permissions"
        ) from error
    if stat.S_ISDIR(status.st_mode) or (stat.S_ISREG(status.st_mode) and not is_directory):
        return Identity(status.st_dev, status.st_ino)
    if stat.S_ISLNK(status.st_mode):
        raise AirlockError(
            f"{path} is a link, which the container could point elsewhere",
            hint=f"name what it leads to with --read-only: {quote(os.path.realpath(path))}",
        )
    raise AirlockError(
        f"{path} is not a {'directory' if is_directory else 'file or directory'}",
        hint="name a file or directory with --read-only",
    )


def _read_status(path: str) -> os.stat_result:
    """As lstat(2), but on Linux no parent may be a symlink."""
    if sys.platform != "linux":
        return os.lstat(path)
    descriptor = open_without_links(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)


def _make(path: str, *, is_directory: bool, can_make: bool) -> Placeholder:
    if not can_make:
        raise AirlockError(
            f"{path} is not there, and --print makes nothing",
            hint=f"make it: {'mkdir' if is_directory else 'touch'}, or run this without --print",
        )
    above, name = os.path.split(path)
    try:
        directory = open_without_links(above, _DIRECTORY)
        try:
            if is_directory:
                os.mkdir(name, dir_fd=directory)
            else:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                os.close(os.open(name, flags, 0o644, dir_fd=directory))
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        finally:
            os.close(directory)
    except OSError as error:
        raise AirlockError(
            f"{path} is not there, and cannot be made to be mounted over: {error.strerror}",
            hint="make it, or mend the permissions of the directory that it lies in",
        ) from error
    return Placeholder(path, is_directory, Identity(status.st_dev, status.st_ino))


def _remove(placeholder: Placeholder) -> None:
    """Remove a placeholder that is still there and empty; raises OSError."""
    above, name = os.path.split(placeholder.path)
    # A container may put a symlink in the place of what is above.
    directory = open_without_links(above, _DIRECTORY)
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if Identity(status.st_dev, status.st_ino) != placeholder.identity:
            return
        if placeholder.is_directory:
            os.rmdir(name, dir_fd=directory)
        elif not status.st_size:
            os.unlink(name, dir_fd=directory)
    finally:
        os.close(directory)


def _refuse_replaceable(steps: list[str], workspace: str) -> None:
    """Raise AirlockError if a container or boxed command could replace a step by a symlink.

    The engine would follow it, and mount its target. A container that mounts each step itself
    cannot, nor can a prewarmed box.
    """
    for mounted in Mounted.list_all(_find_waiting_programs()):
        if any(_can_replace(steps, point, mounted) for point in mounted):
            raise AirlockError(
                f"a container or a boxed command that runs can write to {workspace}, and put "
                f"something else in the place of {steps[-1]} while it is being mounted",
                hint="end it first, or start its container with the same --read-only",
            )


def _find_waiting_programs() -> frozenset[tuple[int, int]]:
    """Device and inode of the programs that run in a box before its command."""
    from airlock_daemon.boundary.command import find_launcher  # noqa: PLC0415 - loads much

    found = set()
    with suppress(OSError, AirlockError):
        for path in (find_launcher(), shutil.which(BoxConfig.BUBBLEWRAP)):
            if path is not None:
                status = os.stat(path)
                found.add((status.st_dev, status.st_ino))
    return frozenset(found)


def _can_replace(steps: list[str], point: str, mounted: Mapping[str, Mounted]) -> bool:
    """Whether a container can replace a step through its mount at `point`: unless it mounts it."""
    above = mounted[point]
    for path in above.paths if above.is_writable else ():
        for step in steps:
            if is_within(os.path.dirname(step), path):
                inner = mounted.get(os.path.join(point, os.path.relpath(step, path)))
                if inner is None or step not in inner.paths:
                    return True
    return False
