"""Detects container engines' sockets that are mounted in a container.

A process that can use such a socket can start a container with any host directory: it is root on
the host, and beyond Airlock's control. A mount shows its directory or file and its filesystem, so a
socket is found by location, whatever its name in the container, and also in a directory that was
mounted whole.
"""

import functools
import os
import pwd
import re
import stat
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from airlock_daemon.boundary.identity.peer import Peer, require_unchanged_root
from airlock_daemon.errors import AND_RELOAD, Denied, Failed
from airlock_daemon.path_text import is_within, join_below, relative_to
from airlock_daemon.platform.system import MountRow, MountTable, read_own_mounts
from airlock_wire import quote

if TYPE_CHECKING:
    # It needs trio, which `doctor` lacks on systems other than Linux.
    from airlock_daemon.boundary.identity.containers import Containers

_SYSTEM = (
    "/run/docker.sock",
    "/var/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/run/docker/containerd/containerd.sock",
    "/run/podman/podman.sock",
    "/run/crio/crio.sock",
    "/run/cri-dockerd.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/buildkit/buildkitd.sock",
    "/run/user/*/docker.sock",
    "/run/user/*/podman/podman.sock",
)
_HOME = (
    ".docker/run/docker.sock",
    ".docker/desktop/docker.sock",
    ".orbstack/run/docker.sock",
    ".rd/docker.sock",
    ".colima/docker.sock",
    ".colima/*/docker.sock",
    ".lima/*/sock/docker.sock",
)
_VARIABLES = ("DOCKER_HOST", "CONTAINER_HOST", "CONTAINERD_ADDRESS")

# Seconds for which a socket's location is cached.
_PLACES_S = 10

_REMOVED = "//deleted"
"""The kernel's suffix for the path of a removed file."""
_NAME = re.compile(r"[^/]*(docker|podman|containerd|crio|buildkit)[^/]*\.sock", re.IGNORECASE)
"""File names of sockets at unknown paths, including docker's own proxies."""

_PROCESSES = re.compile(r"/(\d|$)")
"""The root of a procfs, or a process's directory in it."""


def list_engine_sockets() -> tuple[str, ...]:
    """The real paths at which this host may have an engine's socket."""
    return tuple(dict.fromkeys(map(os.path.realpath, _list_paths())))


def leads_to_engine(path: str) -> bool:
    """Whether the real path `path` is an engine's socket, by path or name, or contains one."""
    known = list_engine_sockets()
    if path in known or _NAME.fullmatch(os.path.basename(path)) is not None:
        return True
    return any(is_within(each, path) and os.path.exists(each) for each in known)


def find_engine_socket(mountinfo: str, *, sockets_dir: str | None) -> str | None:
    """Where a container with these mounts has an engine's socket; None if it has none.

    `sockets_dir` has Airlock's own sockets, which do not count.
    """
    table = _read_table(mountinfo)
    age = int(time.monotonic() / _PLACES_S)
    for device, root in _find_places(_list_existing(), age):
        for row in table.by_device.get(device, ()):
            rest = relative_to(root, row.root)
            if rest is not None:
                point = join_below(row.point, rest)
                if table.mounts.find(point) == row:
                    return point
    return _find_named(table.named, sockets_dir) if table.named else None


def find_foreign_procfs(mountinfo: str) -> str | None:
    """Where a container with these mounts has another pid namespace's procfs; None if nowhere.

    Its links `/proc/<pid>/root` lead to other processes' files and sockets.
    """
    return _read_table(mountinfo).foreign_procfs


async def refuse_engine_socket(
    peer: Peer, *, agent: str, profile_file: str, sockets_dir: str | None, containers: "Containers"
) -> None:
    """Refuse a client whose container has an engine's socket or sees others' processes.

    Raises Denied; also if the client does not show all of its container's mounts, and the engine
    cannot tell them.
    """
    if peer.kind != "container":
        return
    mountinfo = peer.mountinfo
    table = _read_table(mountinfo)
    if table.is_host and peer.container is None:
        # Not a container, but a host process in its own namespaces.
        return
    try:
        container = await containers.find(peer, agent=agent)
    except Failed:
        # Only the client's own mounts are known.
        container = None
    if table.is_host or not table.mounts.is_whole:
        if container is None:
            require_unchanged_root(peer.mounts)
        else:
            require_unchanged_root(container.mounts())
            mountinfo = container.read_mountinfo()
    accept = (
        "or a person on the host can accept it: [workspace] engine_socket = true in "
        f"{profile_file}{AND_RELOAD}"
    )
    point = find_engine_socket(mountinfo, sockets_dir=sockets_dir)
    if point is not None:
        raise Denied(
            f"the container has the socket of a container engine, {quote(point)}: who can use that "
            "is root on the host, and Airlock protects nothing there",
            layer="workspace",
            rule="engine-socket",
            hint=f"start the container without that mount; {accept}",
        )
    point = find_foreign_procfs(mountinfo)
    if point is not None:
        raise Denied(
            f"the container sees processes of others in {quote(point)}, and by them the files and "
            "sockets that those have",
            layer="workspace",
            rule="others-processes",
            hint=f"start the container without that mount; {accept}",
        )
    if container is not None and container.joins_processes:
        raise Denied(
            "the container shares the processes of another one, and by them the files and sockets "
            "that those have",
            layer="workspace",
            rule="others-processes",
            hint=f"start the container without --pid (in compose: pid); {accept}",
        )


class _Table(msgspec.Struct, frozen=True):
    """A container's mounts, indexed.

    `named` are those with an engine socket's file name. `is_host`: the root is that of the host.
    """

    by_device: Mapping[str, Sequence[MountRow]]
    mounts: MountTable
    named: tuple[MountRow, ...]
    foreign_procfs: str | None
    is_host: bool


@functools.lru_cache(maxsize=32)
def _read_table(mountinfo: str) -> _Table:
    """Parse a container's mounts; cached, as they rarely change between requests."""
    rows = MountTable.parse(mountinfo)
    by_device: dict[str, list[MountRow]] = {}
    for row in rows:
        by_device.setdefault(row.device, []).append(row)
    host = read_own_mounts()
    root, own_root = rows.find("/"), host.find("/")
    is_host = (
        root is not None
        and own_root is not None
        and (root.device, root.root) == (own_root.device, own_root.root)
    )
    return _Table(
        by_device=by_device,
        mounts=rows,
        named=tuple(row for row in rows if _NAME.fullmatch(os.path.basename(_strip(row.root)))),
        foreign_procfs=_find_foreign_procfs(rows, host),
        is_host=is_host,
    )


def _find_foreign_procfs(rows: MountTable, host: MountTable) -> str | None:
    """As `find_foreign_procfs`. Each new procfs is a filesystem of its own."""
    own = rows.seen.get("/proc")
    hosts = {row.device for row in host if row.kind == "proc"}
    for row in rows:
        if row.kind == "proc" and _PROCESSES.match(row.root) and rows.find(row.point) == row:
            is_own = own is not None and row.device == own.device
            if not is_own or row.device in hosts:
                return row.point
    return None


def _find_named(named: Iterable[MountRow], sockets_dir: str | None) -> str | None:
    """The first of these mounts that is not Airlock's own and may be a socket."""
    host = read_own_mounts()
    known = {_locate(host, path): path for path in list_engine_sockets()}
    own = None if sockets_dir is None else _locate(host, sockets_dir)
    for row in named:
        is_ours = (
            own is not None
            and row.device == own[0]
            and relative_to(_strip(row.root), own[1]) is not None
        )
        path = known.get((row.device, row.root))
        if not is_ours and (path is None or _is_socket(path)):
            return row.point
    return None


def _strip(root: str) -> str:
    return root.removesuffix(_REMOVED)


def _list_paths() -> list[str]:
    """The paths at which this host may have an engine's socket now; users' sockets come and go."""
    literal, starred = _list_patterns()
    found = list(literal)
    for directory, rest in starred:
        try:
            found += [os.path.join(directory, name, rest) for name in os.listdir(directory)]
        except OSError:
            continue
    return found


@functools.cache
def _list_patterns() -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """Literal paths, and patterns split around their wildcard part.

    They are constant for this process.
    """
    home = pwd.getpwuid(os.geteuid()).pw_dir
    patterns = [*_SYSTEM, *(os.path.join(home, each) for each in _HOME)]
    for name in _VARIABLES:
        path = os.environ.get(name, "").removeprefix("unix://")
        if path.startswith("/"):
            patterns.append(path)
    literal, starred = list[str](), list[tuple[str, str]]()
    for each in patterns:
        directory, star, rest = each.partition("/*/")
        if star:
            starred.append((directory, rest))
        else:
            literal.append(each)
    return tuple(literal), tuple(starred)


def _list_existing() -> tuple[tuple[str, int, int], ...]:
    """The existing engine sockets, each with device and inode.

    Called for each request; access(2) rejects the many missing paths fastest.
    """
    found = []
    for path in _list_paths():
        if os.access(path, os.F_OK):
            with suppress(OSError):
                status = os.stat(path)
                if stat.S_ISSOCK(status.st_mode):
                    found.append((path, status.st_dev, status.st_ino))
    return tuple(found)


@functools.lru_cache(maxsize=8)
def _find_places(
    existing: tuple[tuple[str, int, int], ...], _age: int
) -> tuple[tuple[str, str], ...]:
    """Locate these sockets on their filesystems; cached.

    The path and inode determine the result unless a symlink's target was moved and the symlink
    updated; that is noticed when `_age` changes.
    """
    host = read_own_mounts()
    return tuple(dict.fromkeys(_locate(host, os.path.realpath(path)) for path, _, _ in existing))


def _locate(host: MountTable, path: str) -> tuple[str, str]:
    """The device of the filesystem at the real `path` of the host, and the path on it."""
    row = host.find(path)
    if row is None:
        return "", path
    return row.device, os.path.normpath(os.path.join(row.root, relative_to(path, row.point) or ""))


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.lstat(path).st_mode)
    except OSError:
        return False
