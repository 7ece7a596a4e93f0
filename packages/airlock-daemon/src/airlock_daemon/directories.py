"""Directories held by descriptors, so that what was checked is what is used."""

import os

from airlock_daemon.errors import Denied
from airlock_modules import quote


def open_unlinked(path: str) -> int:
    """Open absolute `path` as O_PATH, refusing a symbolic link in any of its components.

    A link there could only have been put by somebody who can write a directory above a workspace.
    """
    descriptor = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    for part in path.split("/"):
        if not part:
            continue
        try:
            inner = os.open(
                part,
                os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC,
                dir_fd=descriptor,
            )
        except OSError as error:
            raise Denied(
                f"the workspace {quote(path)} cannot be entered on the host: {error.strerror}",
                layer="workspace",
                rule="missing",
                hint="it must be a directory there, and the daemon's user must be able to enter it",
            ) from error
        finally:
            os.close(descriptor)
        descriptor = inner
    return descriptor


def real_path(descriptor: int) -> str:
    """The path of an open directory as the kernel has it; raises Denied when it was removed."""
    path = os.readlink(f"/proc/self/fd/{descriptor}")
    if os.fstat(descriptor).st_nlink == 0 or not path.startswith("/"):
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
