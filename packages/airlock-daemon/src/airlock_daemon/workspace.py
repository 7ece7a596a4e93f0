"""Where a command runs: from a path that the client claims to an open, checked directory."""

import os
import shutil
import tempfile

from airlock_daemon.agents import Agent
from airlock_daemon.containers import Containers
from airlock_daemon.directories import mount_id, open_unlinked, real_path
from airlock_daemon.errors import Denied
from airlock_daemon.mapping import Source, Unmapped, map_path
from airlock_daemon.peer import Peer, started_by
from airlock_daemon.reserved import Reserved, is_within
from airlock_modules import Module, quote


class Workspace:
    """A directory to run in, held open: what was checked is what the tool starts in.

    `descriptor` is an O_PATH descriptor that this object owns. `temporary` is the path of a fresh
    empty directory that is removed on `close`, or None. `is_proven` says that the client was proved
    to be in the container that its cgroup names.
    """

    def __init__(
        self, descriptor: int, *, temporary: str | None = None, is_proven: bool = False
    ) -> None:
        self.descriptor = descriptor
        self.is_proven = is_proven
        self._temporary = temporary

    def close(self) -> None:
        """Give back the descriptor; remove a temporary directory with what was left in it."""
        os.close(self.descriptor)
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)


async def enter(
    claimed: str | None,
    *,
    peer: Peer,
    agent: Agent,
    module: Module,
    reserved: Reserved,
    containers: Containers,
) -> Workspace:
    """Open the directory in which a command of `module` runs for `peer`.

    `claimed` is the client's working directory, a hint. Raises Denied (layer "workspace") when it
    may not be used, or when nothing is mapped there and the module needs a directory.
    """
    try:
        if agent.profile.host and peer.place == "host":
            return _enter_own_directory(peer, reserved)
        mapping = await map_path(claimed, peer=peer, agent=agent, containers=containers)
    except Unmapped as error:
        if module.workspace == "optional":
            return make_empty(is_proven=error.is_proven)
        raise Denied(error.message, layer="workspace", rule="unmapped", hint=error.hint) from error
    if mapping.read_only:
        raise Denied(
            "the directory is read-only in the container, and a tool cannot be held to that yet",
            layer="workspace",
            rule="read-only",
            hint="mount it writable",
        )
    return Workspace(_open(mapping.source, reserved), is_proven=mapping.is_proven)


def make_empty(*, is_proven: bool) -> Workspace:
    """A fresh empty directory of the daemon's user, for commands that need none of the client's."""
    path = tempfile.mkdtemp(prefix="airlock-")
    descriptor = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    return Workspace(descriptor, temporary=path, is_proven=is_proven)


def _enter_own_directory(peer: Peer, reserved: Reserved) -> Workspace:
    """The directory in which the kernel says that a process of the host stands."""
    if peer.uid != os.geteuid() or peer.container is not None:
        raise Denied(
            "[workspace] host = true is for the daemon's own user outside of containers",
            layer="workspace",
            rule="host",
            hint="run the client as the user of the daemon, or map its directory",
        )
    if started_by(peer.pid, os.getpid()):
        raise Denied(
            "a command that Airlock started may not ask for another one",
            layer="workspace",
            rule="host",
            hint="run it from a process of your own",
        )
    try:
        descriptor = os.open(f"/proc/{peer.pid}/cwd", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise Denied(
            f"the client's directory cannot be opened: {error.strerror}",
            layer="workspace",
            rule="host",
            hint="the client must still be running",
        ) from error
    try:
        _refuse_reserved(real_path(descriptor), reserved)
    except BaseException:
        os.close(descriptor)
        raise
    return Workspace(descriptor)


def _open(source: Source, reserved: Reserved) -> int:
    """Open `source`, following links only below its directory and as long as they stay there."""
    root = open_unlinked(source.directory)
    try:
        root_path = real_path(root)
        _refuse_reserved(root_path, reserved)
        try:
            descriptor = os.open(
                source.below or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=root
            )
        except OSError as error:
            raise Denied(
                f"the workspace has no directory {quote(source.below or '.')}: {error.strerror}",
                layer="workspace",
                rule="missing",
                hint="it must exist on the host too, and the daemon's user must have access",
            ) from error
        try:
            path = real_path(descriptor)
            if not is_within(path, root_path):
                raise Denied(
                    "the working directory leads out of the workspace through a link",
                    layer="workspace",
                    rule="outside",
                    hint="work in a directory that really lies in the workspace",
                )
            wanted = source.mount_id
            if wanted is not None and (mount_id(descriptor), mount_id(root)) != (wanted, wanted):
                raise Denied(
                    "something else is mounted over that directory on the host",
                    layer="workspace",
                    rule="mount",
                    hint="work in a directory that container and host see alike",
                )
            _refuse_reserved(path, reserved)
            _refuse_foreign(descriptor, path)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor
    finally:
        os.close(root)


def _refuse_reserved(path: str, reserved: Reserved) -> None:
    conflict = reserved.conflict(path)
    if conflict is not None:
        raise Denied(
            f"{quote(path)} cannot be a workspace: {conflict}",
            layer="workspace",
            rule="reserved",
            hint="keep Airlock's own files outside of every directory that a container can write",
        )


def _refuse_foreign(descriptor: int, path: str) -> None:
    """Explain what a tool would only stumble over: a directory that the container's root made."""
    owner = os.fstat(descriptor).st_uid
    if owner == os.geteuid() or os.access(f"/proc/self/fd/{descriptor}", os.W_OK):
        return
    raise Denied(
        f"{quote(path)} belongs to uid {owner}, and the daemon's user may not write it",
        layer="workspace",
        rule="owner",
        hint=f"run the container as uid {os.geteuid()}, and on the host: "
        f"sudo chown -R {os.geteuid()} {quote(path)}",
    )
