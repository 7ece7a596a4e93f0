"""Plans the contents of a command's box."""

import glob
import os
import pwd
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from airlock_daemon.boundary.box.box import (
    HOME,
    SHARED_MEMORY,
    TMP,
    Box,
    Closed,
    Cover,
    Devices,
    Folder,
    Home,
    Link,
    Made,
    Memory,
    Null,
    Operation,
    Placed,
    Processes,
    System,
)
from airlock_daemon.boundary.box.inner_mounts import (
    ShownWorkspace,
    refuse_own,
    show_others,
    show_workspace,
)
from airlock_daemon.boundary.box.system import PUBLIC, SYSTEM, list_deciding, make_etc
from airlock_daemon.boundary.command import Bounds, Identity
from airlock_daemon.boundary.workspace.temporary import Workspace
from airlock_daemon.errors import Denied
from airlock_daemon.path_text import is_within, join_below, relative_to
from airlock_daemon.platform.system import descriptor_limit
from airlock_daemon.setup.generation import Limits, Reserved
from airlock_wire import quote

# The class "home" is for tools whose needs nobody has declared: they find their configuration, and
# every credential in that home. It keeps such tools working, and is no security boundary.

HOME_DIRECTORIES = ("/etc", "/opt")
"""Host directories shown whole."""

_RESOLVER = "/etc/resolv.conf"
# Multiple of /tmp's limit: caches are larger.
_TIMES = 4


def find_home(
    identity: Identity, environment: Mapping[str, str], *, reserved: Reserved, limits: Limits
) -> Home | None:
    """Find the home of `identity`, and the files of Airlock in it to cover; None without a home.

    `environment` is the daemon's; `limits` bound the bytes written. Raises Denied if the home lies
    in a directory of Airlock's.
    """
    named = environment.get("HOME", "")
    if identity.user != os.geteuid() and not _is_owner(identity, named):
        named = _ask_system(identity)
    path = os.path.realpath(named) if os.path.isabs(named) else "/"
    if path == "/" or not os.path.isdir(path):
        return None
    for what, place in reserved.private.places:
        if is_within(path, place):
            raise Denied(
                f"the home {path} cannot be shown in a box: it lies in {what}",
                layer="sandbox",
                rule="reserved",
                hint="a person on the host can move Airlock's files and restart the daemon, or "
                'write [sandbox] box = "closed" in the module and reload',
            )
    size = _TIMES * limits.box_tmpfs_mb << 20
    return Home(path, size, tuple(hide((*HOME_DIRECTORIES, path), reserved)))


def hide(shown: Iterable[str], reserved: Reserved) -> Iterator[Placed]:
    """Find the paths to cover so that the directories `shown` reveal no file of Airlock's."""
    places = list(shown)
    covered = list[str]()
    # Sorted, so that a directory precedes its contents, which need no cover of their own.
    for path in sorted(_list_private(reserved)):
        if any(is_within(path, each) for each in covered):
            continue
        if any(is_within(path, each) for each in places):
            if os.path.isdir(path):
                covered.append(path)
                yield Placed(Cover(), path)
            elif os.path.exists(path):
                yield Placed(Null(), path)


def _list_private(reserved: Reserved) -> set[str]:
    # The log has rotated files beside it.
    paths = (place for _, place in reserved.private.places)
    return {path for place in paths for path in (place, *glob.glob(f"{glob.escape(place)}.*"))}


def list_home_files(home: Home | None) -> Iterator[Operation]:
    """The host files that a home box shows read-only."""
    for path in HOME_DIRECTORIES:
        if os.path.isdir(path):
            yield System(path, path)
    resolver = os.path.realpath(_RESOLVER)
    if os.path.isfile(resolver) and not is_within(resolver, "/etc"):
        yield System(resolver, resolver)
    if home is not None:
        yield System(home.path, home.path)


def _is_owner(identity: Identity, path: str) -> bool:
    try:
        return os.stat(path).st_uid == identity.user
    except OSError:
        return False


def _ask_system(identity: Identity) -> str:
    try:
        return pwd.getpwuid(identity.user).pw_dir
    except KeyError:
        return ""


_MIB = 1 << 20
# Divisor of /tmp's limit for the home and shared memory.
_SMALLER = 4

# Open files per process: some tools need more than the usual 1024. The daemon needs far more.
_OPEN_FILES = 4096

GIT_CONFIG = "/etc/gitconfig"
"""git's system configuration in a box, whatever path it was built with."""


def plan_box(
    *,
    places: Sequence[str],
    read: Mapping[str, str],
    identity: Identity,
    limits: Limits,
    sockets: str = "none",
    git_config: bytes | None = None,
    given: Sequence[System | Made] = (),
) -> Box:
    """Plan a closed box, without the client's directories.

    `places` are shown at their host paths, `read` at other paths, all read-only. Tools run as
    `identity`, within `limits`. `git_config` becomes git's system configuration. `given` are
    further files.
    """
    size = limits.box_tmpfs_mb * _MIB
    settings = () if git_config is None else (Made(git_config, GIT_CONFIG, "GIT_CONFIG_SYSTEM"),)
    home = Memory(HOME, 0o700, size // _SMALLER)
    return Box(
        operations=(
            *(*_make_system(), *make_etc(identity), *_make_kernels(size), home),
            *(*settings, *_show(places, read), *given),
        ),
        bounds=_bound(limits),
        sockets=sockets,
    )


def _bound(limits: Limits) -> Bounds:
    """The limits of one box, and of each process in it."""
    return Bounds(
        processes=limits.box_processes,
        data=limits.box_memory_mb * _MIB,
        file_size=limits.box_file_mb * _MIB,
        open_files=min(_OPEN_FILES, descriptor_limit() // 2),
    )


def plan_home_box(
    home: Home | None,
    *,
    places: Sequence[str],
    read: Mapping[str, str],
    limits: Limits,
) -> Box:
    """Plan a box of the class "home", otherwise as `plan_box`; a fresh home if `home` is None."""
    size = limits.box_tmpfs_mb * _MIB
    fresh = () if home is not None else (Memory(HOME, 0o700, size // _SMALLER),)
    return Box(
        operations=(
            *(*_make_system(), *_make_kernels(size), *list_home_files(home)),
            *(*fresh, *_show(places, read)),
        ),
        home=home,
        bounds=_bound(limits),
        sockets="inet and udp",
        has_network=True,
    )


def put_workspaces(
    box: Box,
    workspace: Workspace,
    *,
    identity: Identity,
    reserved: Reserved,
    own: Sequence[str] = (),
    is_fence: bool = False,
) -> Box:
    """Add the client's directories to the box of a command that runs in `workspace`.

    `own` are paths that the box needs itself; `is_fence`: all paths are the host's. Raises Denied
    (layer "sandbox") if the client's workspace is at one of the box's own paths.
    """
    source = workspace.source
    directory, shown = workspace.own, list[ShownWorkspace]()
    if source is not None:
        mounts = workspace.mounts
        view = show_workspace(source, workspace.root, mounts, identity=identity, reserved=reserved)
        refuse_own(view.top.target, own)
        _refuse_home(view.top.target, box.home, workspace)
        shown.append(view)
        below = relative_to(workspace.path, workspace.root) or ""
        directory = join_below(source.target, below)
    elif directory == Workspace.EMPTY:
        # On the box's root, which is read-only.
        box = replace(box, operations=(*box.operations, Folder(Workspace.EMPTY, 0o555)))
    others = own if box.home is None else (*own, box.home.path)
    shown += show_others(
        workspace, shown, identity=identity, reserved=reserved, others=others, is_fence=is_fence
    )
    tops = [each.top for each in shown]
    # Paths in the home are mounted after the overlay that covers it.
    inside = [each for each in tops if box.home and is_within(each.target, box.home.path)]
    inner = [placed for each in shown for placed in each.inner]
    return replace(
        box,
        operations=(*box.operations, *(each for each in tops if each not in inside)),
        inner=(*(Placed(each, each.target) for each in inside), *inner),
        directory=directory,
        is_shared=source is not None,
    )


def _refuse_home(target: str, home: Home | None, workspace: Workspace) -> None:
    """Raise Denied if a workspace at `target` would hide the home, or has no mount point in it."""
    if home is None:
        return
    is_inside = is_within(target, home.path) and target != home.path
    has_place = target == workspace.root or workspace.host_paths.is_directory(target)
    if is_within(home.path, target) or (is_inside and not has_place):
        raise Denied(
            f"the container has its workspace at {quote(target)}, where a box has {home.path} as "
            "the home",
            layer="sandbox",
            rule="place",
            hint="mount the workspace at another path in the container, such as /workspace",
        )


def find_watched(
    box: Box, read: Sequence[str] = (), looked_for: Iterable[str] = ()
) -> tuple[str, ...]:
    """The files and directories that determined a box: those `read`, `looked_for` or shown."""
    system = [each for each in box.operations if isinstance(each, System)]
    shown = [os.path.dirname(path) for path in (*SYSTEM, *PUBLIC, *(each.path for each in system))]
    copied = [each.path for each in system if each.is_copied]
    deciding = list_deciding((*read, *looked_for))
    return tuple(dict.fromkeys((*shown, *copied, *read, *deciding)))


def _make_system() -> Iterator[Operation]:
    for path in SYSTEM:
        if os.path.islink(path):
            yield Link(os.readlink(path), path)
        elif os.path.isdir(path):
            yield System(path, path)


def _make_kernels(size: int) -> Iterator[Operation]:
    yield Processes()
    yield Devices()
    yield Memory(SHARED_MEMORY, 0o1777, size // _SMALLER)
    # A tmpfs too, without a size limit.
    yield Closed("/dev")
    yield Memory(TMP, 0o1777, size)


def _show(places: Sequence[str], read: Mapping[str, str]) -> Iterator[Operation]:
    yield from (System(place, place) for place in places)
    yield from (System(path, target) for path, target in read.items())
