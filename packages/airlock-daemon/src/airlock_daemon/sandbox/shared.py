"""What of the host others than its owner may write: opened as it was checked."""

import os
import stat

from airlock_daemon.errors import Denied
from airlock_daemon.sandbox.box import Shared
from airlock_daemon.sandbox.marks import see
from airlock_daemon.setup.reserved import Reserved
from airlock_daemon.workspace.opening import open_unlinked
from airlock_daemon.workspace.sights import Sights
from airlock_wire import quote


def share(path: str, target: str, sights: Sights, *, read_only: bool) -> Shared:
    """What stands at `path` as `sights` have it, a directory or a file. Raises Denied."""
    found = sights.look(path)
    if found is None:
        raise _refuse_changed(path)
    mode = found.status.st_mode
    return Shared(path, target, found.mark, read_only, is_file=stat.S_ISREG(mode))


def open_shared(what: Shared, reserved: Reserved) -> int:
    """Open what was found for the request, for the caller to close. Raises Denied."""
    path = what.path
    descriptor, found = open_unlinked(path, is_file=what.is_file)
    is_it = found == path and see(descriptor) == what.mark
    if is_it and reserved.conflict(found) is None:
        return descriptor
    os.close(descriptor)
    raise _refuse_changed(path)


def _refuse_changed(path: str) -> Denied:
    return Denied(
        f"the workspace {quote(path)} has just become another directory",
        layer="workspace",
        rule="missing",
        hint="leave the directories above a workspace as they are while commands run",
    )
