"""Fresh empty directories of the daemon's user; removes them even after a daemon was killed."""

import fcntl
import os
import secrets
import stat
import sys
import tempfile
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Self

import msgspec
import trio

from airlock_daemon.errors import Failed
from airlock_daemon.platform.system import SEARCH
from airlock_daemon.threads import run_in_thread

if TYPE_CHECKING:
    from airlock_daemon.boundary.workspace.mapping import Mounts, Source
    from airlock_daemon.boundary.workspace.snapshot import HostPaths

# Only for these directories: any of this user's with this prefix is removed if not in use.
PREFIX = "airlock-empty-"

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def make_temporary() -> tuple[int, str]:
    """Create a directory in TMPDIR; returns a descriptor, for the caller to close, and the path.

    The open descriptor holds a lock that marks it as in use (flock(2)). Raises Failed.
    """
    try:
        while True:
            path = os.path.realpath(tempfile.mkdtemp(prefix=PREFIX))
            # A starting daemon may have removed it before it was locked.
            with suppress(FileNotFoundError):
                descriptor = _open_made(path)
                if _lock(descriptor, fcntl.LOCK_SH) and os.fstat(descriptor).st_nlink > 0:
                    return descriptor, path
                os.close(descriptor)
    except OSError as error:
        raise Failed(
            f"no empty directory can be made for the command: {error.strerror}",
            hint="a person on the host can make room, or mend permissions, where the daemon has "
            "temporary files: in its TMPDIR, else /tmp",
        ) from error


def _open_made(path: str) -> int:
    try:
        return os.open(path, _OPEN)
    except OSError:
        # For example, if the table of descriptors is full.
        with suppress(OSError):
            os.rmdir(path)
        raise


def _list_made() -> list[str]:
    with os.scandir(tempfile.gettempdir()) as entries:
        return [entry.path for entry in entries if entry.name.startswith(PREFIX)]


def remove_tree(path: str) -> None:
    """Remove a directory tree as far as possible.

    A tool may have made it arbitrarily deep. Directories are moved to the top before they are
    entered, which bounds path lengths, recursion and open descriptors.
    """
    with suppress(OSError):
        _open_up(path)
        root = os.open(path, _OPEN)
        try:
            # The list grows during the loop.
            names = _take_out(root, root)
            for name in names:
                with suppress(OSError):
                    directory = os.open(name, _OPEN, dir_fd=root)
                    try:
                        names += _take_out(directory, root)
                    finally:
                        os.close(directory)
                    os.rmdir(name, dir_fd=root)
        finally:
            os.close(root)
        os.rmdir(path)


def _take_out(directory: int, root: int) -> list[str]:
    """Remove the files in a directory, and move its directories to `root`; returns their names."""
    moved = []
    with os.scandir(directory) as found:
        entries = list(found)
    for entry in entries:
        with suppress(OSError):
            if entry.is_dir(follow_symlinks=False):
                name = secrets.token_hex(8)
                _open_up(entry.name, directory)
                os.rename(entry.name, name, src_dir_fd=directory, dst_dir_fd=root)
                moved.append(name)
            else:
                os.unlink(entry.name, dir_fd=directory)
    return moved


def _open_up(name: str, above: int | None = None) -> None:
    """Give a directory's owner all permissions, whatever mode a tool has set."""
    flags = SEARCH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    with suppress(OSError):
        if sys.platform != "linux":
            # Without O_PATH, a directory that its owner may not search cannot be opened.
            follows = os.chmod not in os.supports_follow_symlinks
            os.chmod(name, stat.S_IRWXU, dir_fd=above, follow_symlinks=follows)
            return
        directory = os.open(name, flags, dir_fd=above)
        try:
            os.chmod(f"/proc/self/fd/{directory}", stat.S_IRWXU)
        finally:
            os.close(directory)


def _lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class Workspace(msgspec.Struct, frozen=True, kw_only=True):
    """An open working directory: the tool starts in the very directory that was checked.

    `descriptor` is an O_PATH descriptor, closed by `close` or `release`; `path` is its real path,
    and `root` that of the mapped directory that contains it. `source` is that mapping, None for an
    empty directory. `mounts` maps further paths of the client, None if they are the same on the
    host. `is_temporary`: a fresh empty directory, removed at the end; a box has `own` instead.
    `is_proven`: the client was proved to be in the container that its cgroup names.
    """

    EMPTY: ClassVar[str] = "/no-workspace"
    """The working directory of a box without one of the client's: empty and read-only."""

    descriptor: int
    path: str
    root: str
    mounts: "Mounts | None"
    source: "Source | None" = None
    is_temporary: bool = False
    own: str = EMPTY
    is_proven: bool = False

    @classmethod
    def make_empty(
        cls, mounts: "Mounts | None", *, own: str = EMPTY, is_read_only: bool = False
    ) -> Self:
        """Create an empty directory of the daemon's user, for commands that need no other.

        Without `mounts` no client path maps to the host. In a box the directory is `own`. With
        `is_read_only` a tool of the same user cannot create files there, unless it is root.
        """
        descriptor, path = make_temporary()
        if is_read_only:
            os.fchmod(descriptor, 0o500)
        return cls(
            descriptor=descriptor,
            path=path,
            root=path,
            mounts=mounts,
            is_temporary=True,
            own=own,
            is_proven=mounts is not None and mounts.is_proven,
        )

    @staticmethod
    def remove_stale() -> None:
        """Remove this user's directories that no daemon uses any more. May take a while.

        Errors are ignored: a disk may be full, or TMPDIR unreadable.
        """
        with suppress(OSError):
            for path in _list_made():
                with suppress(OSError):
                    descriptor = os.open(path, _OPEN)
                    try:
                        is_own = os.fstat(descriptor).st_uid == os.geteuid()
                        if is_own and _lock(descriptor, fcntl.LOCK_EX):
                            remove_tree(path)
                    finally:
                        os.close(descriptor)

    @property
    def host_paths(self) -> "HostPaths":
        """The snapshot of host paths for its box; a fresh one for a client of the host."""
        if self.mounts is not None:
            return self.mounts.host_paths
        from airlock_daemon.boundary.workspace.snapshot import HostPaths  # noqa: PLC0415

        return HostPaths()

    def close(self) -> None:
        """Close the descriptor; remove a temporary directory if it is empty."""
        os.close(self.descriptor)
        self._remove_empty()

    async def release(self, removals: trio.CapacityLimiter) -> None:
        """As `close`, and remove what a tool left, within the limit of `removals`."""
        os.close(self.descriptor)
        if not self._remove_empty():
            # It may have a million files, so do not block the event loop.
            remove = partial(remove_tree, self.root)
            # On failure, a starting daemon removes it.
            with trio.CancelScope(shield=True), suppress(Failed):
                await run_in_thread(remove, limiter=removals, abandon_on_cancel=False)

    def _remove_empty(self) -> bool:
        """Remove a temporary directory; False if it is not empty."""
        if self.is_temporary:
            try:
                os.rmdir(self.root)
            except FileNotFoundError:
                return True
            except OSError:
                return False
        return True
