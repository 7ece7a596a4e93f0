"""What an agent's `docker.sock` grants: `[docker]` of its profile, its workspaces and limits."""

import os
from collections.abc import Iterator

from msgspec.structs import replace

from airlock_daemon.setup.agents import Agent
from airlock_daemon.setup.paths import ENGINE, container_directory, find_link
from airlock_modules.engine import DockerGrant, Root, is_below


def complete_grant(agent: Agent, sockets_dir: str) -> DockerGrant:
    """What `[docker]` of the profile grants, with workspaces, the agent's socket and its limits."""
    limits = agent.profile.limits
    return replace(
        agent.profile.docker or DockerGrant(),
        roots=tuple(_list_roots(agent)),
        socket=os.path.join(sockets_dir, find_link(agent.name, ENGINE)),
        egress=os.path.join(sockets_dir, container_directory(agent.name)),
        memory=limits.box_memory_mb << 20,
        pids=limits.box_processes,
    )


def _list_roots(agent: Agent) -> Iterator[Root]:
    profile = agent.profile
    for mount in agent.mounts:
        try:
            status = os.stat(mount.source, follow_symlinks=False)
        except OSError:
            # It is not there, and the agent is not served with it (`judge_workspaces`).
            continue
        yield Root(
            inner=mount.target,
            outer=mount.source,
            user=f"{status.st_uid}:{status.st_gid}",
            is_read_only=profile.read_only,
            covered=tuple(each for each in profile.hide if is_below(each, mount.target)),
        )
