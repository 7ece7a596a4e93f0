"""Directories held by descriptors, so that what was checked is what is used."""

import os

from airlock_daemon.errors import Denied
from airlock_modules import quote


def open_unlinked(path: str) -> tuple[int, str]:
    """Open absolute `path` as O_PATH, refusing a symbolic link in any of its components.

    Returns the descriptor, which the caller closes, and the real path. A link there could only have
    been put by somebody who can write a directory above a workspace.
    """
    try:
        descriptor = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise _closed(path, str(error.strerror)) from error
    try:
        real = real_path(descriptor)
        if real not in (path, os.path.normpath(path)):
            raise _closed(path, "a symbolic link leads there")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, real


def _closed(path: str, reason: str) -> Denied:
    return Denied(
        f"the workspace {quote(path)} cannot be entered on the host: {reason}",
        layer="workspace",
        rule="missing",
        hint="it must be a directory there, and the daemon's user must be able to enter it",
    )


def real_path(descriptor: int) -> str:
    """The path of an open directory as the kernel has it; raises Denied when it was removed."""
    path = os.readlink(f"/proc/self/fd/{descriptor}")
    # A directory may be called so and be there all the same.
    is_removed = path.endswith(" (deleted)") and os.fstat(descriptor).st_nlink == 0
    if is_removed or not path.startswith("/"):
        raise Denied(
            "the working directory has been removed",
            layer="workspace",
            rule="missing",
            hint="change to a directory that exists",
        )
    return path


def mount_id(descriptor: int) -> int:
    """The id of the mount that an open file is on, as in mountinfo (proc_pid_fdinfo(5))."""
    with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as file:
        for line in file:
            if line.startswith("mnt_id:"):
                return int(line.split()[1])
    return -1
