"""Where a command runs: turns a path claimed by the client into an open, checked directory."""

import os
import sys
from functools import partial

import trio

from airlock_daemon.boundary.identity.containers import Containers
from airlock_daemon.boundary.identity.peer import Peer
from airlock_daemon.boundary.workspace.beneath import (
    LeadsOutError,
    open_beneath,
    open_unlinked,
    real_path,
)
from airlock_daemon.boundary.workspace.mapping import Mapping, Mounts, Source, Unmapped
from airlock_daemon.boundary.workspace.snapshot import HostPaths, find_in_thread, look_in_thread
from airlock_daemon.boundary.workspace.temporary import Workspace
from airlock_daemon.errors import AND_RELOAD, Denied
from airlock_daemon.path_text import is_within
from airlock_daemon.platform.system import SEARCH, read_known_status, read_mount_id
from airlock_daemon.setup.generation import Generation, Reserved
from airlock_modules import Module
from airlock_wire import quote

# What boxes and brokers need of the modules below, which they load anyway.
__all__ = [
    "HostPaths",
    "Mounts",
    "Source",
    "Unmapped",
    "enter",
    "find_in_thread",
    "look_in_thread",
    "open_unlinked",
    "refuse_replaced",
]


def open_root(source: Source, reserved: Reserved, *, at_once: bool = False) -> tuple[int, str]:
    """Open a mapping's directory with O_PATH, for the caller to close; returns it and its path.

    Raises Denied if it cannot be entered, is reserved, is covered by another mount, or was
    replaced; BlockingIOError as `open_unlinked`.
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


async def open_root_in_thread(
    source: Source, reserved: Reserved, lookups: trio.CapacityLimiter
) -> tuple[int, str]:
    """As `open_root`; what would block is done in a thread of `lookups`."""
    try:
        return open_root(source, reserved, at_once=True)
    except BlockingIOError:
        find = partial(open_root, source, reserved)
        return await find_in_thread(find, lookups, drop=lambda found: os.close(found[0]))


async def open_below(
    root: int, root_path: str, source: Source, reserved: Reserved, lookups: trio.CapacityLimiter
) -> tuple[int, str]:
    """Open the path below `root`, following symlinks as long as they stay there.

    Returns the descriptor and its real path.
    """
    look = partial(open_beneath, path=source.below, root_path=root_path)
    try:
        try:
            descriptor = look(root, at_once=True)
        except BlockingIOError:
            descriptor = await look_in_thread(look, root, lookups, drop=os.close)
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
    """Raise Denied if the directory `found` is not the one that the agent was given."""
    if source.identity not in (None, found):
        raise Denied(
            f"the workspace {quote(source.directory)} has become another directory",
            layer="workspace",
            rule="replaced",
            hint="a person on the host can see more, and what to do: airlock check",
        )


def refuse_reserved(path: str, reserved: Reserved, *, may_be_home: bool = False) -> None:
    """Raise Denied if the real path `path` must not be a workspace."""
    conflict = reserved.conflict(path, may_be_home=may_be_home)
    if conflict is not None:
        raise Denied(
            f"{quote(path)} cannot be a workspace: {conflict}",
            layer="workspace",
            rule="reserved",
            hint="keep Airlock's own files and programs outside of what a container can write",
        )


OWN = ("/", "/tmp")  # noqa: S108 - the client's
"""Directories that every client has, each its own."""


async def enter(
    claimed: str | None,
    *,
    peer: Peer,
    generation: Generation,
    module: Module,
    containers: Containers,
    lookups: trio.CapacityLimiter,
    in_box: bool = False,
) -> Workspace:
    """Open the directory in which a command of `module` runs for `peer`.

    `claimed` is the client's working directory, a hint. A command `in_box` sees it as the container
    does, with its inner mounts. Opening that would block is done in threads of `lookups`. Raises
    Denied (layer "workspace") if the directory may not be used, or if it is unmapped and the module
    needs one.
    """
    agent, reserved = generation.agent, generation.reserved
    if agent.profile.host and peer.kind == "local":
        return _enter_own_directory(claimed, peer, reserved)
    mounts = await Mounts.read(peer=peer, agent=agent, containers=containers)
    try:
        mapping = mounts.find(claimed)
    except Unmapped as error:
        # So that `../workspace` leads to /workspace from /tmp, too.
        own = "/" if claimed == "/" else Workspace.EMPTY
        if module.workspace == "optional":
            return Workspace.make_empty(mounts, own=own, is_read_only=True)
        has_other = partial(_has_workspace, mounts, reserved)
        is_own = in_box and claimed in OWN
        if is_own and await mounts.host_paths.settle(has_other, lookups):
            # An argument names the workspace, as in: git -C DIRECTORY.
            return Workspace.make_empty(mounts, own=own, is_read_only=True)
        raise Denied(error.message, layer="workspace", rule="unmapped", hint=error.hint) from error
    if not in_box:
        refuse_hidden(mapping, mounts)
    descriptor, root = await open_root_in_thread(mapping.source, reserved, lookups)
    path = root
    if mapping.source.below:
        above = descriptor
        try:
            descriptor, path = await open_below(above, root, mapping.source, reserved, lookups)
        finally:
            os.close(above)
    try:
        await _refuse_foreign(descriptor, path, lookups)
    except BaseException:
        os.close(descriptor)
        raise
    return Workspace(
        descriptor=descriptor,
        path=path,
        root=root,
        mounts=mounts,
        source=mapping.source,
        is_proven=mapping.is_proven,
    )


def refuse_hidden(mapping: Mapping, mounts: Mounts) -> None:
    """Raise Denied if a tool on the host would see the directory differently than the container.

    That is if the container mounts it read-only, or has mounts inside it.
    """
    if mapping.read_only:
        raise Denied(
            "the directory is read-only in the container, and a tool cannot be held to that yet",
            layer="workspace",
            rule="read-only",
            hint="mount it writable",
        )
    inner = mounts.find_inner(mapping.source)
    if inner is not None:
        raise Denied(
            f"the container has something else mounted at {quote(inner)}, inside of the workspace, "
            "and a tool on the host would not see it",
            layer="workspace",
            rule="inner-mount",
            hint="mount it outside of the workspace, or run the tool in the container itself",
        )


def _has_workspace(mounts: Mounts, reserved: Reserved) -> bool:
    return any(mounts.list_workspaces(reserved))


def _enter_own_directory(claimed: str | None, peer: Peer, reserved: Reserved) -> Workspace:
    """Open the working directory that the kernel reports for a process of the host."""
    if sys.platform != "linux":
        raise Denied(
            "[workspace] host = true has no meaning here: an agent is in a container, and that in "
            "a virtual machine",
            layer="workspace",
            rule="host",
            hint="a person on the host can map the agent's directory: [workspace] mounts in its "
            f"airlock.toml{AND_RELOAD}",
        )
    if peer.uid != os.geteuid() or peer.container is not None:
        raise Denied(
            "[workspace] host = true is for the daemon's own user outside of containers",
            layer="workspace",
            rule="host",
            hint="run the client as the user of the daemon, or map its directory",
        )
    try:
        descriptor = os.open(f"/proc/{peer.pid}/cwd", SEARCH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise Denied(
            f"the client's directory cannot be opened: {error.strerror}",
            layer="workspace",
            rule="host",
            hint="the client must still be running",
        ) from error
    try:
        path = real_path(descriptor)
        if claimed not in (None, path):
            raise Denied(
                f"the client claims to be in {quote(claimed)}, and is not",
                layer="workspace",
                rule="host",
                hint="send the directory that the kernel reports, or none",
            )
        refuse_reserved(path, reserved)
    except BaseException:
        os.close(descriptor)
        raise
    source = Source(target=path, directory=path, below="")
    return Workspace(descriptor=descriptor, path=path, root=path, mounts=None, source=source)


async def _refuse_foreign(descriptor: int, path: str, lookups: trio.CapacityLimiter) -> None:
    """Explain an unwritable directory, which the container's root usually made. Raises Denied."""
    user = os.geteuid()
    if user == 0:
        # Root may write every directory.
        return
    owner = read_known_status(descriptor).st_uid
    # This check takes a thread.
    if user == owner or await look_in_thread(_may_write, descriptor, lookups):
        return
    raise Denied(
        f"{quote(path)} belongs to uid {owner}, and the daemon's user may not write it",
        layer="workspace",
        rule="owner",
        hint=f"run the container as uid {user}, and on the host: "
        f"sudo chown -R {user} {quote(path)}",
    )


def _may_write(descriptor: int) -> bool:
    return os.access(".", os.W_OK, dir_fd=descriptor)
