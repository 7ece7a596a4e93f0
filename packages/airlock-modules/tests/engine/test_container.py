import json
from typing import Any

import pytest

from airlock_modules.engine import (
    ContainerOrder,
    DockerGrant,
    Ownership,
    Reference,
    Refused,
    Root,
    list_references,
    read_container,
)
from airlock_modules.engine.egress import ImageConfig, read_image_config
from airlock_modules.engine.names import show_labels

_OWN = Ownership("a", "0")
_ROOT = Root(inner="/work", outer="/home/u/work", user="1000:1000")
_COVERED = Root(inner="/part", outer="/home/u/part", user="1000:1000", covered=("/part/a/.env",))
_DATA = Root(inner="/data", outer="/srv/data", user="1000:1000", is_read_only=True)
_GRANT = DockerGrant(
    roots=(_ROOT, _COVERED, _DATA), socket="/run/airlock/a/docker.sock", memory=1 << 30
)

# What docker's own client sends for `docker run alpine true`, in the parts that are not zero.
_CLIENT = {
    "AttachStdout": True,
    "AttachStderr": True,
    "Cmd": ["true"],
    "Image": "alpine",
    "Volumes": {},
    "Env": None,
    "Labels": {},
    "OnBuild": None,
    "HostConfig": {
        "Binds": None,
        "LogConfig": {"Type": "", "Config": {}},
        "NetworkMode": "default",
        "PortBindings": {},
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        "ConsoleSize": [24, 80],
        "IpcMode": "",
        "Privileged": False,
        "Devices": [],
        "DeviceRequests": None,
        "MemorySwappiness": -1,
        "OomKillDisable": False,
        "MaskedPaths": None,
        "ReadonlyPaths": None,
        "SecurityOpt": None,
        "Isolation": "",
        "CgroupParent": "",
    },
    "NetworkingConfig": {
        "EndpointsConfig": {
            "default": {"IPAMConfig": None, "Links": None, "Aliases": None, "MacAddress": ""}
        }
    },
}


def _create(
    host: dict[str, Any] | None = None, *, grant: DockerGrant = _GRANT, **config: Any
) -> dict[str, Any]:
    body = {"Image": "alpine", **config, "HostConfig": host or {}}
    order = read_container(json.dumps(body).encode(), name="web", grant=grant, ownership=_OWN)
    return dict(order.body)


def _host(host: dict[str, Any], *, grant: DockerGrant = _GRANT) -> dict[str, Any]:
    found = _create(host, grant=grant)["HostConfig"]
    assert isinstance(found, dict)
    return found


def test_what_dockers_client_sends_passes() -> None:
    """A plain `docker run` passes, with the agent's label, network, limits and no privileges."""
    order = read_container(json.dumps(_CLIENT).encode(), name="web", grant=_GRANT, ownership=_OWN)
    host: Any = order.body["HostConfig"]
    assert order.body["Cmd"] == ["true"]
    assert order.body["Labels"] == {
        "airlock.agent": "a",
        "airlock.installation": "0",
        "airlock.image": "alpine",
        "airlock.user": "",
        "airlock.ports": "",
    }
    assert order.body["Image"] == Reference("image", "docker.io/library/alpine:latest")
    network = Reference("network", "default")
    assert host["NetworkMode"] == network
    assert order.body["NetworkingConfig"] == {"EndpointsConfig": {network: {"Aliases": ["web"]}}}
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["Memory"] == host["MemorySwap"] == 1 << 30
    assert host["PidsLimit"] == _GRANT.pids
    assert "Privileged" not in host


@pytest.mark.parametrize(
    "host",
    [
        {"Privileged": True},
        {"privileged": True},
        {"CapAdd": ["SYS_ADMIN"]},
        {"CapAdd": ["ALL"]},
        {"CapAdd": ["cap_sys_ptrace"]},
        {"Devices": [{"PathOnHost": "/dev/sda"}]},
        {"DeviceCgroupRules": ["a *:* rwm"]},
        {"DeviceRequests": [{"Driver": "nvidia"}]},
        {"NetworkMode": "host"},
        {"NetworkMode": "container:../x"},
        {"NetworkMode": "ns:/proc/1/ns/net"},
        {"PidMode": "host"},
        {"PidMode": "container:x"},
        {"IpcMode": "host"},
        {"IpcMode": "container:x"},
        {"UTSMode": "host"},
        {"UsernsMode": "host"},
        {"CgroupnsMode": "host"},
        {"Cgroup": "container:x"},
        {"CgroupParent": "/docker"},
        {"Runtime": "crun"},
        {"Sysctls": {"net.ipv4.ip_forward": "1"}},
        {"SecurityOpt": ["seccomp=unconfined"]},
        {"SecurityOpt": ["no-new-privileges:false"]},
        {"SecurityOpt": ["apparmor=unconfined"]},
        {"SecurityOpt": ["label=disable"]},
        {"MaskedPaths": []},
        {"ReadonlyPaths": []},
        {"RestartPolicy": {"Name": "always"}},
        {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3}},
        {"LogConfig": {"Type": "syslog"}},
        {"LogConfig": {"Config": {"syslog-address": "tcp://x"}}},
        {"VolumeDriver": "sshfs"},
        {"VolumesFrom": ["x"]},
        {"Links": ["x:y"]},
        {"StorageOpt": {"size": "1G"}},
        {"OomKillDisable": True},
        {"OomScoreAdj": -1000},
        {"MemorySwappiness": 0},
        {"Dns": ["192.0.2.1"]},
        {"Ulimits": [{"Name": "rtprio", "Soft": 99, "Hard": 99}]},
        {"CpuRealtimeRuntime": 1},
        {"CpusetCpus": "0"},
        {"BlkioWeight": 10},
        {"Annotations": {"a": "b"}},
        {"GroupAdd": ["a b"]},
        {"Tmpfs": {"/x": "rw,mode=0777 x"}},
        {"PortBindings": {"80/tcp": [{"HostIp": "192.0.2.1", "HostPort": "1"}]}},
        {"PortBindings": {"80/sctp": []}},
        {"PortBindings": {"80/tcp": [{"HostPort": "8000-8010"}]}},
        {"PortBindings": {"80/tcp": [{"HostPort": "1"}, {"HostPort": "2"}]}},
    ],
)
def test_what_reaches_the_host_is_refused(host: dict[str, Any]) -> None:
    """Privileges, devices, foreign namespaces, drivers, paths and policies are refused by name."""
    with pytest.raises(Refused) as error:
        _create(host)
    assert error.value.hint


@pytest.mark.parametrize(
    "config",
    [
        {"Labels": {"airlock.agent": "b"}},
        {"Labels": {"Airlock.agent": "b"}},
        {"Labels": {" airlock.user": "0"}},
        {"MacAddress": "02:42:ac:11:00:02"},
        {"OnBuild": ["RUN x"]},
        {"Image": "../x"},
        {"Image": ""},
        {"Image": "alpine "},
        {"Volumes": {"relative": {}}},
        {"Volumes": {"/x": {"Source": "/etc"}}},
        {"NetworkingConfig": {"EndpointsConfig": {"host": {}}}},
        {"NetworkingConfig": {"EndpointsConfig": {"none": {"MacAddress": "02:42:ac:11:00:02"}}}},
        {
            "NetworkingConfig": {
                "EndpointsConfig": {"n": {"IPAMConfig": {"IPv4Address": "1.1.1.1"}}}
            }
        },
        {"NetworkingConfig": {"EndpointsConfig": {"n": {"DriverOpts": {"a": "b"}}}}},
        {"NetworkingConfig": {"EndpointsConfig": {"n": {"Links": ["web"]}}}},
        {"Platform": "linux"},
    ],
)
def test_what_is_outside_of_the_host_config_is_refused(config: dict[str, Any]) -> None:
    """Airlock's labels, odd names and addresses of a client's choice are refused."""
    with pytest.raises(Refused):
        _create(**config)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"Image":"a","Image":"b"}', b'{"image":"alpine"}'])
def test_a_body_that_is_no_container_is_refused(body: bytes) -> None:
    """No body, a doubled key, and a key in another case are refused."""
    with pytest.raises(Refused):
        read_container(body, name="web", grant=_GRANT, ownership=_OWN)


def test_limits_are_those_of_the_profile_at_most() -> None:
    """A client may have less memory and fewer processes, never more or none."""
    host = _host({"Memory": 1 << 40, "PidsLimit": -1, "MemorySwap": -1})
    assert (host["Memory"], host["MemorySwap"]) == (1 << 30, 1 << 30)
    assert host["PidsLimit"] == _GRANT.pids
    host = _host({"Memory": 1 << 26, "PidsLimit": 10})
    assert (host["Memory"], host["PidsLimit"]) == (1 << 26, 10)


def test_a_workspace_is_mounted_by_its_written_path() -> None:
    """The root is bound by the host's path, without being made, and the owner runs there."""
    order = read_container(
        json.dumps(
            {"Image": "alpine", "User": "0", "HostConfig": {"Binds": ["/work:/src"]}}
        ).encode(),
        name="web",
        grant=DockerGrant(roots=(Root(inner="/work", outer="/home/u/work", user="1000:1000"),)),
        ownership=_OWN,
    )
    host: Any = order.body["HostConfig"]
    assert host["Mounts"] == [
        {
            "Type": "bind",
            "Source": "/home/u/work",
            "Target": "/src",
            "ReadOnly": False,
            "BindOptions": {"Propagation": "rprivate", "CreateMountpoint": False},
        }
    ]
    assert order.body["User"] == order.user == "1000:1000"
    assert host["CapDrop"] == ["ALL"]
    assert order.body["Labels"]["airlock.user"] == "1000:1000"  # type: ignore[index]


def test_below_a_workspace_is_mounted_as_a_subpath() -> None:
    """What an agent can replace with a link is never a source of a bind."""
    mount = _host({"Binds": ["/work/app/src:/src:ro"]})["Mounts"][0]
    assert mount["Type"] == "volume"
    assert mount["Source"] == Reference("root", "/home/u/work")
    assert mount["VolumeOptions"] == {"NoCopy": True, "Subpath": "app/src"}
    assert mount["ReadOnly"]
    by_mount = _host({"Mounts": [{"Type": "bind", "Source": "/work/app/src", "Target": "/src"}]})
    assert by_mount["Mounts"][0]["Source"] == Reference("root", "/home/u/work")


def test_a_read_only_workspace_stays_read_only() -> None:
    """A container does not write where the agent does not."""
    assert _host({"Binds": ["/data:/d:rw", "/data/x:/e"]})["Mounts"][0]["ReadOnly"] is True
    assert _host({"Binds": ["/data/x:/e"]})["Mounts"][0]["ReadOnly"] is True


@pytest.mark.parametrize(
    "bind",
    [
        "/:/host",
        "/etc:/etc",
        "/home/u/work:/x",
        "/workspace:/x",
        "/work/../etc:/x",
        "/work/./x:/x",
        "/work//x:/x",
        "//work:/x",
        "/work/\n:/x",
        "/part:/x",
        "/part/a:/x",
        "/part/a/.env:/x",
        "/part/a/.env/x:/x",
        # A link to what is covered, or a directory to which it is moved before the start.
        "/part/link:/x",
        "/part/src:/x:ro",
        "/work/src:/x:Z",
        "/work/src:/x:rshared",
        "/work/src:/x:ro,rw",
        "/work/src:relative",
        "/work/src:/x:ro:rw",
        "../etc:/x",
        "..:/x",
        "data/../../x:/x",
        ":/x",
        "/work/src:",
        "relative",
    ],
)
def test_other_paths_are_not_mounted(bind: str) -> None:
    """Nothing outside of a workspace, over a mask, or with a second spelling is mounted."""
    with pytest.raises(Refused):
        _create({"Binds": [bind]})


@pytest.mark.parametrize(
    "mount",
    [
        {"Type": "bind", "Source": "/etc", "Target": "/x"},
        {"Type": "bind", "Source": "/work/src", "Target": ""},
        {"Type": "bind", "Source": "/work/src"},
        {
            "Type": "bind",
            "Source": "/data",
            "Target": "/x",
            "BindOptions": {"Propagation": "shared"},
        },
        {
            "Type": "bind",
            "Source": "/data",
            "Target": "/x",
            "BindOptions": {"ReadOnlyNonRecursive": True},
        },
        {
            "Type": "volume",
            "Target": "/x",
            "VolumeOptions": {"DriverConfig": {"Name": "local", "Options": {"type": "bind"}}},
        },
        {"Type": "volume", "Source": "v", "Target": "/x", "VolumeOptions": {"Subpath": "../x"}},
        {"Type": "volume", "Source": "v", "Target": "/x", "TmpfsOptions": {"SizeBytes": 1}},
        {"Type": "volume", "Source": "/etc", "Target": "/x"},
        {"Type": "npipe", "Source": "x", "Target": "/x"},
        {"Type": "cluster", "Source": "x", "Target": "/x"},
        {"Type": "tmpfs", "Source": "/etc", "Target": "/x"},
    ],
)
def test_other_mounts_are_refused(mount: dict[str, Any]) -> None:
    """Drivers, propagation, other types and paths are refused."""
    with pytest.raises(Refused):
        _create({"Mounts": [mount]})


def test_a_tmpfs_is_one_of_its_own() -> None:
    """A flag that changes another mount, to which its target may be a link, is refused."""
    for options in ("", "rw", "size=64m,mode=1777,uid=1000,noexec", "ro,nr_inodes=50k,relatime"):
        assert _host({"Tmpfs": {"/x": options}})["Tmpfs"] == {"/x": options}
    for options in (
        "remount",
        "rw,remount,size=1m",
        "bind",
        "rbind",
        "shared",
        "dev",
        "size=",
        ",",
    ):
        with pytest.raises(Refused):
            _create({"Tmpfs": {"/x": options}})


def test_the_engines_socket_becomes_the_agents_own() -> None:
    """A bind of the engine's socket is one of the agent's own, which it cannot replace."""
    for bind in (
        "/var/run/docker.sock:/var/run/docker.sock",
        "/run/docker.sock:/d:rw",
        "/run/airlock/docker.sock:/d",
    ):
        order = _create({"Binds": [bind]})
        mount = order["HostConfig"]["Mounts"][0]
        assert (mount["Source"], mount["ReadOnly"]) == ("/run/airlock/a/docker.sock", True)
    with pytest.raises(Refused):
        _create({"Binds": ["/var/run/docker.sock:/d"]}, grant=DockerGrant())


@pytest.mark.parametrize("target", ["/run/airlock", "/opt/airlock-shim"])
def test_nothing_of_the_host_is_bound_where_airlocks_own_is(target: str) -> None:
    """However the path is spelled: such a mount would be taken for Airlock's when it is judged."""
    odd = f"/x/..//{target[1:]}/."
    for source in ("/work", "/var/run/docker.sock"):
        for spelled in (target, f"{target}/", f"//{target[1:]}", odd):
            mount = {"Type": "bind", "Source": source, "Target": spelled}
            for host in ({"Mounts": [mount]}, {"Binds": [f"{source}:{spelled}:ro"]}):
                with pytest.raises(Refused, match="where Airlock's own files are"):
                    _create(host)
    assert _create({"Binds": [f"/work:{target}/below", f"data:{target}"]})["HostConfig"]["Mounts"]


def test_no_capability_or_group_beside_a_workspace() -> None:
    """A container with a workspace gets neither unless the profile grants root_binds."""
    for more in ({"CapAdd": ["CHOWN"]}, {"GroupAdd": ["0"]}):
        with pytest.raises(Refused, match="beside a mounted workspace"):
            _create({"Binds": ["/work:/x"], **more}, grant=_plain())
    lifted = _plain(root_binds=True)
    order = _create({"Binds": ["/work:/x"], "CapAdd": ["CHOWN"]}, grant=lifted, User="0")
    assert order["User"] == "0"
    assert order["HostConfig"]["CapAdd"] == ["CHOWN"]


def test_workspaces_of_two_owners_are_not_mounted_together() -> None:
    """A container runs as one user."""
    other = Root(inner="/other", outer="/srv/other", user="1001:1001")
    grant = DockerGrant(roots=(*_plain().roots, other))
    with pytest.raises(Refused, match="different owners"):
        _create({"Binds": ["/work:/x", "/other:/y"]}, grant=grant)


def _plain(*, root_binds: bool = False) -> DockerGrant:
    root = Root(inner="/work", outer="/home/u/work", user="1000:1000")
    return DockerGrant(roots=(root,), root_binds=root_binds)


def test_volumes_are_the_agents() -> None:
    """A named volume is looked up as the agent's, and one that the engine makes is marked."""
    host = _host({"Binds": ["data:/x:nocopy"], "Mounts": [{"Type": "volume", "Target": "/y"}]})
    first, second = host["Mounts"]
    assert first["Source"] == Reference("volume", "data")
    assert first["VolumeOptions"] == {"NoCopy": True, "Labels": _OWN.add_labels({})}
    assert second["VolumeOptions"]["Labels"] == _OWN.add_labels({})


def test_the_engine_publishes_ports_only_if_that_is_granted() -> None:
    """Else those of TCP are for the agent's loopback, and the client is told of the others."""
    body = {"PortBindings": {"80": [{"HostPort": "8080"}], "53/udp": [{}]}}
    whole = json.dumps({"Image": "alpine", "HostConfig": body}).encode()
    order = read_container(whole, name="web", grant=_GRANT, ownership=_OWN)
    assert (order.ports, order.unpublished) == ({80: 8080}, ("53/udp",))
    assert "PortBindings" not in _host(body)
    marked: Any = order.publish({8080: 80, 20000: 81}).body
    assert marked["Labels"]["airlock.ports"] == "8080:80,20000:81"
    granted = DockerGrant(publishes_on_host=True)
    order = read_container(whole, name="web", grant=granted, ownership=_OWN)
    assert (order.ports, order.unpublished) == ({}, ())
    bindings = _host(body, grant=granted)["PortBindings"]
    assert bindings["80/tcp"] == [{"HostIp": "127.0.0.1", "HostPort": "8080"}]


@pytest.mark.parametrize("mode", ["none", "container:db"])
def test_a_container_without_an_address_publishes_nothing(mode: str) -> None:
    """Its client is told."""
    ports = {"NetworkMode": mode, "PortBindings": {"80/tcp": [{}]}, "PublishAllPorts": True}
    whole = json.dumps({"Image": "alpine", "HostConfig": ports}).encode()
    order = read_container(whole, name="web", grant=_GRANT, ownership=_OWN)
    assert (order.ports, order.publishes_all, order.unpublished) == ({}, False, ("80/tcp",))


def test_networks_are_looked_up() -> None:
    """Each network is a reference; a container has its client's name in it."""
    order = _create(
        {"NetworkMode": "app_default"},
        NetworkingConfig={"EndpointsConfig": {"app_default": {"Aliases": ["db"]}, "back": {}}},
    )
    ends = order["NetworkingConfig"]["EndpointsConfig"]
    assert ends == {
        Reference("network", "app_default"): {"Aliases": ["web", "db"]},
        Reference("network", "back"): {"Aliases": ["web"]},
    }
    shared = _create({"NetworkMode": "container:db"})
    mode = Reference("container", "db", before="container:")
    assert shared["HostConfig"]["NetworkMode"] == mode
    assert mode in set(list_references(shared))
    with pytest.raises(Refused):
        _create({"NetworkMode": "none"}, NetworkingConfig={"EndpointsConfig": {"app_default": {}}})
    empty = {"EndpointsConfig": {"none": {"Aliases": None, "MacAddress": ""}}}
    alone = _create({"NetworkMode": "none"}, NetworkingConfig=empty)
    assert alone["NetworkingConfig"] == {"EndpointsConfig": {}}


def test_labels_are_the_clients_alone() -> None:
    """A person's programs, which obey labels, see none; nor those that an image would bring."""
    image = ImageConfig(
        labels={"traefik.enable": "true", "own": "of the image", "airlock.user": "0"}
    )
    order = read_container(
        json.dumps({"Image": "a", "Labels": {"own": "kept"}}).encode(),
        name="web",
        grant=_GRANT,
        ownership=_OWN,
    ).cover(image)
    labels = order.body["Labels"]
    assert isinstance(labels, dict)
    seen = {name: value for name, value in labels.items() if not name.startswith("airlock.")}
    assert seen == {"traefik.enable": "", "own": ""}
    assert labels["airlock.user"] == ""
    assert show_labels({**image.labels, **labels}) == {"traefik.enable": "true", "own": "kept"}


def test_health_is_checked_each_second_at_most() -> None:
    """Each check starts a process at the expense of the engine, also one that an image asks for."""

    def order(body: dict[str, Any]) -> ContainerOrder:
        return read_container(
            json.dumps({"Image": "alpine", **body}).encode(), name="w", grant=_GRANT, ownership=_OWN
        )

    with pytest.raises(Refused, match=r"Healthcheck\.Interval = 1000000 is less than a second"):
        order({"Healthcheck": {"Interval": 1_000_000}})
    image = read_image_config({"Config": {"Healthcheck": {"Interval": 1, "StartInterval": 10**9}}})
    for own in ({}, {"Interval": 0}, {"Test": ["NONE"]}):
        covered = order({"Healthcheck": own} if own else {}).cover(image)
        assert covered.body["Healthcheck"] == {**own, "Interval": 10**9}
    slow = order({"Healthcheck": {"Interval": 2 * 10**9}})
    assert slow.cover(image).body["Healthcheck"] == {"Interval": 2 * 10**9}
    assert "Healthcheck" not in order({}).cover(read_image_config({})).body
