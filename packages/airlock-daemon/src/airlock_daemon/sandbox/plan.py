"""What is in the box of a command."""

import functools
import os
from collections.abc import Iterator, Mapping, Sequence

from airlock_daemon.command.launcher import Bounds, Identity, descriptor_limit
from airlock_daemon.platform.linux.mountinfo import relative_to
from airlock_daemon.sandbox.box import (
    HOME,
    SHARED_MEMORY,
    TMP,
    Box,
    Closed,
    Devices,
    Link,
    Made,
    Memory,
    Operation,
    Processes,
    System,
)
from airlock_daemon.sandbox.etc import PUBLIC, make_etc
from airlock_daemon.sandbox.inner_mounts import Shown, show_workspace
from airlock_daemon.sandbox.marks import Mark, look_around
from airlock_daemon.sandbox.other_workspaces import refuse_own, show_others
from airlock_daemon.sandbox.programs import SYSTEM
from airlock_daemon.setup.limits import Limits
from airlock_daemon.setup.reserved import Reserved
from airlock_daemon.workspace.directory import Workspace

_MIB = 1 << 20
# Of the size of /tmp, that of the home and of shared memory.
_SMALLER = 4

# Descriptors of each process: some tools want more than the usual 1024. The daemon has many more.
_OPEN_FILES = 4096

GIT_CONFIG = "/etc/gitconfig"
"""Where git finds the system's configuration in a box, wherever it was built to look for it."""


def plan_box(
    workspace: Workspace,
    *,
    places: Sequence[str],
    read: Mapping[str, str],
    identity: Identity,
    reserved: Reserved,
    sockets: str,
    limits: Limits,
    git_config: bytes | None = None,
    is_fence: bool = False,
) -> Box:
    """The box of a command that runs in `workspace`.

    `places` of the host are shown at their own paths, and those of `read` at others; all of them
    cannot be written. Tools run as `identity`, within `limits`. With `git_config` that is the
    system's configuration for git. `is_fence` says that all is at the host's own paths. Raises
    Denied (layer "sandbox") where the client has its workspace at a place that the box needs
    itself.
    """
    around = look_around((*SYSTEM, *PUBLIC))
    operations = [*_make_base(identity, limits.box_tmpfs_mb * _MIB, around)]
    if git_config is not None:
        operations.append(Made(git_config, GIT_CONFIG, "GIT_CONFIG_SYSTEM"))
    operations += [System(place, place) for place in places]
    operations += [System(path, target) for path, target in read.items()]
    source = workspace.source
    directory, shown = workspace.own, list[Shown]()
    if source is not None:
        mounts = workspace.mounts
        view = show_workspace(source, workspace.root, mounts, identity=identity, reserved=reserved)
        refuse_own(view.top.target, [*places, *read.values()])
        shown.append(view)
        below = relative_to(workspace.path, workspace.root) or ""
        directory = os.path.join(source.target, below) if below else source.target
    shown += show_others(
        workspace,
        shown,
        identity=identity,
        reserved=reserved,
        others=(*places, *read.values()),
        is_fence=is_fence,
    )
    return Box(
        operations=(*operations, *(each.top for each in shown)),
        inner=tuple(placed for each in shown for placed in each.inner),
        directory=directory,
        is_shared=source is not None,
        bounds=_bound(limits),
        sockets=sockets,
    )


def _bound(limits: Limits) -> Bounds:
    """What one box may use, and each process in it."""
    return Bounds(
        processes=limits.box_processes,
        data=limits.box_memory_mb * _MIB,
        file_size=limits.box_file_mb * _MIB,
        open_files=min(_OPEN_FILES, descriptor_limit() // 2),
    )


@functools.lru_cache(maxsize=16)
def _make_base(identity: Identity, size: int, _around: tuple[Mark, ...]) -> tuple[Operation, ...]:
    """What every box of this user has, with so many bytes in /tmp. It depends on what is in some
    directories.
    """
    return tuple(_list_base(identity, size))


def _list_base(identity: Identity, size: int) -> Iterator[Operation]:
    for path in SYSTEM:
        if os.path.islink(path):
            yield Link(os.readlink(path), path)
        elif os.path.isdir(path):
            yield System(path, path)
    yield from make_etc(identity)
    yield Processes()
    yield Devices()
    yield Memory(SHARED_MEMORY, 0o1777, size // _SMALLER)
    # It is a file system in memory too, of no bounded size.
    yield Closed("/dev")
    yield Memory(TMP, 0o1777, size)
    yield Memory(HOME, 0o700, size // _SMALLER)
