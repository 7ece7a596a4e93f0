"""Opening the directory of the host that a mapping leads to, and what lies below it."""

import os
from functools import partial

import trio

from airlock_daemon.errors import Denied
from airlock_daemon.platform.linux.known_status import read_known_status
from airlock_daemon.platform.linux.procfs import read_mount_id
from airlock_daemon.setup.reserved import Reserved, is_within
from airlock_daemon.workspace.aside import find_aside, look_aside
from airlock_daemon.workspace.beneath import LeadsOutError, open_beneath
from airlock_daemon.workspace.mapping import Source
from airlock_daemon.workspace.opening import open_unlinked, real_path
from airlock_wire import quote


def open_root(source: Source, reserved: Reserved, *, at_once: bool = False) -> tuple[int, str]:
    """Open the directory of a mapping as O_PATH, which the caller closes; returns its path too.

    Raises Denied where it is none that may be entered, is reserved, is covered by another mount, or
    is another one than was noted, and BlockingIOError as `open_unlinked`.
    """
    root, path = open_unlinked(source.directory, at_once=at_once)
    try:
        refuse_reserved(path, reserved, may_be_home=source.may_be_home)
        if source.mount_id is not None and read_mount_id(root) != source.mount_id:
            raise _covered()
        status = read_known_status(root)
        refuse_replaced(source, (status.st_dev, status.st_ino))
    except BaseException:
        os.close(root)
        raise
    return root, path


async def open_root_aside(
    source: Source, reserved: Reserved, lookups: trio.CapacityLimiter
) -> tuple[int, str]:
    """The same; a thread of `lookups` waits for what has to be waited for."""
    try:
        return open_root(source, reserved, at_once=True)
    except BlockingIOError:
        find = partial(open_root, source, reserved)
        return await find_aside(find, lookups, drop=lambda found: os.close(found[0]))


async def open_below(
    root: int, root_path: str, source: Source, reserved: Reserved, lookups: trio.CapacityLimiter
) -> tuple[int, str]:
    """Open what lies below `root`, following links as long as they stay there.

    Returns the descriptor and its real path.
    """
    look = partial(open_beneath, path=source.below, root_path=root_path)
    try:
        try:
            descriptor = look(root, at_once=True)
        except BlockingIOError:
            descriptor = await look_aside(look, root, lookups, drop=os.close)
    except LeadsOutError as error:
        raise _outside() from error
    except OSError as error:
        raise Denied(
            f"the workspace has no directory {quote(source.below)}: {error.strerror}",
            layer="workspace",
            rule="missing",
            hint="it must exist on the host too, and the daemon's user must have access",
        ) from error
    try:
        path = real_path(descriptor)
        if not is_within(path, root_path):
            raise _outside()
        if source.mount_id is not None and read_mount_id(descriptor) != source.mount_id:
            raise _covered()
        refuse_reserved(path, reserved, may_be_home=source.may_be_home)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, path


def _outside() -> Denied:
    return Denied(
        "the working directory leads out of the workspace through a link",
        layer="workspace",
        rule="outside",
        hint="work in a directory that really lies in the workspace",
    )


def _covered() -> Denied:
    return Denied(
        "something else is mounted over that directory on the host",
        layer="workspace",
        rule="mount",
        hint="work in a directory that container and host see alike",
    )


def refuse_replaced(source: Source, found: tuple[int, ...] | None) -> None:
    """Raise Denied where the directory that was `found` is not the one that the agent was given."""
    if source.identity not in (None, found):
        raise Denied(
            f"the workspace {quote(source.directory)} has become another directory",
            layer="workspace",
            rule="replaced",
            hint="a person on the host can see more, and what to do: airlock-daemon check",
        )


def refuse_reserved(path: str, reserved: Reserved, *, may_be_home: bool = False) -> None:
    """Raise Denied where the real path `path` may be no workspace."""
    conflict = reserved.conflict(path, may_be_home=may_be_home)
    if conflict is not None:
        raise Denied(
            f"{quote(path)} cannot be a workspace: {conflict}",
            layer="workspace",
            rule="reserved",
            hint="keep Airlock's own files and programs outside of what a container can write",
        )
