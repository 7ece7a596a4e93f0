"""Looking at what maps the paths of a client: the mounts of its container, as far as they show."""

from airlock_daemon.errors import Failed
from airlock_daemon.identity.containers import Containers
from airlock_daemon.identity.devices import holds_devices
from airlock_daemon.identity.peer import Peer, whole
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
            rows=whole(container.mounts()),
            is_proven=True,
            makes_devices=container.makes_devices and holds_devices(container.pid),
            sights=sights,
        )
    except Failed as failure:
        return Mounts(
            agent,
            rows=whole(peer.mounts),
            failure=failure,
            makes_devices=holds_devices(peer.pid),
            sights=sights,
        )
