"""Directories of the host that others than its owner may write: opened as they were checked."""

import os

from airlock_daemon.errors import Denied
from airlock_daemon.setup.reserved import Reserved
from airlock_daemon.workspace.opening import open_unlinked
from airlock_wire import quote


def open_shared(path: str, reserved: Reserved) -> int:
    """Open a directory as it was found for the request, for the caller to close. Raises Denied."""
    descriptor, found = open_unlinked(path)
    if found == path and reserved.conflict(found) is None:
        return descriptor
    os.close(descriptor)
    raise Denied(
        f"the workspace {quote(path)} has just become another directory",
        layer="workspace",
        rule="missing",
        hint="leave the directories above a workspace as they are while commands run",
    )
