from typing import Any

import pytest
from msgspec.structs import replace

from airlock_modules.engine import (
    DockerGrant,
    Ownership,
    Root,
    View,
    rewrite,
    rewrite_error,
    rewrite_event,
    spell_refusal,
)

_VIEW = View(
    ownership=Ownership("a", "0"),
    grant=DockerGrant(
        images=("docker.io/library/*",),
        read=("db-*",),
        roots=(Root(inner="/work", outer="/home/u/work", user="1000:1000"),),
    ),
    version=(1, 45),
    images=frozenset({"sha256:own"}),
)
_LABELS = {
    "airlock.agent": "a",
    "airlock.installation": "0",
    "airlock.image": "alpine",
    "airlock.user": "",
    "tier": "web",
}
_OWN = {
    "Id": "1",
    "Names": ["/airlock-a-0-web", "/airlock-a-0-db/web"],
    "Image": "sha256:1",
    "Labels": _LABELS,
    "Ports": [],
    "Mounts": [
        {"Type": "bind", "Source": "/home/u/work", "Destination": "/src"},
        {
            "Type": "volume",
            "Name": "airlock-a-0-data",
            "Source": "/var/lib/docker/volumes/x/_data",
        },
    ],
    "NetworkSettings": {
        "Networks": {"airlock-a-0-default": {"DNSNames": ["airlock-a-0-web", "web"]}}
    },
}
_HUMANS = {
    "Id": "2",
    "Names": ["/db-1"],
    "Image": "postgres",
    "Command": "postgres --password=x",
    "Labels": {"secret": "x"},
    "Mounts": [{"Source": "/home/u/secret"}],
    "Status": "Up",
}


def test_own_containers_are_listed_with_the_clients_names() -> None:
    """Names, volumes, networks and images are the client's; paths of the host are not there."""
    [own] = _rewrite("container.list", [_OWN])
    assert own["Names"] == ["/web"]
    assert own["Image"] == "alpine"
    assert own["Labels"] == {"tier": "web"}
    assert [each["Source"] for each in own["Mounts"]] == ["/work", ""]
    assert own["Mounts"][1]["Name"] == "data"
    assert own["NetworkSettings"]["Networks"] == {"default": {"DNSNames": ["web"]}}


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("/other", _LABELS),
        ("/airlock-a-0-web", {}),
        ("/airlock-a-0-web", {**_LABELS, "airlock.agent": "b"}),
        ("/airlock-a-b-0-web", {**_LABELS, "airlock.agent": "a-b"}),
        ("/airlock-b-0-web", _LABELS),
        ("/airlock-a-1-web", {**_LABELS, "airlock.installation": "1"}),
        ("/airlock-a-0-web", {**_LABELS, "airlock.installation": "1"}),
        ("/airlock-a-0-web", {"airlock.agent": "a"}),
    ],
)
def test_others_containers_are_not_there(name: str, labels: dict[str, str]) -> None:
    """Neither the label alone (an image may have it) nor the name alone makes a container own."""
    assert _rewrite("container.list", [{**_OWN, "Names": [name], "Labels": labels}]) == []
    with pytest.raises(KeyError):
        rewrite("container.inspect", {"Name": name, "Config": {"Labels": labels}}, _VIEW)
    event = {"Type": "container", "Actor": {"Attributes": {**labels, "name": name[1:]}}}
    assert rewrite_event(event, _VIEW) is None


def test_a_persons_container_that_may_be_read_shows_little() -> None:
    """A person's container has state and image, no words, labels, paths or environment."""
    [found] = _rewrite("container.list", [_HUMANS])
    assert (found["Names"], found["Status"], found["Command"]) == (["/db-1"], "Up", "")
    digest = f"sha256:{'d' * 64}"
    for image, seen in (("db:1", "db:1"), (f"db:1@{digest}", "db:1"), (digest, "")):
        listed = {**_HUMANS, "Image": image, "ImageID": digest}
        [found] = _rewrite("container.list", [listed])
        assert (found["Image"], found["ImageID"]) == (seen, "")
        inspected = {"Name": "/db-1", "Image": digest, "Config": {"Image": image}}
        found = _rewrite("container.inspect", inspected)
        assert (found["Image"], found["Config"]["Image"]) == ("", seen)
    whole = {
        "Id": "2",
        "Name": "/db-1",
        "Args": ["--password=x"],
        "State": {"Status": "running", "Pid": 7, "Health": {"Log": [{"Output": "secret"}]}},
        "Config": {"Env": ["PASSWORD=secret"], "Cmd": ["secret"], "Labels": {"l": "secret"}},
        "HostConfig": {"Binds": ["/home/u/secret:/x"]},
        "Mounts": [{"Source": "/home/u/secret"}],
    }
    shown = rewrite("container.inspect", whole, _VIEW)
    assert "secret" not in str(shown)
    assert "password" not in str(shown)
    assert _inner(shown, "State") == {"Status": "running"}


def test_no_pattern_of_names_shows_what_another_agent_has() -> None:
    """Neither one of this installation nor of another, in a list or by its name."""
    view = replace(_VIEW, grant=replace(_VIEW.grant, read=("*", "airlock-b-*")))
    for name in ("/airlock-b-0-web", "/airlock-a-1-web"):
        labels = {"airlock.agent": name[9], "airlock.installation": name[11]}
        listed = {"Names": [name], "Labels": labels}
        assert rewrite("container.list", [listed, _HUMANS], view) == _rewrite(
            "container.list", [_HUMANS]
        )
        with pytest.raises(KeyError):
            rewrite("container.inspect", {"Name": name, "Config": {"Labels": labels}}, view)


def test_an_own_container_is_inspected_without_paths_of_the_host() -> None:
    """What the engine says of it stays, but for where it lies on the host."""
    shown = rewrite(
        "container.inspect",
        {
            "Id": "1",
            "Name": "/airlock-a-0-web",
            "LogPath": "/var/lib/docker/x",
            "GraphDriver": {"Data": {"MergedDir": "/var/lib/docker/y"}},
            "State": {"Running": True, "Error": "exec /home/u/work/x: not found"},
            "Config": {"Env": ["A=1"], "Labels": _LABELS, "Image": "sha256:1"},
            "HostConfig": {"Mounts": [{"Source": "/home/u/work"}], "AutoRemove": True},
            "Mounts": _OWN["Mounts"],
            "NetworkSettings": {"SandboxKey": "/var/run/docker/netns/x", "Networks": {}},
        },
        _VIEW,
    )
    assert "/var/" not in str(shown)
    assert "/home/" not in str(shown)
    assert "airlock" not in str(shown)
    config = _inner(shown, "Config")
    assert (config["Env"], config["Image"]) == (["A=1"], "alpine")
    assert _inner(shown, "State")["Running"]


def test_the_engine_tells_little_of_the_host() -> None:
    """Version and information have listed members, and the version that is spoken."""
    version = rewrite(
        "system.version",
        {"Version": "26", "ApiVersion": "1.99", "Components": [{"Details": {"x": "/secret"}}]},
        _VIEW,
    )
    assert version == {"Version": "26", "ApiVersion": "1.45", "MinAPIVersion": "1.41"}
    info = {
        "NCPU": 2,
        "Name": "secret-host",
        "HttpProxy": "http://u:secret@proxy",
        "RegistryConfig": {"Mirrors": ["https://secret"]},
        "Containers": 7,
        "DockerRootDir": "/secret",
        "Swarm": {"RemoteManagers": ["secret"]},
    }
    shown = rewrite("system.info", info, _VIEW)
    assert "secret" not in str(shown)
    assert _inner(shown)["NCPU"] == 2


def test_networks_and_volumes_are_own() -> None:
    """Lists have the agent's alone, without the host's paths."""
    own = {"Name": "airlock-a-0-n", "Labels": _LABELS, "Containers": None}
    other = {"Name": "bridge", "Labels": {}}
    [network] = _rewrite("network.list", [own, other])
    assert (network["Name"], network["Labels"]) == ("n", {"tier": "web"})
    volumes = {
        "Volumes": [
            {**own, "Mountpoint": "/var/lib/docker"},
            {"Name": "airlock-a-0-x", "Labels": None},
            {"Name": "airlockroot-a-0-1", "Labels": {**_LABELS, "airlock.root": ""}},
        ]
    }
    found = _inner(rewrite("volume.list", volumes, _VIEW), "Volumes")
    assert [(each["Name"], each["Mountpoint"]) for each in found] == [("n", "")]


def test_images_are_those_of_the_agent_or_granted() -> None:
    """Images of others are not listed, nor are others' tags of one that is."""
    images = [
        {"Id": "sha256:own", "RepoTags": ["secret.example/x:1"], "Containers": 3},
        {"Id": "sha256:2", "RepoTags": ["alpine:latest", "secret.example/y:1"]},
        {"Id": "sha256:3", "RepoTags": ["secret.example/z:1"]},
        {"Id": "sha256:4", "RepoTags": None},
    ]
    found = _rewrite("image.list", images)
    assert [each["Id"] for each in found] == ["sha256:own", "sha256:2"]
    assert found[1]["RepoTags"] == ["alpine:latest"]
    assert "z:1" not in str(found)
    assert "y:1" not in str(found)


def test_an_event_of_an_own_container_has_the_clients_names() -> None:
    """Events have the client's name and image, and no label of Airlock's."""
    event = {
        "Type": "container",
        "Action": "start",
        "from": "sha256:1",
        "Actor": {"ID": "1", "Attributes": {**_LABELS, "name": "airlock-a-0-web"}},
        "time": 1,
    }
    shown = rewrite_event(event, _VIEW)
    assert shown is not None
    assert shown["Actor"]["Attributes"] == {"tier": "web", "name": "web", "image": "alpine"}
    assert shown["from"] == "alpine"
    assert rewrite_event({"Type": "image", "Actor": {"Attributes": {"name": "x"}}}, _VIEW) is None
    assert rewrite_event([], _VIEW) is None


def test_errors_are_in_the_engines_form() -> None:
    """A refusal is what a client shows as the engine's own error; names lose their prefix."""
    assert spell_refusal("no", "yes") == b'{"message":"airlock: no; yes"}'
    error = {"message": 'Conflict. The container name "/airlock-a-0-web" is in use', "x": 1}
    assert rewrite_error(error, _VIEW) == {
        "message": 'Conflict. The container name "/web" is in use'
    }
    assert rewrite_error(None, _VIEW) == {"message": "the engine failed without a reason"}


@pytest.mark.parametrize(
    "message",
    [
        (
            'error mounting "/home/u/lib/airlock-shim" to rootfs at "/opt/airlock-shim": mount '
            "/home/u/lib/airlock-shim:/opt/airlock-shim (via /proc/self/fd/6), flags: 0x5001"
        ),
        (
            'error mounting "/home/u/shim" to rootfs at "/opt/airlock-shim": mount '
            "src=/home/u/shim, dst=/opt/airlock-shim, dstFd=/proc/thread-self/fd/8: not a directory"
        ),
        "bind source path does not exist: /home/u/.config/airlock/sockets/.containers/a",
        (
            "failed to mount local volume: mount /home/u/work:/var/lib/docker/volumes/"
            "airlockroot-a-0-1/_data, flags: 0x1000: no such file or directory"
        ),
        "stat /run/docker/containerd/daemon/moby/1/tmpfs: no such file or directory",
        "open /home/u/.local/share/docker/overlay2/1/merged: no space left",
    ],
)
def test_errors_tell_no_path_of_the_host(message: str) -> None:
    """The source of a mount, and the engine's own files."""
    sockets = "/home/u/.config/airlock/sockets/.containers/a"
    grant = replace(_VIEW.grant, egress=sockets, socket=f"{sockets}.sock")
    told = rewrite_error({"message": message}, replace(_VIEW, grant=grant))["message"]
    assert "/home" not in told
    assert "docker/" not in told


def _rewrite(name: str, answer: object) -> Any:
    return rewrite(name, answer, _VIEW)


def _inner(value: object, *names: str) -> Any:
    for name in names:
        assert isinstance(value, dict)
        value = value[name]
    return value
