"""From a path of the client to a directory of the host, by the first that knows one."""

import os
from collections.abc import Sequence

import msgspec

from airlock_daemon.agents import Agent
from airlock_daemon.containers import Containers
from airlock_daemon.errors import AirlockError, Denied, Failed
from airlock_daemon.mountinfo import (
    MountRow,
    covering,
    find_mount,
    parse_mountinfo,
    relative_to,
)
from airlock_daemon.peer import Peer
from airlock_daemon.profile import Mount
from airlock_modules import quote


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A directory of the host that answers for a path of the client, and what remains below it.

    `mount_id` is that of the host's mount on which the directory must lie, None if any will do.
    """

    directory: str
    below: str
    mount_id: int | None = None


class Mapping(msgspec.Struct, frozen=True, kw_only=True):
    """What stands behind the client's directory.

    `read_only` is how the client's container mounts it, as far as that can be seen; `is_proven`
    says that the container was proved to be the one that its cgroup names.
    """

    source: Source
    read_only: bool
    is_proven: bool


class Unmapped(AirlockError):
    """Nothing of the host stands behind the client's directory; the hint says which line to add.

    `is_proven` says of the client's container what it says in `Mapping`.
    """

    def __init__(self, message: str, *, hint: str, is_proven: bool) -> None:
        super().__init__(message, hint=hint)
        self.is_proven = is_proven


class _View(msgspec.Struct, frozen=True, kw_only=True):
    """The mounts of the client's container: its init process's if that is proved, else its own."""

    rows: tuple[MountRow, ...] = ()
    is_proven: bool = False
    failure: Failed | None = None


async def map_path(
    claimed: str | None, *, peer: Peer, agent: Agent, containers: Containers
) -> Mapping:
    """Find the directory of the host for `claimed`, the client's own word for where it stands.

    Asked in this order: `[workspace] mounts` of the profile, the mounts of the proved container,
    `[workspace] same_path`. Raises Unmapped when none knows it, Denied for a path that no kernel
    reports and for a client that is not in the container that it seems to be in.
    """
    view = await _see_container(peer, containers)
    if claimed is None:
        raise Unmapped(
            "the request names no working directory",
            hint="send the client's directory as cwd",
            is_proven=view.is_proven,
        )
    path = _check_path(claimed)
    profile = agent.profile
    source = (
        _by_profile(path, profile.mounts)
        or (_by_container(path, view.rows) if view.is_proven else None)
        or _by_profile(path, profile.same_path)
    )
    if source is None:
        raise _unmapped(path, agent, view)
    row = find_mount(view.rows, path)
    return Mapping(
        source=source,
        # What is not mounted at all, a path on the container's root, has no flag to heed.
        read_only=row is not None and row.point != "/" and row.read_only,
        is_proven=view.is_proven,
    )


def _check_path(claimed: str) -> str:
    parts = claimed.split("/")
    if not claimed.startswith("/") or ".." in parts:
        raise Denied(
            f"the working directory {quote(claimed)} is not a plain absolute path",
            layer="workspace",
            rule="path",
            hint="send the path as the kernel reports it, without ..",
        )
    return "/" + "/".join(part for part in parts if part not in ("", "."))


async def _see_container(peer: Peer, containers: Containers) -> _View:
    if peer.place != "container":
        return _View()
    try:
        container = await containers.attest(peer)
        return _View(rows=container.mounts(), is_proven=True)
    except Failed as failure:
        return _View(rows=peer.mounts, failure=failure)


def _by_profile(path: str, mounts: Sequence[Mount]) -> Source | None:
    matching = [mount for mount in mounts if relative_to(path, mount.target) is not None]
    if not matching:
        return None
    best = max(matching, key=lambda mount: len(mount.target))
    return Source(directory=best.source, below=relative_to(path, best.target) or "")


def _by_container(path: str, rows: Sequence[MountRow]) -> Source | None:
    row = find_mount(rows, path)
    if row is None or row.point == "/" or row.is_pseudo:
        return None
    below = relative_to(path, row.point) or ""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        host = parse_mountinfo(file.read())
    for candidate, directory in covering(host, device=row.device, root=row.root):
        if find_mount(host, directory) == candidate:
            return Source(directory=directory, below=below, mount_id=candidate.mount_id)
    return None


def _unmapped(path: str, agent: Agent, view: _View) -> Unmapped:
    file = os.path.join(agent.directory, "airlock.toml")
    target = path if path != "/" else "/workspace"
    message = f"no directory of the host is mounted at {quote(path)}"
    if view.failure is not None:
        message += f", as far as can be told: {view.failure.message}"
    return Unmapped(
        message,
        hint=f"mount the directory in the container, or add to {file}: "
        f'[workspace] mounts = {{ "{target}" = "~/path/on/the/host" }}',
        is_proven=view.is_proven,
    )
