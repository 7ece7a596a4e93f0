"""What of the host others than its owner may write: opened as it was checked."""

import os
import stat

from airlock_daemon.errors import Denied
from airlock_daemon.sandbox.box import Shared
from airlock_daemon.setup.reserved import Reserved
from airlock_daemon.workspace.opening import open_unlinked
from airlock_wire import quote


def open_shared(what: Shared, reserved: Reserved) -> int:
    """Open it as it was found for the request, for the caller to close. Raises Denied."""
    path = what.path
    descriptor, found = open_unlinked(path, is_file=what.is_file)
    is_kind = stat.S_ISREG if what.is_file else stat.S_ISDIR
    is_it = found == path and is_kind(os.fstat(descriptor).st_mode)
    if is_it and reserved.conflict(found) is None:
        return descriptor
    os.close(descriptor)
    raise Denied(
        f"the workspace {quote(path)} has just become another directory",
        layer="workspace",
        rule="missing",
        hint="leave the directories above a workspace as they are while commands run",
    )
