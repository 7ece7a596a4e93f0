"""Looking at what maps the paths of a client: the mounts of its container, as far as they show."""

from collections.abc import Sequence

from airlock_daemon.errors import Denied, Failed
from airlock_daemon.identity.containers import Containers
from airlock_daemon.identity.devices import holds_devices
from airlock_daemon.identity.peer import Peer
from airlock_daemon.platform.linux.mountinfo import MountRow, find_mount
from airlock_daemon.setup.agents import Agent
from airlock_daemon.workspace.mapping import Mounts
from airlock_daemon.workspace.sights import Sights


async def see_mounts(*, peer: Peer, agent: Agent, containers: Containers) -> Mounts:
    """Look at what maps the paths of `peer`.

    Raises Denied for a client that is not in the container that it seems to be in, and where not
    all of its mounts can be seen. What is asked of it later is to be settled by its `sights`.
    """
    sights = Sights(is_aside=True)
    if peer.kind != "container":
        # Root of the daemon's own host needs no box to open its devices.
        makes_devices = peer.kind == "unseen" and holds_devices(None)
        return Mounts(agent, makes_devices=makes_devices, sights=sights)
    try:
        container = await containers.attest(peer, agent=agent.name)
        return Mounts(
            agent,
            rows=_whole(container.mounts()),
            is_proven=True,
            makes_devices=container.makes_devices and holds_devices(container.pid),
            sights=sights,
        )
    except Failed as failure:
        return Mounts(
            agent,
            rows=_whole(peer.mounts),
            failure=failure,
            makes_devices=holds_devices(peer.pid),
            sights=sights,
        )


def _whole(rows: Sequence[MountRow]) -> Sequence[MountRow]:
    """The rows of a process, unless it has changed its root, which hides all mounts outside of it.

    A container has its root file system at / and a procfs at /proc, and cannot mount another one.
    """
    root, proc = find_mount(rows, "/"), find_mount(rows, "/proc")
    if root is not None and proc is not None and (proc.point, proc.kind) == ("/proc", "proc"):
        return rows
    raise Denied(
        "a process has changed its root (chroot), so that the container's mounts cannot be seen",
        layer="workspace",
        rule="root",
        hint="run the container's first process and the command in the root of the container",
    )
