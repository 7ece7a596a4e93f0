"""Directories held by descriptors, so that what was checked is what is used."""

import os

from airlock_daemon.errors import Denied
from airlock_daemon.platform.linux.known_status import read_known_status
from airlock_daemon.platform.linux.openat2 import open_without_links
from airlock_daemon.platform.linux.procfs import name_descriptor
from airlock_wire import quote

_FILE = os.O_PATH | os.O_CLOEXEC
_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


def open_unlinked(path: str, *, is_file: bool = False, at_once: bool = False) -> tuple[int, str]:
    """Open the directory `path`, which is absolute, or any file, as O_PATH.

    A symbolic link in any of its components is refused. Returns the descriptor, which the caller
    closes, and the real path. A link there could only have been put by a user who can write a
    directory above a workspace; it is not even followed, since it could lead to a file system that
    never answers. Raises Denied; BlockingIOError where it is to be done `at_once` and would have to
    be waited for.
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
    """The path of an open directory as the kernel has it; raises Denied when it was removed."""
    path = name_descriptor(descriptor)
    # A directory may be called so and be there all the same.
    is_removed = path.endswith(" (deleted)") and read_known_status(descriptor).st_nlink == 0
    if is_removed or not path.startswith("/"):
        raise Denied(
            "the working directory has been removed",
            layer="workspace",
            rule="missing",
            hint="change to a directory that exists",
        )
    return path
