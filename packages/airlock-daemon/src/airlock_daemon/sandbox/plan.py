"""What is in the box of a command."""

import os
from collections.abc import Iterator, Mapping, Sequence

from msgspec.structs import replace

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
    Home,
    Link,
    Memory,
    Operation,
    Placed,
    Processes,
    System,
)
from airlock_daemon.sandbox.etc import make_etc
from airlock_daemon.sandbox.home import make_places
from airlock_daemon.sandbox.inner_mounts import show_workspace
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
    sockets: str = "none",
) -> Box:
    """The closed box of a command that runs in `workspace`.

    `places` of the host are shown at their own paths, and those of `read` at others; all of them
    cannot be written. Tools run as `identity`. Raises Denied (layer "sandbox") where the client has
    its workspace at a place that the box needs itself.
    """
    operations = (
        *(*_make_system(), *make_etc(identity), *_make_kernels()),
        Memory(HOME, 0o700, _HOME_BYTES),
        *_make_further(places, read),
    )
    box = Box(
        operations=operations, directory=TMP, is_shared=False, processes=PROCESSES, sockets=sockets
    )
    return _put_workspace(box, workspace, identity, reserved, own=(*places, *read.values()))


def plan_home_box(
    workspace: Workspace,
    home: Home | None,
    *,
    places: Sequence[str],
    read: Mapping[str, str],
    identity: Identity,
    reserved: Reserved,
) -> Box:
    """The box of the class "home", otherwise as `plan_box`; it has a fresh home without one."""
    fresh = () if home is not None else (Memory(HOME, 0o700, _HOME_BYTES),)
    operations = (
        *(*_make_system(), *_make_kernels(), *make_places(home), *fresh),
        *_make_further(places, read),
    )
    box = Box(
        operations=operations,
        home=home,
        directory=TMP,
        is_shared=False,
        processes=PROCESSES,
        sockets="inet and udp",
        has_network=True,
    )
    return _put_workspace(box, workspace, identity, reserved, own=(*places, *read.values()))


def _put_workspace(
    box: Box, workspace: Workspace, identity: Identity, reserved: Reserved, *, own: Sequence[str]
) -> Box:
    """The box with the workspace in it, if there is one; `own` are further places of the box."""
    source = workspace.source
    if source is None:
        return box
    shown = show_workspace(
        source, workspace.root, workspace.mounts, identity=identity, reserved=reserved
    )
    target, inner = shown.top.target, shown.inner
    _refuse_own(target, own)
    operations = box.operations
    if box.home is not None and is_within(target, box.home.path):
        if target == box.home.path or not os.path.isdir(target):
            raise _refuse_place(target, f"{box.home.path} as the home")
        inner = (Placed(shown.top, target), *inner)
    else:
        if box.home is not None and is_within(box.home.path, target):
            raise _refuse_place(target, f"{box.home.path} as the home")
        operations = (*operations, shown.top)
    below = relative_to(workspace.path, workspace.root) or ""
    directory = os.path.join(source.target, below) if below else source.target
    return replace(box, operations=operations, inner=inner, directory=directory, is_shared=True)


def _make_system() -> Iterator[Operation]:
    for path in SYSTEM:
        if os.path.islink(path):
            yield Link(os.readlink(path), path)
        elif os.path.isdir(path):
            yield System(path, path)


def _make_kernels() -> Iterator[Operation]:
    yield Processes()
    yield Devices()
    yield Memory(SHARED_MEMORY, 0o1777, _SHARED_MEMORY_BYTES)
    # It is a file system in memory too, of no bounded size.
    yield Closed("/dev")
    yield Memory(TMP, 0o1777, _TMP_BYTES)


def _make_further(places: Sequence[str], read: Mapping[str, str]) -> Iterator[Operation]:
    yield from (System(place, place) for place in places)
    yield from (System(path, target) for path, target in read.items())


def _refuse_own(target: str, others: Sequence[str]) -> None:
    for place in (*_OWN, *_USERS, *others):
        if is_within(place, target) or (place not in _USERS and is_within(target, place)):
            raise _refuse_place(target, f"{place} of its own")


def _refuse_place(target: str, what: str) -> Denied:
    return Denied(
        f"the container has its workspace at {quote(target)}, where a box has {what}",
        layer="sandbox",
        rule="place",
        hint="mount the workspace at another path in the container, such as /workspace",
    )
