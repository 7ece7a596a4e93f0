from typing import Any

import pytest
from msgspec.structs import replace

from airlock_modules.engine import DockerGrant, Ownership, Root, find_excess, order_builder

_OWN = Ownership("a", "0")
_ROOT = Root(inner="/work", outer="/home/u/work", user="1000:1000")
_GRANT = DockerGrant(roots=(_ROOT,), socket="/run/airlock/.containers/a.sock")
_BIND = {"Type": "bind", "Source": "/home/u/work", "Destination": "/src", "RW": True}
_BELOW = {"Type": "volume", "Name": _OWN.root_volume("/home/u/work"), "RW": True}


def _find(*mounts: dict[str, Any], grant: DockerGrant = _GRANT, **host: Any) -> str:
    return find_excess({"Mounts": mounts, "HostConfig": host}, grant, _OWN)


def test_what_is_granted_is_no_excess() -> None:
    """The workspace, volumes, the agent's socket, and what Airlock has mounted."""
    socket = {"Type": "bind", "Source": _GRANT.socket, "Destination": "/var/run/docker.sock"}
    shim = {"Type": "bind", "Source": "/usr/lib/shim", "Destination": "/opt/airlock-shim"}
    volume = {"Type": "volume", "Name": "airlock-a-0-data"}
    assert _find(_BIND, _BELOW, socket, shim, volume, SecurityOpt=["no-new-privileges"]) == ""


@pytest.mark.parametrize("mount", [_BIND, _BELOW])
def test_a_workspace_that_is_seen_otherwise_now_is_excess(mount: dict[str, Any]) -> None:
    """By a client with a mask, one that has it read-only, and one that has it not."""
    masked = replace(_GRANT, roots=(replace(_ROOT, covered=("/work/.env",)),))
    assert "/work/.env" in _find(mount, grant=masked)
    read_only = replace(_GRANT, roots=(replace(_ROOT, is_read_only=True),))
    assert "writable" in _find(mount, grant=read_only)
    assert _find({**mount, "RW": False}, grant=read_only) == ""
    assert "no workspace" in _find(mount, grant=replace(_GRANT, roots=()))


def test_what_the_profile_lifted_before_is_excess() -> None:
    """Ports of the host, and a builder."""
    ports = {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "80"}]}
    assert _find(PortBindings=ports) == "ports of the host"
    assert _find(PortBindings=ports, grant=replace(_GRANT, publishes_on_host=True)) == ""
    lifted = ["seccomp=unconfined", "apparmor=unconfined"]
    assert _find(SecurityOpt=lifted) == "the rights of a builder"
    assert _find(SecurityOpt=lifted, grant=replace(_GRANT, builder="docker.io/b:1")) == ""


def test_a_builder_as_it_is_made_is_excess_without_the_grant() -> None:
    """By its own filter and profile, whatever these are."""
    granted = replace(_GRANT, builder="docker.io/b:1")
    order = order_builder("buildx_buildkit_default", grant=granted, ownership=_OWN)
    made = {"Mounts": [], "HostConfig": order.body["HostConfig"]}
    assert find_excess(made, _GRANT, _OWN) == "the rights of a builder"
    assert find_excess(made, granted, _OWN) == ""
