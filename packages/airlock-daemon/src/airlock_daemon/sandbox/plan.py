"""What is in the box of a command."""

import os
from collections.abc import Iterator, Mapping, Sequence

from airlock_daemon.command.launcher import Bounds, Identity, descriptor_limit
from airlock_daemon.errors import Denied
from airlock_daemon.platform.linux.mountinfo import relative_to
from airlock_daemon.sandbox.box import (
    HOME,
    SHARED_MEMORY,
    TMP,
    Box,
    Closed,
    Devices,
    Link,
    Memory,
    Operation,
    Placed,
    Processes,
    System,
)
from airlock_daemon.sandbox.etc import make_etc
from airlock_daemon.sandbox.inner_mounts import show_workspace
from airlock_daemon.sandbox.programs import SYSTEM
from airlock_daemon.setup.limits import Limits
from airlock_daemon.setup.reserved import Reserved, is_within
from airlock_daemon.workspace.directory import Workspace
from airlock_wire import quote

_MIB = 1 << 20
# Of the size of /tmp, that of the home and of shared memory.
_SMALLER = 4

# Descriptors of each process: some tools want more than the usual 1024. The daemon has many more.
_OPEN_FILES = 4096

# Where the box has things of its own; a workspace may lie neither there, above, nor below, but for
# the two that are its user's.
_OWN = (*SYSTEM, "/etc", "/proc", "/dev", "/sys", "/run")
_USERS = (TMP, HOME)


def plan_box(
    workspace: Workspace,
    *,
    places: Sequence[str],
    read: Mapping[str, str],
    identity: Identity,
    reserved: Reserved,
    sockets: str,
    limits: Limits,
) -> Box:
    """The box of a command that runs in `workspace`.

    `places` of the host are shown at their own paths, and those of `read` at others; all of them
    cannot be written. Tools run as `identity`, within `limits`. Raises Denied (layer "sandbox")
    where the client has its workspace at a place that the box needs itself.
    """
    operations = list(_make_base(identity, limits.box_tmpfs_mb * _MIB))
    operations += [System(place, place) for place in places]
    operations += [System(path, target) for path, target in read.items()]
    source = workspace.source
    directory, inner = TMP, tuple[Placed, ...]()
    if source is not None:
        shown = show_workspace(
            source, workspace.root, workspace.mounts, identity=identity, reserved=reserved
        )
        _refuse_own(shown.top.target, [*places, *read.values()])
        operations.append(shown.top)
        inner = shown.inner
        below = relative_to(workspace.path, workspace.root) or ""
        directory = os.path.join(source.target, below) if below else source.target
    return Box(
        operations=tuple(operations),
        inner=inner,
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


def _make_base(identity: Identity, size: int) -> Iterator[Operation]:
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


def _refuse_own(target: str, others: Sequence[str]) -> None:
    for place in (*_OWN, *_USERS, *others):
        if is_within(place, target) or (place not in _USERS and is_within(target, place)):
            raise Denied(
                f"the container has its workspace at {quote(target)}, where a box has {place} of "
                "its own",
                layer="sandbox",
                rule="place",
                hint="mount the workspace at another path in the container, such as /workspace",
            )
