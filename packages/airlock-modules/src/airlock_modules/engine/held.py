"""What a container that exists has, by the agent's present profile and what its client sees.

It was judged when it was made: by a profile that a person may have narrowed since, or for a client
that saw a workspace without a mask.
"""

from collections.abc import Mapping
from typing import Any

from airlock_modules.engine.egress import is_hidden
from airlock_modules.engine.grant import DockerGrant, Root
from airlock_modules.engine.names import Ownership

# Security options that replace how the engine confines a container: only a builder has them.
_CONFINED_BY = ("seccomp=", "apparmor=")


def find_excess(container: Mapping[str, Any], grant: DockerGrant, ownership: Ownership) -> str:
    """Say what a container has, by the engine's answer, that is not granted; "" for nothing.

    Networks are not looked at, nor whom it runs as.
    """
    host = container.get("HostConfig") or {}
    for mount in container.get("Mounts") or ():
        root = _find_root(mount, grant, ownership)
        if root is not None:
            if excess := _judge_root(root, mount):
                return excess
        elif mount.get("Type") == "bind" and not is_hidden(mount):
            if mount.get("Source") != grant.socket:
                return "a directory that is no workspace of this client"
        elif str(mount.get("Name", "")).startswith(ownership.root_prefix):
            return "a directory that is no workspace of this client"
    if host.get("PortBindings") and not grant.publishes_on_host:
        return "ports of the host"
    options = host.get("SecurityOpt") or ()
    if not grant.builder and any(str(each).startswith(_CONFINED_BY) for each in options):
        return "the rights of a builder"
    return ""


def _find_root(mount: Mapping[str, Any], grant: DockerGrant, ownership: Ownership) -> Root | None:
    for root in grant.roots:
        is_volume = mount.get("Type") == "volume"
        outer = ownership.root_volume(root.outer) if is_volume else root.outer
        if mount.get("Name" if is_volume else "Source") == outer:
            return root
    return None


def _judge_root(root: Root, mount: Mapping[str, Any]) -> str:
    if root.covered:
        return f"a part of {root.inner}, where this agent sees {root.covered[0]} otherwise"
    if root.is_read_only and mount.get("RW", True):
        return f"{root.inner} writable"
    return ""
