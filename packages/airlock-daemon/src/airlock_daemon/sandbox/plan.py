"""What is in the box of a command."""

import functools
import os
from collections.abc import Iterator, Mapping, Sequence

from airlock_daemon.command.launcher import Identity
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
from airlock_daemon.sandbox.etc import PUBLIC, make_etc
from airlock_daemon.sandbox.inner_mounts import show_workspace
from airlock_daemon.sandbox.marks import Mark, look_around
from airlock_daemon.sandbox.programs import SYSTEM
from airlock_daemon.setup.reserved import Reserved, is_within
from airlock_daemon.workspace.directory import Workspace
from airlock_wire import quote

_MIB = 1 << 20
_TMP_BYTES = 256 * _MIB
_HOME_BYTES = 64 * _MIB
_SHARED_MEMORY_BYTES = 64 * _MIB

PROCESSES = 1024
"""How many processes of one box there may be at a time."""

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
) -> Box:
    """The box of a command that runs in `workspace`.

    `places` of the host are shown at their own paths, and those of `read` at others; all of them
    cannot be written. Tools run as `identity`. Raises Denied (layer "sandbox") where the client has
    its workspace at a place that the box needs itself.
    """
    operations = [*_make_base(identity, look_around((*SYSTEM, *PUBLIC)))]
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
        processes=PROCESSES,
        sockets=sockets,
    )


@functools.lru_cache(maxsize=4)
def _make_base(identity: Identity, _around: Sequence[Mark]) -> Sequence[Operation]:
    """What every box of this user has, which depends on what is in some directories."""
    return tuple(_list_base(identity))


def _list_base(identity: Identity) -> Iterator[Operation]:
    for path in SYSTEM:
        if os.path.islink(path):
            yield Link(os.readlink(path), path)
        elif os.path.isdir(path):
            yield System(path, path)
    yield from make_etc(identity)
    yield Processes()
    yield Devices()
    yield Memory(SHARED_MEMORY, 0o1777, _SHARED_MEMORY_BYTES)
    # It is a file system in memory too, of no bounded size.
    yield Closed("/dev")
    yield Memory(TMP, 0o1777, _TMP_BYTES)
    yield Memory(HOME, 0o700, _HOME_BYTES)


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
