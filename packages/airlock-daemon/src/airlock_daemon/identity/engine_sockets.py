"""The sockets of container engines, and whether a container has one mounted.

Whoever can use such a socket starts containers with any directory of the host: it is root there,
and nothing that Airlock refuses is out of its reach. A mount shows which directory or file of which
filesystem it has, so that a socket is found by where it is, and not by what it is called in the
container: as a file, or in a directory that was mounted whole.
"""

import functools
import glob
import os
import pwd
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from airlock_daemon.errors import AND_RELOAD, Denied, Failed
from airlock_daemon.identity.peer import Peer, whole
from airlock_daemon.platform.linux.mountinfo import (
    MountRow,
    by_point,
    find_mount,
    find_seen,
    parse_mountinfo,
    read_own_mounts,
    relative_to,
    shows_all,
)
from airlock_wire import quote

if TYPE_CHECKING:
    # It needs trio, which `doctor` on other systems than Linux has not.
    from airlock_daemon.identity.containers import Containers

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

_REMOVED = "//deleted"
"""What the kernel writes behind the path of a file that was removed."""
_NAME = re.compile(r"[^/]*(docker|podman|containerd|crio|buildkit)[^/]*\.sock", re.IGNORECASE)
"""What such a socket is called where nobody knows its path; docker's own proxies are, too."""


def list_engine_sockets() -> tuple[str, ...]:
    """The paths of this host at which an engine's socket would be, without links in them."""
    home = pwd.getpwuid(os.geteuid()).pw_dir
    patterns = (*_SYSTEM, *(os.path.join(home, each) for each in _HOME))
    found = [path for each in patterns for path in (glob.glob(each) if "*" in each else [each])]
    for name in _VARIABLES:
        path = os.environ.get(name, "").removeprefix("unix://")
        if path.startswith("/"):
            found.append(path)
    return tuple(dict.fromkeys(map(os.path.realpath, found)))


def is_engine_socket(path: str) -> bool:
    """Whether an engine's socket is at the real path `path`, or would be by its name."""
    return path in list_engine_sockets() or _NAME.fullmatch(os.path.basename(path)) is not None


def find_engine_socket(mountinfo: str, *, sockets_dir: str | None) -> str | None:
    """Where a container with these mounts has an engine's socket; None where it has none.

    What lies in `sockets_dir` is Airlock's own.
    """
    for point, path in _look(mountinfo, sockets_dir).candidates:
        if path is None or _is_socket(path):
            return point
    return None


async def refuse_engine_socket(
    peer: Peer, *, agent: str, profile_file: str, sockets_dir: str | None, containers: "Containers"
) -> None:
    """Refuse a client of `agent` whose container has an engine's socket.

    Raises Denied; also for a client that shows not all of its container's mounts, where they cannot
    be had of the engine.
    """
    if peer.kind != "container":
        return
    mountinfo = peer.mountinfo
    look = _look(mountinfo, sockets_dir)
    if look.is_host and peer.container is None:
        # No container, but a process of the host in namespaces of its own.
        return
    if look.is_host or not look.is_whole:
        try:
            container = await containers.find(peer, agent=agent)
        except Failed:
            # It tells nothing but what it shows.
            whole(peer.mounts)
        else:
            whole(container.mounts())
            mountinfo = container.read_mountinfo()
    point = find_engine_socket(mountinfo, sockets_dir=sockets_dir)
    if point is not None:
        raise Denied(
            f"the container has the socket of a container engine, {quote(point)}: who can use that "
            "is root on the host, and Airlock protects nothing there",
            layer="workspace",
            rule="engine-socket",
            hint="start the container without that mount; or a person on the host can accept it: "
            f"[workspace] engine_socket = true in {profile_file}{AND_RELOAD}",
        )


class _Look(msgspec.Struct, frozen=True):
    """What was found in a text of mounts.

    `candidates` are paths of a container where an engine's socket would be, each with the host's
    path of it; that is None where only its name says what it is. `is_whole` is `shows_all`;
    `is_host` says that the root is that of the host.
    """

    candidates: tuple[tuple[str, str | None], ...]
    is_whole: bool
    is_host: bool


@functools.lru_cache(maxsize=32)
def _look(mountinfo: str, sockets_dir: str | None) -> _Look:
    """Look through a table of mounts once: each request asks, and a container's rarely changes."""
    host = read_own_mounts()
    rows = parse_mountinfo(mountinfo)
    seen = by_point(rows)
    known = {_locate(host, path): path for path in list_engine_sockets()}
    found: list[tuple[str, str | None]] = []
    for place, path in known.items():
        found += [(point, path) for point in _find_points(rows, seen, *place)]
    own = None if sockets_dir is None else _locate(host, sockets_dir)
    for row in rows:
        path = row.root.removesuffix(_REMOVED)
        is_ours = own is not None and row.device == own[0] and relative_to(path, own[1]) is not None
        is_known = (row.device, row.root) in known
        if not (is_ours or is_known) and _NAME.fullmatch(os.path.basename(path)):
            found.append((row.point, None))
    root, own_root = find_mount(rows, "/"), find_mount(host, "/")
    is_host = (
        root is not None
        and own_root is not None
        and (root.device, root.root) == (own_root.device, own_root.root)
    )
    return _Look(candidates=tuple(found), is_whole=shows_all(rows), is_host=is_host)


def _find_points(
    rows: Iterable[MountRow], seen: Mapping[str, MountRow], device: str, root: str
) -> Iterator[str]:
    """Where mounts show the path `root` of a filesystem, and no other mount covers it."""
    for row in rows:
        rest = relative_to(root, row.root) if row.device == device else None
        if rest is not None:
            point = os.path.join(row.point, rest) if rest else row.point
            if find_seen(seen, point) == row:
                yield point


def _locate(host: Sequence[MountRow], path: str) -> tuple[str, str]:
    """The device of the filesystem that the host has at the real `path`, and the path on that."""
    row = find_mount(host, path)
    if row is None:
        return "", path
    return row.device, os.path.normpath(os.path.join(row.root, relative_to(path, row.point) or ""))


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.lstat(path).st_mode)
    except OSError:
        return False
