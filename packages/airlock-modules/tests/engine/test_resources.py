import json
import re
from collections.abc import Callable

import pytest

from airlock_modules.engine import (
    DockerGrant,
    Ownership,
    Reference,
    Refused,
    confine_network,
    find_connected,
    is_isolated,
    judge_network,
    read_connection,
    read_disconnection,
    read_exec,
    read_exec_start,
    read_image_name,
    read_network,
    read_volume,
)

_OWN = Ownership("a", "0")


def _dump(**body: object) -> bytes:
    return json.dumps(body).encode()


def _network(body: bytes) -> dict[str, object]:
    return read_network(body, grant=DockerGrant(), ownership=_OWN)


def _volume(body: bytes) -> dict[str, object]:
    return read_volume(body, ownership=_OWN, name="made")


def _exec(body: bytes) -> dict[str, object]:
    return read_exec(body, user="")


def test_a_command_runs_as_the_containers_user() -> None:
    """In a container with a workspace a command cannot choose its user."""
    body = _dump(Cmd=["id"], User="0", Tty=True, Privileged=False, DetachKeys="", Container="x")
    assert _exec(body)["User"] == "0"
    assert read_exec(body, user="1000:1000") == {
        "Cmd": ["id"],
        "User": "1000:1000",
        "Tty": True,
        "DetachKeys": "",
    }
    assert read_exec_start(b"") == {}
    assert read_exec_start(_dump(Detach=False, Tty=True, ConsoleSize=[24, 80]))["Tty"] is True


@pytest.mark.parametrize("read", [_network, _volume])
def test_an_object_has_a_bounded_length_of_labels(
    read: Callable[[bytes], dict[str, object]],
) -> None:
    """Everybody's lists have them."""
    labels = {str(number): "x" * 1000 for number in range(60)}
    assert read(_dump(Name="n", Labels=labels))["Labels"]
    with pytest.raises(Refused, match="Labels is longer than 64 KiB"):
        read(_dump(Name="n", Labels={**labels, "more": "x" * 8000}))


def test_networks_are_internal_unless_granted() -> None:
    """A network has the agent's name and label, and a way out only if the profile says so."""
    body = _dump(
        Name="app_default",
        Driver="bridge",
        Internal=False,
        IPAM={"Driver": "default", "Options": {}, "Config": []},
        Labels={"com.docker.compose.project": "app"},
        Options=None,
        Ingress=False,
        ConfigOnly=False,
        ConfigFrom={"Network": ""},
    )
    made = _network(body)
    assert (made["Name"], made["Internal"]) == ("airlock-a-0-app_default", True)
    assert made["Labels"] == {
        "airlock.label.com.docker.compose.project": "app",
        "airlock.agent": "a",
        "airlock.installation": "0",
    }
    grant = DockerGrant(is_bridged=True)
    assert read_network(body, grant=grant, ownership=_OWN)["Internal"] is False
    kept = _dump(Name="x", Internal=True)
    assert read_network(kept, grant=grant, ownership=_OWN)["Internal"] is True
    isolated = DockerGrant(is_isolated=True)
    made = read_network(_dump(Name="x"), grant=isolated, ownership=_OWN)
    assert (made["Internal"], is_isolated(made)) == (True, True)
    assert made["EnableIPv6"] is False
    assert not is_isolated({**made, "EnableIPv6": True})
    with pytest.raises(Refused, match="EnableIPv6 = true is not granted"):
        read_network(_dump(Name="x", EnableIPv6=True), grant=isolated, ownership=_OWN)


@pytest.mark.parametrize(
    ("found", "grant", "leads"),
    [
        ({"Internal": False}, DockerGrant(), "leads out"),
        ({"Internal": False}, DockerGrant(is_bridged=True), ""),
        ({"Internal": True}, DockerGrant(), ""),
        ({"Internal": True}, DockerGrant(is_isolated=True), "leads to the host"),
        (confine_network(DockerGrant(is_isolated=True)), DockerGrant(is_isolated=True), ""),
        ({"Options": {"x": "y"}}, DockerGrant(is_isolated=True), "leads out"),
    ],
)
def test_a_network_is_judged_by_the_present_grant(
    found: dict[str, object], grant: DockerGrant, leads: str
) -> None:
    """Whatever was granted when it was made."""
    assert judge_network(found, grant) == leads


def test_volumes_are_the_engines_own() -> None:
    """A volume has the agent's name and label, and the engine's own directory."""
    made = _volume(_dump(Name="data", Driver="local", DriverOpts={}, Labels={"a": "b"}))
    assert made == {
        "Name": "airlock-a-0-data",
        "Driver": "local",
        "Labels": _OWN.add_labels({"airlock.label.a": "b"}),
    }
    assert _volume(b"{}")["Name"] == "airlock-a-0-made"
    assert _OWN.root_volume("/w") not in ("", _OWN.outer("root"))
    assert not _OWN.root_volume("/w").startswith("airlock-")


def test_a_connection_names_a_container() -> None:
    """The container is looked up, and has its client's name in the network."""
    body = _dump(Container="web", EndpointConfig={"Aliases": ["x"], "IPAMConfig": None})
    assert find_connected(body) == Reference("container", "web")
    assert read_connection(body, name="web") == {
        "Container": Reference("container", "web"),
        "EndpointConfig": {"Aliases": ["web", "x"]},
    }
    assert read_disconnection(_dump(Container="/web", Force=True))["Force"] is True


@pytest.mark.parametrize(
    ("read", "body"),
    [
        (_exec, {"Cmd": ["id"], "Privileged": True}),
        (_exec, {"Cmd": []}),
        (_exec, {"Cmd": "id"}),
        (_exec, {"cmd": ["id"]}),
        (_network, {"Name": "x", "Driver": "host"}),
        (_network, {"Name": "x", "Driver": "macvlan"}),
        (_network, {"Name": "x", "Options": {"com.docker.network.bridge.name": "docker0"}}),
        (_network, {"Name": "x", "IPAM": {"Config": [{"Subnet": "10.0.0.0/8"}]}}),
        (_network, {"Name": "x", "IPAM": {"Driver": "null"}}),
        (_network, {"Name": "x", "Ingress": True}),
        (_network, {"Name": "x", "ConfigFrom": {"Network": "y"}}),
        (_network, {"Name": "x", "Scope": "swarm"}),
        (_network, {"Name": "x", "Labels": {"airlock.agent": "b"}}),
        (_network, {"Name": "../x"}),
        (_network, {"Name": ""}),
        (_network, {}),
        (_volume, {"Name": "x", "Driver": "sshfs"}),
        (_volume, {"Name": "x", "DriverOpts": {"type": "none", "o": "bind", "device": "/"}}),
        (_volume, {"Name": "x", "ClusterVolumeSpec": {"Group": "x"}}),
        (_volume, {"Name": "/etc"}),
        (find_connected, {}),
        (find_connected, {"Container": "../x"}),
        (
            find_connected,
            {"Container": "x", "EndpointConfig": {"IPAMConfig": {"IPv4Address": "1"}}},
        ),
        (read_disconnection, {"Force": True}),
    ],
)
def test_other_bodies_are_refused(read: Callable[[bytes], object], body: dict[str, object]) -> None:
    """Privileges, drivers and their options, addresses and paths are refused."""
    with pytest.raises(Refused):
        read(json.dumps(body).encode())


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("alpine", "docker.io/library/alpine:latest"),
        ("acme/app:1", "docker.io/acme/app:1"),
        ("index.docker.io/acme/app", "docker.io/acme/app:latest"),
        ("localhost/app", "localhost/app:latest"),
        ("localhost:5000/app:x", "localhost:5000/app:x"),
        ("ghcr.io/acme/app@sha256:" + "0" * 64, "ghcr.io/acme/app@sha256:" + "0" * 64),
    ],
)
def test_a_name_of_an_image_is_read_in_full(text: str, full: str) -> None:
    """Domain, library and tag are those that docker adds."""
    assert str(read_image_name(text)) == full


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A",
        "a:",
        "a@",
        "a@sha256:0",
        "../a",
        "a/../b",
        "/a",
        "a/",
        "a//b",
        "a:b:c",
        "a b",
        "a\n",
    ],
)
def test_what_is_no_name_of_an_image_is_refused(text: str) -> None:
    """Paths, capitals and empty parts are refused."""
    with pytest.raises(Refused):
        read_image_name(text)


def test_images_are_granted_by_pattern() -> None:
    """A star crosses no slash; what may be pulled from a registry may still be a person's here."""
    grant = DockerGrant(
        images=("docker.io/library/*",), registries=("ghcr.io",), push=("ghcr.io/a/*",)
    )
    may = [grant.may_use(read_image_name(each)) for each in ("alpine", "a/b", "ghcr.io/x/y/z")]
    assert may == [True, False, False]
    assert grant.may_pull(read_image_name("ghcr.io/x/y/z"))
    assert not grant.may_pull(read_image_name("a/b"))
    assert not grant.may_pull(read_image_name("ghcr.io:444/x"))
    assert grant.may_push(read_image_name("ghcr.io/a/b:1"))
    assert not grant.may_push(read_image_name("alpine"))


def test_patterns_of_names_meet_the_engines_names() -> None:
    """A pattern with a beginning is one of the client's names."""
    assert Ownership("a.b", "0").outer_pattern("^/web$") == "^/?airlock-a\\.b-0-web$"
    for pattern, found in {
        "^web": ["web", "webs"],
        "/web": ["web", "webs"],
        "web$": ["a-web", "web"],
        "eb": ["a-web", "web", "webs"],
        "airlock": [],
    }.items():
        names = ("a-web", "web", "webs", "other")
        outer = re.compile(_OWN.outer_pattern(pattern))
        assert [each for each in names if outer.search("/" + _OWN.outer(each))] == found
        assert not outer.search("/web")
