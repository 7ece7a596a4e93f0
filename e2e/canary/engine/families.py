"""Attacks on the broker of a docker engine: what a client says, and the guard that stops it."""

import io
import json
import re
import tarfile
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from e2e.canary.attack import Attack, Family
from e2e.world import engine

if TYPE_CHECKING:
    from e2e.canary.engine.scene import EngineScene

# Each method and path that the engine's specification lists, of version 1.45.
_API = """
GET /_ping HEAD /_ping POST /auth POST /build POST /build/prune POST /commit GET /configs
POST /configs/create GET /configs/ID DELETE /configs/ID POST /configs/ID/update
GET /containers/json POST /containers/create POST /containers/prune GET /containers/ID/json
GET /containers/ID/top GET /containers/ID/logs?stdout=1 GET /containers/ID/changes
GET /containers/ID/export GET /containers/ID/stats?stream=0 POST /containers/ID/resize?h=1&w=1
POST /containers/ID/start POST /containers/ID/stop?t=0 POST /containers/ID/restart?t=0
POST /containers/ID/kill POST /containers/ID/update POST /containers/ID/rename?name=x
POST /containers/ID/pause POST /containers/ID/unpause POST /containers/ID/attach?logs=1&stdout=1
GET /containers/ID/attach/ws?logs=1&stdout=1 POST /containers/ID/wait
DELETE /containers/ID?force=1 HEAD /containers/ID/archive?path=/
GET /containers/ID/archive?path=/volume/file PUT /containers/ID/archive?path=/
POST /containers/ID/exec GET /containers/ID/checkpoints POST /containers/ID/checkpoints
DELETE /containers/ID/checkpoints/x GET /distribution/x/json GET /events?since=0&until=1
POST /exec/EXEC/start POST /exec/EXEC/resize?h=1&w=1 GET /exec/EXEC/json GET /images/json
POST /images/create?fromSrc=- POST /images/prune GET /images/search?term=x
GET /images/get?names=IMG POST /images/load GET /images/IMG/json GET /images/IMG/history
POST /images/IMG/push POST /images/IMG/tag?repo=x DELETE /images/IMG?force=1 GET /images/IMG/get
GET /info GET /version GET /networks POST /networks/create POST /networks/prune GET /networks/NET
DELETE /networks/NET POST /networks/NET/connect POST /networks/NET/disconnect GET /nodes
GET /nodes/x DELETE /nodes/x POST /nodes/x/update GET /plugins GET /plugins/privileges?remote=x
POST /plugins/pull GET /plugins/x/json DELETE /plugins/x POST /plugins/x/enable
POST /plugins/x/disable POST /plugins/x/upgrade POST /plugins/create?name=x POST /plugins/x/push
POST /plugins/x/set GET /secrets POST /secrets/create GET /secrets/x DELETE /secrets/x
POST /secrets/x/update GET /services POST /services/create GET /services/x DELETE /services/x
POST /services/x/update GET /services/x/logs POST /session POST /grpc GET /swarm POST /swarm/init
POST /swarm/join POST /swarm/leave?force=1 POST /swarm/update GET /swarm/unlockkey
POST /swarm/unlock GET /system/df GET /system/dial-stdio GET /tasks GET /tasks/x GET /tasks/x/logs
GET /volumes GET /volumes/VOLUME DELETE /volumes/VOLUME?force=1 PUT /volumes/VOLUME
POST /volumes/create POST /volumes/prune GET /debug/vars GET /debug/pprof/ GET /metrics
"""
_WORDS = _API.split()
_LINES = [" ".join(pair) for pair in zip(_WORDS[::2], _WORDS[1::2], strict=True)]


def _request(line: str, body: object = None, *headers: str) -> str:
    text = body if isinstance(body, str) else "" if body is None else json.dumps(body)
    fields = ["Host: docker", "Connection: close", *headers]
    fields += ["Content-Length: LENGTH"] if line.startswith("P") else []
    return f"{line} HTTP/1.1\r\n" + "".join(f"{each}\r\n" for each in fields) + f"\r\n{text}"


def _say(
    name: str, guard: str, *requests: str, works: bool = False, tries: tuple[str, ...] = ()
) -> Attack:
    def run(scene: "EngineScene") -> bytes:
        return scene.say(*requests)

    return Attack(name, f"engine-{guard}", run, works, tries=tries)


def _create(name: str = "made", **config: Any) -> str:
    return _request(f"POST /containers/create?name={name}", {"Image": "IMAGE", **config})


def _run(name: str = "made", **config: Any) -> tuple[str, ...]:
    """Create a container, start it, wait for its end, and ask for its output."""
    return (
        _create(name, **config),
        _request(f"POST /containers/{name}/start"),
        _request(f"POST /containers/{name}/wait"),
        _request(f"GET /containers/{name}/logs?stdout=1&stderr=1"),
    )


def _fill(line: str, kind: str) -> str:
    words = {"ID": f"{kind}-ID", "EXEC": "EXEC-ID", "IMG": "SECRET-IMAGE"}
    return "/".join(words.get(each, each) for each in line.replace("?", "/?").split("/")).replace(
        "/?", "?"
    )


def _walk(kind: str) -> list[Attack]:
    """Every call of the API, with what is not the agent's; those of a container for each kind."""
    return [
        _say(
            f"{line} of {kind}",
            "owned",
            _request(_fill(line, kind).replace("=IMG", "=SECRET-IMAGE")),
        )
        for line in _LINES
        if kind == "PERSON" or "ID" in re.split("[/?]", line)
    ]


def _pack(name: str, content: str) -> str:
    with io.BytesIO() as packed:
        with tarfile.open(fileobj=packed, mode="w") as archive:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content.encode()))
        return packed.getvalue().decode("latin-1")


def _claim(name: str, container_id: str | None, cwd: str | None, *, works: bool = False) -> Attack:
    def run(scene: "EngineScene") -> bytes:
        return scene.claim(container_id=container_id, cwd=cwd)

    return Attack(f"behind a bridge, from {name}", "engine-claims", run, works)


def _build(scene: "EngineScene") -> bytes:
    """Build an image of a person's, whose steps tell what is in it."""
    content = _pack("Dockerfile", scene.fill("FROM SECRET-IMAGE\nRUN cat /content\n"))
    head = scene.fill(_request("POST /build?version=1&t=PLANTED"))
    head = head.replace("Content-Length: 0", f"Content-Length: {len(content)}")
    return scene.say(head.encode() + content.encode("latin-1"))


_CALLS = [
    Attack(
        "the engine's own builder", "engine-calls", _build, works_without=True, tries=("audit-6",)
    ),
    *(
        _say(name, "images", _request(f"GET /images/{path}"), works=True, tries=("audit-2",))
        for name, path in {
            "an image saved": "SECRET-IMAGE/get",
            "images saved": "get?names=SECRET-IMAGE",
        }.items()
    ),
    *(
        _say(
            f"a path that is not normal: {path}",
            "calls",
            _request(f"GET {path}"),
            tries=("audit-2",),
        )
        for path in (
            "/images/SECRET-IMAGE%2fget",
            "/containers/json/../../images/SECRET-IMAGE/get",
            "/containers/json%2f..%2f..%2fimages/SECRET-IMAGE/get",
            "//images/SECRET-IMAGE/get",
            "/v1.44/v1.44/images/SECRET-IMAGE/get",
            "/V1.44/images/SECRET-IMAGE/get",
            "/networks/..%2fcontainers%2fPERSON-ID%2fjson",
            "http://docker/images/SECRET-IMAGE/get",
            "/images/IMAGE/json?x=1 HTTP/1.1\r\nHost: d\r\n\r\nGET /images/SECRET-IMAGE/get",
        )
    ),
]
_SMUGGLED = "GET /containers/PERSON-ID/json HTTP/1.1\r\nHost: d\r\n\r\n"
_FRAMES = {
    "a length and chunks": "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": "Content-Length: 0\r\nContent-Length: 80\r\n\r\n",
    "a length with a sign": "Content-Length: +0\r\n\r\n",
    "chunks in small print": "transfer-encoding: identity, chunked\r\n\r\n0\r\n\r\n",
    "a chunk with a bare LF": "Transfer-Encoding: chunked\r\n\r\n0\n\n",
    "a chunk that is too long": "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
    "an upgrade": "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n",
    "an upgrade to h2c": "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    "HTTP2-Settings: AAMAAABk\r\nContent-Length: 0\r\n\r\n",
    "a body of a call that has none": "Content-Length: 80\r\n\r\n",
}
_HEADS = [
    _say(
        f"smuggled behind {name} of {path}",
        "owned",
        f"POST {path} HTTP/1.1\r\nHost: d\r\n{rest}{_SMUGGLED}",
    )
    for name, rest in _FRAMES.items()
    for path in ("/containers/prune", "/containers/SEEN/attach?stdout=1&stream=1", "/grpc")
]

_JOINS: dict[str, dict[str, Any]] = {
    "its mode": {"HostConfig": {"NetworkMode": "NET"}},
    "an endpoint": {"NetworkingConfig": {"EndpointsConfig": {"NET": {}}}},
    "an endpoint by id": {"NetworkingConfig": {"EndpointsConfig": {"x": {"NetworkID": "NET-ID"}}}},
}
_OWNED = [
    *_walk("PERSON"),
    *_walk("OTHER"),
    *_walk("SEEN"),
    _say("a person's environment", "label", _request("GET /containers/NAMED-ID/json"), works=True),
    _say("a person's by its prefix", "label", _request("GET /containers/person/json"), works=True),
    _say(
        "a person's by its label", "prefix", _request("GET /containers/PERSON-ID/json"), works=True
    ),
    _say("another agent's", "owned", _request("GET /containers/OTHER-ID/json"), works=True),
    _say(
        "a container of an agent of this name of another installation",
        "installation",
        _request("GET /containers/TWIN-ID/json"),
        works=True,
    ),
    *(
        _say(f"{line} of another installation", "installation", _request(line))
        for line in (
            "GET /containers/TWIN/json",
            "POST /containers/TWIN-ID/stop?t=0",
            "DELETE /containers/TWIN-ID?force=1",
            "POST /containers/prune",
            "GET /containers/json?all=1",
        )
    ),
    _say("a person's volume", "owned", *_run(HostConfig={"Binds": ["VOLUME:/v"]})),
    _say("a command in a person's", "owned", _request("POST /exec/EXEC-ID/start", {}), works=True),
    _say(
        "stopping a person's", "owned", _request("POST /containers/PERSON-ID/stop?t=0"), works=True
    ),
    _say("renaming a person's", "owned", _request("POST /containers/PERSON-ID/rename?name=x")),
    _say("a copy of a person's", "owned", _request("GET /containers/PERSON-ID/export")),
    _say(
        "a commit of a person's", "owned", _request("POST /commit?container=PERSON-ID&repo=x", {})
    ),
    _say(
        "a command made in a person's",
        "owned",
        _request("POST /containers/SEEN/exec", {"Cmd": ["id"]}),
    ),
    _say(
        "a person's network, by its id",
        "owned",
        _create(HostConfig={"NetworkMode": "NET-ID"}),
        works=True,
    ),
    *(
        _say(f"a person's network as {name}", "owned", _create(**config))
        for name, config in _JOINS.items()
    ),
    _say(
        "a person's network, joined",
        "owned",
        _create(),
        _request("POST /networks/NET-ID/connect", {"Container": "made"}),
        works=True,
    ),
    _say(
        "a person's container in a network of the agent's",
        "owned",
        _request("POST /networks/create", {"Name": "n"}),
        _request("POST /networks/n/connect", {"Container": "PERSON-ID"}),
        works=True,
    ),
    *(
        _say(
            f"{key} = {mode}",
            "owned",
            _create(HostConfig={key: mode}),
        )
        for key in ("PidMode", "IpcMode", "NetworkMode", "UTSMode", "UsernsMode", "CgroupnsMode")
        for mode in ("container:PERSON-ID", "container:PERSON", "host")
    ),
    _say("volumes of a person's", "owned", _create(HostConfig={"VolumesFrom": ["PERSON-ID"]})),
    _say("a beginning of an id", "owned", _request("GET /containers/PERSON-PART/json")),
    _say("a list of all", "owned", _request("GET /containers/json?all=1&size=1")),
    _say(
        "the environment of a container to look at",
        "read",
        _request("GET /containers/SEEN/json"),
        works=True,
    ),
    _say(
        "all volumes, pruned",
        "narrow",
        _request("POST /volumes/prune?" + "filters=%7B%22all%22%3A%5B%22true%22%5D%7D"),
        works=True,
    ),
    *(
        _say(
            f"{path} by the label {label}",
            "owned",
            _request(f"GET /{path}?all=1&filters=%7B%22label%22%3A%5B%22{label}%22%5D%7D"),
        )
        for path in ("containers/json", "networks", "volumes")
        for label in ("airlock.agent%3Dother", "Airlock.agent", "a%3Db")
    ),
]

_PROCESSES = [
    _say(
        f"processes of the host by {args}",
        "processes",
        _create(Cmd=["sleep", "60"]),
        _request("POST /containers/made/start"),
        _request(f"GET /containers/made/top?ps_args={quote(args)}"),
        works=args == "-C planted -o args,pid",
    )
    for args in (
        "-C planted -o args,pid",
        "-C planted -o pid,args",
        "-N -o args,pid",
        "-eo args,pid",
        "-o pid,args -C planted",
        "-o pid -o args",
        "-ef\n-C planted",
        "-o pid=PID,args=x",
    )
]

_HOST: dict[str, Any] = {
    "Privileged": True,
    "PidMode": "host",
    "UTSMode": "host",
    "UsernsMode": "host",
    "CgroupParent": "/",
    "Runtime": "io.containerd.runc.v2",
    "VolumeDriver": "local",
    "Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/x", "CgroupPermissions": "r"}],
    "DeviceRequests": [{"Count": -1, "Capabilities": [["gpu"]]}],
    "DeviceCgroupRules": ["c 1:3 rwm"],
    "Sysctls": {"net.ipv4.ip_forward": "1"},
    "Links": ["PERSON:x"],
    "OomKillDisable": True,
    "SecurityOpt": ["seccomp=unconfined"],
    "CapAdd": ["SYS_ADMIN"],
    "MaskedPaths": [],
    "ReadonlyPaths": [],
    "RestartPolicy": {"Name": "always"},
    "LogConfig": {"Type": "syslog"},
    "StorageOpt": {"size": "1"},
    "BlkioWeight": 500,
    "CgroupnsMode": "host",
    "IpcMode": "host",
    "NetworkMode": "host",
    "PublishAllPorts": True,
    "Annotations": {"a": "b"},
}
_TAKEN = ("Privileged", "PidMode", "UTSMode", "CgroupParent", "DeviceCgroupRules", "Devices")
_FIELDS = [
    *(
        _say(
            f"a container with {key}",
            "fields",
            _create(HostConfig={key: value}),
            works=key in _TAKEN,
        )
        for key, value in _HOST.items()
        if key != "PublishAllPorts"
    ),
    *(
        _say(
            f"a container with {written}",
            "fields",
            _create(HostConfig={written: value}),
        )
        for key, value in _HOST.items()
        for written in (key.lower(), key.upper())
    ),
    *(
        _say(
            f"a container with {key}",
            "fields",
            _create(**dict[str, Any]({key: {"Privileged": True}})),
        )
        for key in ("Ho\u017ftConfig", "HO\u017fTCONFIG")
    ),
    _say(
        "a configuration twice",
        "bodies",
        _request(
            "POST /containers/create?name=made",
            '{"Image":"IMAGE","HostConfig":{"Privileged":true},"HostConfig":{}}',
        ),
        works=True,
    ),
    *(
        _say(f"a body with {name}", "bodies", _request("POST /containers/create?name=made", body))
        for name, body in {
            "another one behind it": '{"Image":"IMAGE"}{"HostConfig":{"Privileged":true}}',
            "a key twice, escaped": '{"Image":"IMAGE","HostConfig":{},'
            '"\\u0048ostConfig":{"Privileged":true}}',
            "a byte order mark": '\u00ef\u00bb\u00bf{"Image":"IMAGE"}',
            "a comment": '{"Image":"IMAGE"/*,*/}',
            "UTF-16": '{"Image":"IMAGE"}'.encode("utf-16").decode("latin-1"),
        }.items()
    ),
    _say(
        "a command with privileges",
        "fields",
        _create(Cmd=["sleep", "60"]),
        _request("POST /containers/made/start"),
        _request("POST /containers/made/exec", {"Cmd": ["id"], "Privileged": True}),
    ),
    *(
        _say(
            f"a volume of the host: {options['device']}",
            "fields",
            _request(
                "POST /volumes/create", {"Name": "v", "Driver": "local", "DriverOpts": options}
            ),
            *_run(HostConfig={"Binds": ["v:/v"]}, Cmd=["cat", "/v/file"]),
        )
        for options in (
            {"type": "none", "o": "bind", "device": "ROOT/secret"},
            {"type": "overlay", "o": "lowerdir=ROOT/secret:/etc", "device": "overlay"},
        )
    ),
    _say(
        "a volume of the host, in a mount",
        "fields",
        *_run(
            Cmd=["cat", "/v/file"],
            HostConfig={
                "Mounts": [
                    {
                        "Type": "volume",
                        "Target": "/v",
                        "VolumeOptions": {
                            "DriverConfig": {
                                "Name": "local",
                                "Options": {"type": "none", "o": "bind", "device": "ROOT/secret"},
                            }
                        },
                    }
                ]
            },
        ),
    ),
    *(
        _say(
            f"a network with {key}",
            "fields",
            _request("POST /networks/create", {"Name": "n", key: value}),
        )
        for key, value in {
            "Driver": "macvlan",
            "Options": {"com.docker.network.bridge.name": "docker0"},
            "IPAM": {"Config": [{"Subnet": "169.254.0.0/16"}]},
            "ConfigFrom": {"Network": "host"},
        }.items()
    ),
    _say(
        "a network that leads out",
        "fields",
        _request("POST /networks/create", {"Name": "n", "Internal": False}),
        _create(HostConfig={"NetworkMode": "n"}),
    ),
]

_BINDS = [
    *(
        _say(
            f"a bind of {source}",
            "binds",
            *_run(HostConfig={"Binds": [f"{source}:/v"]}, Cmd=["cat", "/v/file"]),
            works=source == "ROOT/secret",
        )
        for source in (
            "ROOT/secret",
            "/",
            "/work/../../ROOT/secret",
            "/work/..",
            "/work/.",
            "/work//",
            "/work/%2e%2e",
            "/var/lib/docker",
            "/proc/1/root",
            "/workspace",
            "/work2",
            "\\\\ROOT\\secret",
            "./secret",
        )
    ),
    *(
        _say(
            f"a mount of {mount['Type']} {mount.get('Source', '')}",
            "binds",
            *_run(HostConfig={"Mounts": [{"Target": "/v", **mount}]}, Cmd=["cat", "/v/file"]),
        )
        for mount in (
            {"Type": "bind", "Source": "ROOT/secret"},
            {"Type": "BIND", "Source": "ROOT/secret"},
            {"Type": "npipe", "Source": "ROOT/secret"},
            {"Type": "cluster", "Source": "x"},
            {"Type": "volume", "Source": "ROOT/secret"},
            {"Type": "volume", "Source": "VOLUME"},
            {"Type": "volume", "Source": "../VOLUME"},
            {"Type": "volume", "Source": "x", "VolumeOptions": {"Subpath": "../../.."}},
            {"Type": "bind", "Source": "/work", "BindOptions": {"Propagation": "rshared"}},
        )
    ),
    _say(
        "a workspace's volume by its name",
        "binds",
        *_run(HostConfig={"Binds": ["airlockroot-mine-0:/v"]}),
    ),
    _say(
        "root in a workspace",
        "owner",
        _create(User="0", HostConfig={"Binds": ["/work:/v"]}),
        works=True,
    ),
    _say(
        "a capability in a workspace",
        "owner",
        _create(HostConfig={"Binds": ["/work:/v"], "CapAdd": ["CHOWN"]}),
    ),
    _say(
        "the path of a workspace",
        "answers",
        _create(HostConfig={"Binds": ["/work:/v"]}),
        _request("GET /containers/made/json"),
        works=True,
    ),
]


def _follow(scene: "EngineScene") -> bytes:
    link = scene.workspace / "link"
    link.unlink(missing_ok=True)
    link.symlink_to(scene.root / "secret")
    return scene.say(*_run(HostConfig={"Binds": ["/work/link:/v"]}, Cmd=["cat", "/v/file"]))


def _load(scene: "EngineScene") -> bytes:
    """Save the image that is granted, and load it by a name that a person may run."""
    saved = scene.say(_request("GET /images/IMAGE/get"))
    archive = _unchunk(saved.partition(b"\r\n\r\n")[2])
    with io.BytesIO() as packed:
        with (
            tarfile.open(fileobj=io.BytesIO(archive)) as found,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as made,
        ):
            for each in found.getmembers():
                file = found.extractfile(each)
                content = b"" if file is None else file.read()
                if each.name == "manifest.json":
                    content = json.dumps(
                        [{**json.loads(content)[0], "RepoTags": [scene.fill("PLANTED:1")]}]
                    ).encode()
                each.size = len(content)
                made.addfile(each, io.BytesIO(content))
        content = packed.getvalue()
    head = _request("POST /images/load").replace("LENGTH", str(len(content)))
    return scene.say(head.encode() + content)


def _unchunk(body: bytes) -> bytes:
    found = b""
    while body:
        line, _, body = body.partition(b"\r\n")
        size = int(line, 16)
        found += body[:size]
        body = body[size + 2 :]
        if not size:
            break
    return found


_BUILDER = "buildx_buildkit_x"
_BUILDERS = [
    _say(
        f"root's file in a builder, by exec as {user or 'nobody in particular'}",
        "builder",
        _create(_BUILDER, User="0", Cmd=["sleep", "60"]),
        _request(f"POST /containers/{_BUILDER}/start"),
        _request(
            f"POST /containers/{_BUILDER}/exec",
            {"User": user, "Cmd": ["cat", "/content"], "AttachStdout": True},
        ),
        _request(f"GET /containers/{_BUILDER}/archive?path=/content"),
    )
    for user in ("", "0", "root", "0:0")
]


def _enter(scene: "EngineScene") -> bytes:
    """Execute a command as root in a builder, which a client can only by the id of the exec."""
    words = {"User": "0", "Cmd": ["cat", "/content"], "AttachStdout": True, "Tty": True}
    made = scene.say(
        _create(_BUILDER),
        _request(f"POST /containers/{_BUILDER}/start"),
        _request(f"POST /containers/{_BUILDER}/exec", words),
    )
    found = re.findall(rb'"Id":"([0-9a-f]{64})"', made)
    return scene.say(_request(f"POST /exec/{found[-1].decode()}/start", {})) if found else made


_SERVICE = "http://$(ip route | sed -n 's,^\\([0-9.]*\\)\\.0/.*,\\1.1,p'):SERVICE/"
_HOSTS = [
    _say(
        "a service of the host, by the first address of the network",
        "isolated",
        *_run(Cmd=["sh", "-c", f"wget -T 3 -qO- {_SERVICE}"]),
        works=True,
    ),
]

_IMAGES = [
    _say("a person's image, run", "images", *_run(Image="SECRET-IMAGE"), works=True),
    _say("a person's image, by id", "images", *_run(Image="SECRET-IMAGE-ID"), works=True),
    _say(
        "a person's image, named",
        "images",
        _request("POST /images/SECRET-IMAGE/tag?repo=mine"),
        *_run(Image="mine"),
    ),
    _say(
        "a person's image, pulled",
        "images",
        _request("POST /images/create?fromImage=SECRET-IMAGE&tag=latest"),
        *_run(Image="SECRET-IMAGE"),
    ),
    _say("a person's image, removed", "images", _request("DELETE /images/SECRET-IMAGE?force=1")),
    _say("a granted image, removed", "images", _request("DELETE /images/IMAGE?force=1")),
    _say(
        "a granted image, replaced",
        "images",
        _create(),
        _request("POST /commit?container=made&repo=IMAGE", {}),
    ),
    _say(
        "a name that a person runs",
        "names",
        _request("POST /images/IMAGE/tag?repo=PLANTED&tag=1"),
        works=True,
    ),
    _say(
        "a name that a person runs, by a commit",
        "names",
        _create(),
        _request("POST /commit?container=made&repo=PLANTED&tag=1", {}),
        works=True,
    ),
    _say(
        "a name that a person runs, by an archive",
        "names",
        _request("POST /images/create?fromSrc=-&repo=PLANTED&tag=1", _pack("a", "b")),
        works=True,
    ),
    Attack("a name that a person runs, loaded", "engine-names", _load, works_without=True),
    _say(
        "a name of another agent's",
        "names",
        _request("POST /images/IMAGE/tag?repo=airlock.invalid/other/x&tag=1"),
    ),
    _say(
        "an address that the engine would ask",
        "fields",
        _request("POST /images/create?fromSrc=http%3A%2F%2F127.0.0.1%3A1%2Fx&repo=x"),
    ),
    _say(
        "labels that a person's programs obey",
        "labels",
        _create(Labels={"com.docker.compose.project": "mine", "traefik.enable": "true"}),
        works=True,
    ),
    _say(
        "labels that an image brings",
        "labels",
        _create(),
        _request(
            f"POST /commit?container=made&repo=x&changes={quote('LABEL ofelia.job-run.x=y')}", {}
        ),
        _create("two", Image="x"),
    ),
    _say(
        "labels of Airlock's",
        "fields",
        _create(Labels={"airlock.agent": "other"}),
        _create("two", Labels={"AIRLOCK.user": ""}),
    ),
]


_PORTS = [
    _say(
        f"a port of another's container, by {query}",
        "ports",
        f"POST /airlock/connect?{query} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n"
        "GET /file HTTP/1.0\r\n\r\n",
        works=query == "port=7777",
    )
    for query in (
        "port=7777",
        "port=80",
        "port=7777&container=PERSON-ID",
        "port=80&address=127.0.0.1",
        "port=07777",
        "port=7777%00",
        "port=65536",
    )
]

_BRIDGES = [
    *_walk("BRIDGE"),
    _say("the bridge's container", "owned", _request("GET /containers/BRIDGE-ID/json"), works=True),
    *(
        _say(
            f"the volume of a bridge as {name}",
            "bridge",
            *_run(HostConfig=config, Cmd=["ls", "/v"]),
            works=name in ("a bind", "a mount"),
        )
        for name, config in {
            "a bind": {"Binds": ["BRIDGE-VOLUME:/v"]},
            "a mount": {"Mounts": [{"Type": "volume", "Source": "BRIDGE-VOLUME", "Target": "/v"}]},
            "its directory": {"Binds": ["/var/lib/docker/volumes/BRIDGE-VOLUME/_data:/v"]},
            "that of its container": {"VolumesFrom": ["BRIDGE-ID"]},
        }.items()
    ),
    _say(
        "all volumes of bridges",
        "owned",
        _request("GET /volumes?filters=%7B%22label%22%3A%5B%22airlock.bridge%22%5D%7D"),
    ),
    _claim("a person's container", "PERSON-ID", "/volume", works=True),
    _claim("a container by a beginning of its id", "PERSON-PART", "/volume"),
    _claim("a container by its name", "PERSON", "/volume"),
    _claim("a directory of the host", None, "ROOT/secret"),
    _claim("no directory", None, None),
]


ENGINE_FAMILIES = (
    Family("engine-calls", (*_CALLS, *_HEADS), engine.why_not),
    Family("engine-owned", (*_OWNED, *_PROCESSES), engine.why_not),
    Family("engine-fields", (*_FIELDS, *_HOSTS), engine.why_not),
    Family(
        "engine-builders",
        (*_BUILDERS, Attack("root in a builder", "engine-builder", _enter, works_without=True)),
        engine.why_not,
    ),
    Family(
        "engine-binds",
        (
            *_BINDS,
            Attack("a link in a workspace", "engine-links", _follow, works_without=True),
            Attack(
                "the engine's socket in place of the agent's",
                "engine-sockets",
                lambda scene: scene.mount_replaced(),
                works_without=True,
            ),
        ),
        engine.why_not,
    ),
    Family("engine-images", tuple(_IMAGES), engine.why_not),
    Family("engine-ports", tuple(_PORTS), engine.why_not),
    Family("engine-bridges", tuple(_BRIDGES), engine.why_not),
)
"""All attacks on the broker of an engine."""
