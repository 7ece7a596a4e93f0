"""What of the host others than its owner may write: opened as it was checked."""

import os
import stat
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

import trio

from airlock_daemon.errors import Denied
from airlock_daemon.sandbox.box import Box, Shared
from airlock_daemon.sandbox.key import list_shared
from airlock_daemon.sandbox.marks import see
from airlock_daemon.setup.reserved import Reserved
from airlock_daemon.workspace.aside import find_aside
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


@asynccontextmanager
async def opened(
    box: Box, reserved: Reserved, lookups: trio.CapacityLimiter | None
) -> AsyncIterator[Mapping[Shared, int]]:
    """All of it that `box` has, open until the end.

    Threads of `lookups` open what has to be waited for; without them that is not what was found.
    Raises Denied as `open_shared`.
    """
    found: dict[Shared, int] = {}
    try:
        for what in list_shared(box):
            open_it = partial(open_shared, what, reserved)
            if what not in found:
                try:
                    found[what] = open_it(at_once=True)
                except BlockingIOError as error:
                    if lookups is None:
                        raise _refuse_changed(what.path) from error
                    found[what] = await find_aside(open_it, lookups, drop=os.close)
        yield found
    finally:
        for descriptor in found.values():
            os.close(descriptor)


def open_shared(what: Shared, reserved: Reserved, *, at_once: bool = False) -> int:
    """Open what was found for the request, for the caller to close.

    Raises Denied, and BlockingIOError as `open_unlinked`.
    """
    path = what.path
    descriptor, found = open_unlinked(path, is_file=what.is_file, at_once=at_once)
    is_it = found == path and see(descriptor) == what.mark
    if is_it and reserved.conflict(found, may_be_home=True) is None:
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
