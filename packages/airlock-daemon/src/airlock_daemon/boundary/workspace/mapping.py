"""From a path of the client to a directory of the host, by the first that knows one."""

import functools
import os
from collections.abc import Iterator, Sequence

import msgspec

from airlock_daemon.boundary.identity.containers import Containers, holds_devices
from airlock_daemon.boundary.identity.peer import Peer, whole
from airlock_daemon.boundary.workspace.snapshot import HostPaths
from airlock_daemon.errors import AND_RELOAD, AirlockError, Denied, Failed
from airlock_daemon.platform.linux.mountinfo import (
    MountRow,
    by_point,
    covering,
    find_mount,
    find_seen,
    find_shown,
    read_own_mounts,
    relative_to,
)
from airlock_daemon.setup.agents import Agent
from airlock_daemon.setup.profile import Identity, Mount
from airlock_daemon.setup.reserved import Reserved
from airlock_wire import quote

# What the container hides or protects in a directory is said by its mounts, at its paths. At a path
# where the container does not have that directory nothing would be hidden or protected.


def find_elsewhere(
    directory: str, *, target: str, rows: Sequence[MountRow], host: Sequence[MountRow]
) -> str | None:
    """Where a container that does not have `directory` of the host at `target` has it, or a part.

    `rows` are the mounts of the container, `host` those of the host. None if it has it at `target`,
    or nowhere.
    """
    own = find_mount(host, directory)
    if own is None:
        return None
    root = _join(own.root, relative_to(directory, own.point) or "")
    there = [row for row in rows if row.point != "/" and row.device == own.device]
    seen = find_mount(rows, target)
    if seen in there and _join(seen.root, relative_to(target, seen.point) or "") == root:
        return None
    for row in there:
        below = relative_to(row.root, root)
        is_part_in_place = below is not None and relative_to(row.point, target) == below
        if not is_part_in_place and (below is not None or relative_to(root, row.root) is not None):
            return row.point
    return None


def find_other(
    directory: str, *, target: str, rows: Sequence[MountRow], host: Sequence[MountRow]
) -> str | None:
    """What a container has mounted at `target` in place of `directory` of the host.

    It is the path in the file system of the mount. None where it has that directory there, or none
    at all, on its own root.
    """
    own, seen = find_mount(host, directory), find_mount(rows, target)
    if own is None or seen is None or seen.point == "/":
        return None
    there = _join(seen.root, relative_to(target, seen.point) or "")
    here = _join(own.root, relative_to(directory, own.point) or "")
    return None if (own.device, here) == (seen.device, there) else there


def _join(directory: str, rest: str) -> str:
    return os.path.join(directory, rest) if rest else directory


_ENGINES = ("/etc", "/proc", "/dev", "/sys", "/run")


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A directory of the host that answers for a path of the client, and what remains below it.

    `target` is where the client sees the directory. `mount_id` is that of the host's mount on which
    the directory must lie, None if any will do; `identity` is what the directory must be, None
    where nothing was noted of it.
    """

    target: str
    directory: str
    below: str
    mount_id: int | None = None
    identity: Identity | None = None

    @property
    def may_be_home(self) -> bool:
        """Whether it may be the home of a container: the kernel says that one has it mounted."""
        return self.mount_id is not None


class Mapping(msgspec.Struct, frozen=True, kw_only=True):
    """The host's directory behind the client's.

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


class Mounts:
    """Everything that maps a path of one client to the host, as it was when it was looked at.

    `agent` has what the profile says. `rows` are the mounts of the client's container: those of its
    init process if that `is_proven`, else the client's own. `failure` says why it is not proved. It
    `makes_devices` where root of its container may make some that open on the host. `host_paths` is
    the snapshot of the host's paths.
    """

    def __init__(
        self,
        agent: Agent,
        *,
        rows: Sequence[MountRow] = (),
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

    def find(self, claimed: str | None) -> Mapping:
        """Find the directory of the host for `claimed`, an absolute path of the client.

        Asked in this order: `[workspace] mounts` of the profile, the mounts of the proved
        container, `[workspace] same_path`. Raises Unmapped when none knows it, Denied for a path
        that no kernel reports, for a directory that the container has, and has not there, and where
        the profile names another directory for a path than the proved container has there.
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
        row = find_seen(self.seen, path) if self.rows else None
        return Mapping(
            source=source,
            # What is not mounted at all, a path on the container's root, has no flag to heed.
            read_only=profile.read_only or (row is not None and row.point != "/" and row.read_only),
            is_proven=self.is_proven,
        )

    def list_workspaces(
        self, reserved: Reserved, *, beside: Sequence[str] = ()
    ) -> Iterator[Source]:
        """All directories that map to the host, each by the path at which the client has it.

        What engines mount of their own accord is none, nor what is `reserved` or hidden, nor what
        lies in one of `beside` or has one in it.
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
        """The client's path of a mount inside of `source` that the host does not see there.

        Such a mount covers or replaces what a tool on the host would find, or protects it. What the
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
        host = self.host_rows
        return any(
            found == directory and find_mount(host, directory) == candidate
            for candidate, found in covering(host, device=row.device, root=row.root)
        )

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
        """Raise Denied where the proved container has another directory at the path of `source`."""
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
        row = find_seen(self.seen, path)
        if row is None or row.point == "/" or row.is_pseudo:
            return None
        below = relative_to(path, row.point) or ""
        host = self.host_rows
        for candidate, directory in covering(host, device=row.device, root=row.root):
            if find_mount(host, directory) == candidate:
                return Source(
                    target=row.point, directory=directory, below=below, mount_id=candidate.mount_id
                )
        return None

    def find_directory(self, row: MountRow) -> str | None:
        """Where the host has what the client's container has mounted by `row`, None if nowhere."""
        return next(find_shown(self.host_rows, row), None)

    @functools.cached_property
    def seen(self) -> dict[str, MountRow]:
        """The client's mounts by point. It may have very many, all of which are asked for."""
        return by_point(self.rows)

    @functools.cached_property
    def host_rows(self) -> Sequence[MountRow]:
        """The mounts of the host, read when they are needed first."""
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


async def read_mounts(*, peer: Peer, agent: Agent, containers: Containers) -> Mounts:
    """Look at what maps the paths of `peer`.

    Raises Denied for a client that is not in the container that it seems to be in, and where not
    all of its mounts can be seen. What is asked of it later is to be settled by its `host_paths`.
    """
    host_paths = HostPaths(in_thread=True)
    if peer.kind != "container":
        # Root of the daemon's own host needs no box to open its devices.
        makes_devices = peer.kind == "unseen" and holds_devices(None)
        return Mounts(agent, makes_devices=makes_devices, host_paths=host_paths)
    try:
        container = await containers.attest(peer, agent=agent.name)
        return Mounts(
            agent,
            rows=whole(container.mounts()),
            is_proven=True,
            makes_devices=container.makes_devices and holds_devices(container.pid),
            host_paths=host_paths,
        )
    except Failed as failure:
        return Mounts(
            agent,
            rows=whole(peer.mounts),
            failure=failure,
            makes_devices=holds_devices(peer.pid),
            host_paths=host_paths,
        )
