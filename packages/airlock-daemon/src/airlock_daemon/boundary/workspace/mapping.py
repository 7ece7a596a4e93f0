"""Maps a path of the client to a directory of the host."""

import functools
import os
from collections.abc import Iterator, Sequence

import msgspec

from airlock_daemon.boundary.identity.containers import Containers
from airlock_daemon.boundary.identity.peer import Peer, require_unchanged_root
from airlock_daemon.boundary.workspace.snapshot import HostPaths
from airlock_daemon.errors import AND_RELOAD, AirlockError, Denied, Failed
from airlock_daemon.path_text import join_below, relative_to
from airlock_daemon.platform.system import MountRow, MountTable, read_own_mounts
from airlock_daemon.setup.generation import Agent, Identity, Mount, Reserved
from airlock_wire import quote

# The container's mounts say which paths it hides or protects. At a path where the container does
# not have the mapped directory, they would hide and protect nothing.


def find_elsewhere(
    directory: str, *, target: str, rows: MountTable, host: MountTable
) -> str | None:
    """Where a container has `directory` of the host, or part of it, other than at `target`.

    `rows` are the container's mounts, `host` the host's. None if it has it at `target`, or nowhere.
    """
    own = host.find(directory)
    if own is None:
        return None
    root = join_below(own.root, relative_to(directory, own.point) or "")
    there = [row for row in rows if row.point != "/" and row.device == own.device]
    seen = rows.find(target)
    if seen in there and join_below(seen.root, relative_to(target, seen.point) or "") == root:
        return None
    for row in there:
        below = relative_to(row.root, root)
        is_part_in_place = below is not None and relative_to(row.point, target) == below
        if not is_part_in_place and (below is not None or relative_to(root, row.root) is not None):
            return row.point
    return None


def find_other(directory: str, *, target: str, rows: MountTable, host: MountTable) -> str | None:
    """What a container has mounted at `target` in place of `directory` of the host.

    Returns the path in the mount's file system. None if the container has that directory there, or
    only its own root.
    """
    own, seen = host.find(directory), rows.find(target)
    if own is None or seen is None or seen.point == "/":
        return None
    there = join_below(seen.root, relative_to(target, seen.point) or "")
    here = join_below(own.root, relative_to(directory, own.point) or "")
    return None if (own.device, here) == (seen.device, there) else there


_NO_MOUNTS = MountTable()

_ENGINES = ("/etc", "/proc", "/dev", "/sys", "/run")


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A host directory for a path of the client, and the rest of the path below it.

    `target` is the directory's path in the client. `mount_id` is that of the host's mount on which
    the directory must lie, None for any; `identity` is the expected identity of the directory, None
    if none was recorded.
    """

    target: str
    directory: str
    below: str
    mount_id: int | None = None
    identity: Identity | None = None

    @property
    def may_be_home(self) -> bool:
        """Whether it may be a container's home: the kernel confirms that one has it mounted."""
        return self.mount_id is not None


class Mapping(msgspec.Struct, frozen=True, kw_only=True):
    """The host's directory for one of the client.

    `read_only`: the client's container mounts it so, as far as visible. `is_proven`: the container
    was proved to be the one that its cgroup names.
    """

    source: Source
    read_only: bool
    is_proven: bool


class Unmapped(AirlockError):
    """The client's directory maps to none of the host; the hint says which line to add.

    `is_proven` is as in `Mapping`.
    """

    def __init__(self, message: str, *, hint: str, is_proven: bool) -> None:
        super().__init__(message, hint=hint)
        self.is_proven = is_proven


class Mounts:
    """A snapshot of all that maps one client's paths to the host.

    `agent` has the profile. `rows` are the mounts of the client's container: those of its init
    process if it `is_proven`, else the client's own; `failure` is why it is not proved.
    `makes_devices`: root of the container may make devices that the host opens. `host_paths` is the
    snapshot of host paths.
    """

    def __init__(
        self,
        agent: Agent,
        *,
        rows: MountTable = _NO_MOUNTS,
        is_proven: bool = False,
        failure: Failed | None = None,
        makes_devices: bool = False,
        host_paths: HostPaths | None = None,
    ) -> None:
        self.agent = agent
        self.rows = rows
        self.is_proven = is_proven
        self.failure = failure
        self.makes_devices = makes_devices
        self.host_paths = host_paths or HostPaths()
        self._elsewhere: dict[str, str | None] = {}
        self._other: dict[str, str | None] = {}

    @classmethod
    async def read(cls, *, peer: Peer, agent: Agent, containers: Containers) -> "Mounts":
        """Read what maps the paths of `peer`.

        Raises Denied if the client is not in the container that its cgroup names, or hides mounts.
        Later look-ups need `host_paths.settle`.
        """
        host_paths = HostPaths(in_thread=True)
        if peer.kind != "container":
            # Root of the daemon's own host can open devices without a box.
            makes_devices = peer.kind == "unseen" and containers.holds_devices(None)
            return cls(agent, makes_devices=makes_devices, host_paths=host_paths)
        try:
            container = await containers.attest(peer, agent=agent.name)
            return cls(
                agent,
                rows=require_unchanged_root(container.mounts()),
                is_proven=True,
                makes_devices=container.makes_devices and containers.holds_devices(container.pid),
                host_paths=host_paths,
            )
        except Failed as failure:
            return cls(
                agent,
                rows=require_unchanged_root(peer.mounts),
                failure=failure,
                makes_devices=containers.holds_devices(peer.pid),
                host_paths=host_paths,
            )

    def find(self, claimed: str | None) -> Mapping:
        """Find the host directory for `claimed`, an absolute path of the client.

        Tries in order: `[workspace] mounts` of the profile, the proved container's mounts,
        `[workspace] same_path`. Raises Unmapped if none matches; Denied for a path that no kernel
        reports, for a directory that the container has at another path, and if the profile names
        another directory than the proved container has there.
        """
        if claimed is None:
            raise Unmapped(
                "the request names no working directory",
                hint="send the client's directory as cwd",
                is_proven=self.is_proven,
            )
        path = _check_path(claimed)
        profile = self.agent.profile
        if self.is_proven:
            self._refuse_other(_by_profile(path, (*profile.mounts, *profile.same_path)))
        source = (
            self._find_in_profile(path, profile.mounts)
            or (self._find_in_container(path) if self.is_proven else None)
            or self._find_in_profile(path, profile.same_path)
        )
        if source is None:
            raise _unmapped(path, self)
        row = self.rows.find(path)
        return Mapping(
            source=source,
            # An unmounted path, on the container's root, has no read-only flag.
            read_only=profile.read_only or (row is not None and row.point != "/" and row.read_only),
            is_proven=self.is_proven,
        )

    def list_workspaces(
        self, reserved: Reserved, *, beside: Sequence[str] = ()
    ) -> Iterator[Source]:
        """All mapped directories, each by its path in the client.

        Omits mounts that engines make on their own, paths that are `reserved` or hidden, and those
        that overlap one in `beside`.
        """
        profile = self.agent.profile
        targets = [each.target for each in (*profile.mounts, *profile.same_path)]
        for target in dict.fromkeys((*targets, *(row.point for row in self.rows))):
            if any(relative_to(target, each) is not None for each in (*_ENGINES, *profile.hide)):
                continue
            if any(_overlap(target, each) for each in beside):
                continue
            try:
                source = self.find(target).source
            except (Unmapped, Denied):
                continue
            found = self.host_paths.look(source.directory) if source.target == target else None
            if not found or not found.is_directory:
                continue
            if reserved.conflict(found.real, may_be_home=source.may_be_home) is None:
                yield source

    def find_inner(self, source: Source) -> str | None:
        """The client's path of a mount inside `source` that the host does not have there.

        Such a mount covers, replaces or protects what a tool on the host would see. A path that the
        profile hides counts as one.
        """
        for path in self.agent.profile.hide:
            if relative_to(path, source.target):
                return path
        for row in self.rows:
            rest = relative_to(row.point, source.target)
            if rest and not self._is_alike(row, os.path.join(source.directory, rest)):
                return row.point
        return None

    def _is_alike(self, row: MountRow, directory: str) -> bool:
        if row.read_only:
            return False
        return directory in self.host_rows.find_shown(row)

    def _find_in_profile(self, path: str, mounts: Sequence[Mount]) -> Source | None:
        source = _by_profile(path, mounts)
        if source is None or not self.rows:
            return source
        target = source.target
        if target not in self._elsewhere:
            self._elsewhere[target] = find_elsewhere(
                source.directory, target=target, rows=self.rows, host=self.host_rows
            )
        other = self._elsewhere[target]
        if other is None:
            return source
        raise Denied(
            f"the container has the directory of {quote(target)} at another path, {quote(other)}, "
            "and what it hides or protects there would not be",
            layer="workspace",
            rule="elsewhere",
            hint=f"work below {quote(other)}; or a person on the host can mount it at "
            f"{quote(target)}, or correct [workspace] of {self.agent.profile_file}{AND_RELOAD}",
        )

    def _refuse_other(self, source: Source | None) -> None:
        """Raise Denied if the proved container has another directory at the target of `source`."""
        if source is None:
            return
        target = source.target
        if target not in self._other:
            self._other[target] = find_other(
                source.directory, target=target, rows=self.rows, host=self.host_rows
            )
        other = self._other[target]
        if other is not None:
            raise Denied(
                f"the container has another directory at {quote(target)} than the profile says: "
                f"{quote(other)} of its file system, and not {quote(source.directory)}",
                layer="workspace",
                rule="other-directory",
                hint=f"start the container anew with {quote(source.directory)} mounted there, or "
                f"correct [workspace] of {self.agent.profile_file}{AND_RELOAD}",
            )

    def _find_in_container(self, path: str) -> Source | None:
        row = self.rows.find(path)
        if row is None or row.point == "/" or row.is_pseudo:
            return None
        directory = self.find_directory(row)
        mount = None if directory is None else self.host_rows.find(directory)
        if directory is None or mount is None:
            return None
        below = relative_to(path, row.point) or ""
        return Source(target=row.point, directory=directory, below=below, mount_id=mount.mount_id)

    def find_directory(self, row: MountRow) -> str | None:
        """The host path of what the client's container mounts by `row`; None if there is none."""
        return next(self.host_rows.find_shown(row), None)

    @functools.cached_property
    def host_rows(self) -> MountTable:
        """The host's mounts, read on first use."""
        return read_own_mounts()


def _overlap(one: str, other: str) -> bool:
    return relative_to(one, other) is not None or relative_to(other, one) is not None


def _check_path(claimed: str) -> str:
    parts = claimed.split("/")
    if not claimed.startswith("/") or ".." in parts:
        raise Denied(
            f"the working directory {quote(claimed)} is not a plain absolute path",
            layer="workspace",
            rule="path",
            hint="send the path as the kernel reports it, without ..",
        )
    if "." not in parts and parts.count("") == 1:
        return claimed
    return "/" + "/".join([part for part in parts if part not in ("", ".")])


def _by_profile(path: str, mounts: Sequence[Mount]) -> Source | None:
    best, below = None, ""
    for mount in mounts:
        rest = relative_to(path, mount.target)
        if rest is not None and (best is None or len(mount.target) > len(best.target)):
            best, below = mount, rest
    if best is None:
        return None
    return Source(target=best.target, directory=best.source, below=below, identity=best.identity)


def _unmapped(path: str, mounts: Mounts) -> Unmapped:
    target = path if path != "/" else "/workspace"
    message = f"no directory of the host is mounted at {quote(path)}"
    hint = (
        f"mount the directory in the container, or add to {mounts.agent.profile_file}: "
        f'[workspace] mounts = {{ "{target}" = "~/path/on/the/host" }}{AND_RELOAD}'
    )
    if mounts.failure is not None:
        message += f", as far as can be told: {mounts.failure.message}"
        hint += f"; for mounts to be seen: {mounts.failure.hint}"
    return Unmapped(message, hint=hint, is_proven=mounts.is_proven)
