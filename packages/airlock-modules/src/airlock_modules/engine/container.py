"""Reads the body of `POST /containers/create` and writes it anew.

A container of an agent has no more of the host than its image, its agent's network, its own
volumes, and workspaces of the agent. Each key of the API is in one of three groups: listed with its
values; listed as `dropped`, if only a default that is not zero passes; or not listed, so that only
zero passes (`Privileged`, `Devices`, `PidMode`, `Sysctls`, ...).
"""

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from airlock_modules.engine.egress import (
    SECOND,
    Egress,
    ImageConfig,
    is_hidden,
    is_short,
    lead_out,
    may_lead_out,
)
from airlock_modules.engine.grant import DockerGrant, Root, is_below
from airlock_modules.engine.images import read_image_reference
from airlock_modules.engine.names import (
    IMAGE_LABEL,
    PORTS_LABEL,
    USER_LABEL,
    Ownership,
    cover_labels,
    labels,
)
from airlock_modules.engine.ports import Ports, write_ports
from airlock_modules.engine.strict import (
    Reference,
    Refused,
    Value,
    decode,
    dropped,
    either,
    flag,
    items,
    malformed,
    mapping,
    not_granted,
    number,
    one_of,
    read_reference,
    record,
    text,
    unused,
)
from airlock_wire.text import quote

OWN_NETWORK = "default"
"""The client's name of the network that each container of its agent is in, unless it names one."""
ENGINE_SOCKETS = ("/var/run/docker.sock", "/run/docker.sock", "/run/airlock/docker.sock")
"""Binds of the engine's socket, which become the agent's own: where tools expect it, and where its
container has it.
"""

# Docker's default capabilities.
CAPABILITIES = (
    *(
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
    ),
    *("NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
)
_ULIMITS = ("core", "fsize", "memlock", "nofile", "nproc", "sigpending", "stack")
_NO_NEW_PRIVILEGES = ("no-new-privileges", "no-new-privileges:true", "no-new-privileges=true")
# Bounds what a container's output takes of the host's disk. SDKs read this driver's.
_LOG = {"Type": "json-file", "Config": {"max-size": "20m", "max-file": "3"}}
_PORT = re.compile(r"([1-9][0-9]{0,4})(?:/(tcp|udp))?")
_MAX_PORT = 65_535
_LOOPBACK_OR_ALL = one_of("", "0.0.0.0", "127.0.0.1", "::", "::1")  # noqa: S104 - never listened on
_NETWORK_DEFAULTS = ("", "default", "bridge")
JOINS = "container:"
"""Before the container whose network another one has, as its mode."""
# What a bind's mode may say besides ro: the default, or a hint of other systems.
_IGNORED_MODES = frozenset({"rw", "cached", "delegated", "consistent", "nocopy"})
_MINIMUM_MEMORY = 6 << 20


class Bind(Struct, frozen=True):
    """A path of the client that its container mounts at `target`."""

    source: str
    target: str
    is_read_only: bool


class ContainerOrder(Struct, frozen=True, kw_only=True):
    """A container as it will be created, but for references.

    `image` is what the client wrote. `user` is whom a container with a workspace, or a
    builder, runs as, "" for any. `ports` are those to publish at the agent's loopback, with the
    port there, 0 for any; `publishes_all` adds those of the image. `unpublished` are ports that
    nothing publishes.
    """

    body: Mapping[str, Value]
    image: str
    user: str
    ports: Mapping[int, int] = {}
    publishes_all: bool = False
    unpublished: tuple[str, ...] = ()

    def publish(self, ports: Ports) -> "ContainerOrder":
        """The order with the ports that were chosen for it."""
        marks = {**_as_object(self.body["Labels"]), PORTS_LABEL: write_ports(ports)}
        return replace(self, body={**self.body, "Labels": marks})

    def run_as(self, user: str) -> "ContainerOrder":
        """The order with all of its commands run by this user."""
        marks = {**_as_object(self.body["Labels"]), USER_LABEL: user}
        return replace(self, user=user, body={**self.body, "User": user, "Labels": marks})

    def cover(self, image: ImageConfig) -> "ContainerOrder":
        """The order with labels that cover those of its image, and no shorter intervals there."""
        marks = cover_labels(_as_object(self.body["Labels"]), image.labels)
        own = _as_object(self.body.get("Healthcheck") or {})
        # The image's stands for 0.
        more = {name: SECOND for name in image.hurries if not own.get(name)}
        health = {"Healthcheck": {**own, **more}} if more else {}
        return replace(self, body={**self.body, "Labels": marks, **health})

    def lead_out(self, egress: Egress, image: ImageConfig) -> "ContainerOrder":
        """The order with a way out, if the container has a use for one."""
        body = lead_out(self.body, egress, image) if may_lead_out(self.body) else self.body
        return replace(self, body=body)


_words = either(list, items(text()), text())
_path = text(r"/[^\x00-\x1f:]*", limit=4096)
_hostname = text(r"[A-Za-z0-9_.-]{0,253}")


def _read_port(value: object, place: str) -> Value:
    found = _PORT.fullmatch(value) if isinstance(value, str) else None
    if found is None or int(found[1]) > _MAX_PORT:
        raise not_granted(place, value)
    return f"{found[1]}/{found[2] or 'tcp'}"


_binding = record(
    {
        "HostIp": _LOOPBACK_OR_ALL,
        "HostPort": text(r"|[0-9]{1,5}"),
    }
)


def _read_network_mode(value: object, place: str) -> Value:
    if not isinstance(value, str):
        raise malformed(f"{place} is no text")
    if value in _NETWORK_DEFAULTS:
        return Reference("network", OWN_NETWORK)
    if value == "none":
        return value
    if value == "host":
        raise not_granted(place, value)
    if value.startswith(JOINS):
        found = read_reference("container", value.removeprefix(JOINS), place)
        return Reference("container", found.text, before=JOINS)
    return read_reference("network", value, place)


def _read_network_name(value: object, place: str) -> Value:
    if value in _NETWORK_DEFAULTS:
        return Reference("network", OWN_NETWORK)
    if value in ("host", "none") or not isinstance(value, str):
        raise not_granted(place, value)
    return read_reference("network", value, place)


endpoint = record({"Aliases": items(_hostname, limit=50)})
"""How a container is in a network: by further names, and nothing else of its own choice."""


_endpoints = mapping(_read_network_name, either(dict, endpoint, dropped(None)))
_nothing = either(dict, record({}), dropped(None))


def _read_endpoints(value: object, place: str) -> Value:
    """The endpoints by network; some clients write an empty one where there is no network."""
    if not isinstance(value, dict):
        raise malformed(f"{place} is no object")
    kept = {}
    for name, inner in value.items():
        if name == "none" or name.startswith(JOINS):
            _nothing(inner, f"{place}.{quote(name, limit=80)}")
        else:
            kept[name] = inner
    return _endpoints(kept, place)


def _read_capability(value: object, place: str) -> Value:
    name = value.upper().removeprefix("CAP_") if isinstance(value, str) else ""
    if name not in CAPABILITIES:
        raise not_granted(place, value)
    return name


_mount = record(
    {
        "Type": one_of("bind", "volume", "tmpfs"),
        "Source": text(limit=4096),
        "Target": _path,
        "ReadOnly": flag,
        "Consistency": dropped("", "default", "consistent", "cached", "delegated"),
        "BindOptions": record(
            {"Propagation": dropped("", "rprivate"), "CreateMountpoint": dropped(True, False)}
        ),
        "VolumeOptions": record(
            {
                "NoCopy": flag,
                "Labels": labels,
                "Subpath": text(r"[^\x00-\x1f]*", limit=4096),
                "DriverConfig": record({"Name": dropped("", "local")}),
            }
        ),
        "TmpfsOptions": record({"SizeBytes": number(0), "Mode": number(0, 0o1777)}),
    }
)
# An engine takes flags of any mount. "remount" is for what is there already, and the target may be
# a link of the image to it: a read-only mount of the host would become writable.
_TMPFS_OPTION = (
    "defaults|rw|ro|exec|noexec|suid|nosuid|nodev|(?:no|rel|strict)atime|"
    "(?:size|nr_blocks|nr_inodes)=[0-9]{1,18}[kKmMgG%]?|mode=[0-7]{1,5}|[ug]id=[0-9]{1,10}"
)
_tmpfs = text(f"(?:(?:{_TMPFS_OPTION})(?:,(?:{_TMPFS_OPTION})){{0,20}})?", limit=400)
_ulimit = record({"Name": one_of(*_ULIMITS), "Soft": number(-1), "Hard": number(-1)})
_restart = record({"Name": dropped("", "no"), "MaximumRetryCount": dropped(0)})

_host_config = record(
    {
        "AutoRemove": flag,
        "Binds": items(text(limit=8192)),
        "CapAdd": items(_read_capability),
        "CapDrop": items(text("(?:[Cc][Aa][Pp]_)?[A-Za-z_]{1,30}")),
        "CgroupnsMode": dropped("", "private"),
        "ConsoleSize": items(number(0, 65_535), limit=2),
        # Where the client writes the id, which concerns the client alone.
        "ContainerIDFile": unused(text()),
        "CpuPeriod": number(0, 1_000_000),
        "CpuQuota": number(-1),
        "CpuShares": number(0, 1 << 18),
        "ExtraHosts": items(text(r"[A-Za-z0-9_.-]{1,253}[:=][0-9A-Fa-f:.\[\]]{1,45}")),
        "GroupAdd": items(text(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}")),
        "Init": flag,
        "IpcMode": one_of("", "private", "none", "shareable"),
        "Isolation": dropped("", "default"),
        "LogConfig": record({}),
        "MaskedPaths": dropped(None),
        "Memory": number(0),
        "MemoryReservation": number(0),
        "MemorySwap": number(-1),
        "MemorySwappiness": dropped(-1),
        "Mounts": items(_mount, limit=100),
        "NanoCpus": number(0),
        "NetworkMode": _read_network_mode,
        "OomScoreAdj": number(0, 1000),
        "PidsLimit": number(-1),
        "PortBindings": mapping(_read_port, items(_binding, limit=4), limit=100),
        "PublishAllPorts": flag,
        "ReadonlyPaths": dropped(None),
        "ReadonlyRootfs": flag,
        "RestartPolicy": _restart,
        "SecurityOpt": items(dropped(*_NO_NEW_PRIVILEGES)),
        "ShmSize": number(0),
        "Tmpfs": mapping(_path, _tmpfs, limit=100),
        "Ulimits": items(_ulimit, limit=20),
    }
)


def _read_interval(value: object, place: str) -> Value:
    found = number(0)(value, place)
    if is_short(found):
        raise Refused(
            f"{place} = {found} is less than a second",
            hint="have the container's health checked each second at most",
            rule="health",
        )
    return found


_healthcheck = record(
    {
        "Test": items(text()),
        "Interval": _read_interval,
        "Timeout": number(0),
        "Retries": number(0, 1000),
        "StartPeriod": number(0),
        "StartInterval": _read_interval,
    }
)
_container = record(
    {
        "AttachStderr": flag,
        "AttachStdin": flag,
        "AttachStdout": flag,
        "Cmd": _words,
        "Domainname": _hostname,
        "Entrypoint": _words,
        "Env": items(text()),
        "ExposedPorts": mapping(_read_port, record({}), limit=1000),
        "Healthcheck": _healthcheck,
        "HostConfig": _host_config,
        "Hostname": _hostname,
        "Image": text(limit=255),
        "Labels": labels,
        "NetworkDisabled": flag,
        "NetworkingConfig": record({"EndpointsConfig": _read_endpoints}),
        "OpenStdin": flag,
        "Shell": items(text()),
        "StdinOnce": flag,
        "StopSignal": text("[A-Za-z0-9+-]{0,20}"),
        "StopTimeout": number(0, 3600),
        "Tty": flag,
        "User": text(r"[A-Za-z0-9_.$:-]{0,100}"),
        "Volumes": mapping(_path, record({})),
        "WorkingDir": text(limit=4096),
    }
)


def read_container(
    body: bytes, *, name: str, grant: DockerGrant, ownership: Ownership
) -> ContainerOrder:
    """Read the body; `name` is the container's as the client calls it. Raises Refused."""
    found: dict[str, Any] = _as_object(_container(decode(body), ""))
    host: dict[str, Any] = _as_object(found.pop("HostConfig", {}))
    image = found.get("Image", "")
    networks = _as_object(_as_object(found.pop("NetworkingConfig", {})).get("EndpointsConfig", {}))
    mounts = list(_read_mounts(host, found, grant, ownership))
    ports = _read_ports(host.pop("PortBindings", {}))
    publishes_all = host.pop("PublishAllPorts", False)
    if publishes_all:
        ports |= {port: 0 for port in found.get("ExposedPorts", {}) if port not in ports}
    owners = [each.user for _, each in mounts if each is not None]
    user = "" if grant.root_binds or not owners else owners[0]
    if user:
        _run_as(user, owners, found, host)
    _limit(host, grant)
    host["Mounts"] = [mount for mount, _ in mounts]
    host["SecurityOpt"] = ["no-new-privileges"]
    # Where cgroups are of version 1, the engine's default is the host's.
    host["CgroupnsMode"] = "private"
    host["LogConfig"] = _LOG
    if grant.publishes_on_host:
        host["PortBindings"] = {
            port: [{"HostIp": "127.0.0.1", "HostPort": str(number or "")}]
            for port, number in ports.items()
        }
    mode = host.setdefault("NetworkMode", Reference("network", OWN_NETWORK))
    # Each is always there, so that none is inherited from the image.
    marks = {IMAGE_LABEL: image, USER_LABEL: user, PORTS_LABEL: ""}
    found["Labels"] = ownership.add_labels({**found.get("Labels", {}), **marks})
    found["Image"] = read_image_reference(image, "Image")
    found["HostConfig"] = host
    found["NetworkingConfig"] = {"EndpointsConfig": _join_networks(mode, networks, name)}
    # Where the container has an address of its own, and no port of the host is granted.
    has_loopback = isinstance(mode, Reference) and mode.kind == "network"
    published = {port for port in ports if has_loopback and port.endswith("/tcp")}
    left = set[str]() if grant.publishes_on_host else set(ports) - published
    return ContainerOrder(
        body=found,
        image=image,
        user=user,
        ports={}
        if grant.publishes_on_host
        else {int(port.partition("/")[0]): ports[port] for port in published},
        publishes_all=publishes_all and has_loopback and not grant.publishes_on_host,
        unpublished=tuple(sorted(left)),
    )


def _as_object(value: Value) -> dict[str, Any]:
    """The object that a `record` or `mapping` has read."""
    if not isinstance(value, dict):
        raise TypeError(value)
    return value


def _read_ports(bindings: Mapping[str, Any]) -> dict[str, int]:
    """The published ports with the client's port for each, 0 for any."""
    ports: dict[str, int] = {}
    for port, wanted in bindings.items():
        numbers = {int(each.get("HostPort") or 0) for each in wanted} or {0}
        if len(numbers) > 1 or max(numbers) > _MAX_PORT:
            raise not_granted(f"HostConfig.PortBindings.{port}", wanted)
        ports[port] = numbers.pop()
    return ports


def _join_networks(mode: Value, networks: Mapping[Any, Any], name: str) -> dict[Any, Any]:
    """The networks of a container, in each of which it has its client's name."""
    joined = dict(networks)
    if isinstance(mode, Reference) and mode.kind == "network":
        joined.setdefault(mode, {})
    elif joined:
        # The engine has no endpoints beside another's network, or beside none.
        raise not_granted("NetworkingConfig.EndpointsConfig", [each.text for each in joined])
    return {
        network: {"Aliases": list(dict.fromkeys([name, *(own or {}).get("Aliases", ())]))}
        for network, own in joined.items()
    }


def _run_as(user: str, owners: list[str], found: dict[str, Any], host: dict[str, Any]) -> None:
    """Let a container with a workspace do there what the workspace's owner may, and no more."""
    if len(set(owners)) > 1:
        raise Refused(
            "the container mounts workspaces of different owners",
            hint="mount one of them, or set root_binds = true in [docker] of the profile",
        )
    for key in ("CapAdd", "GroupAdd"):
        if host.get(key):
            raise Refused(
                f"HostConfig.{key} is not granted beside a mounted workspace",
                hint="leave it out, or set root_binds = true in [docker] of the profile: a "
                "container may then act on the workspace as root of the host",
            )
    found["User"] = user
    host["CapDrop"] = ["ALL"]


def _limit(host: dict[str, Any], grant: DockerGrant) -> None:
    """Bound memory and processes by the profile's limits."""
    memory = min(host.get("Memory") or grant.memory, grant.memory)
    host["Memory"] = max(memory, _MINIMUM_MEMORY)
    # Equal to Memory: no swap beside it.
    host["MemorySwap"] = host["Memory"]
    if host.get("MemoryReservation", 0) > host["Memory"]:
        host["MemoryReservation"] = host["Memory"]
    if host.get("ShmSize", 0) > host["Memory"]:
        host["ShmSize"] = host["Memory"]
    wanted = host.get("PidsLimit", 0)
    host["PidsLimit"] = min(wanted if wanted > 0 else grant.pids, grant.pids)


Mount = tuple[dict[str, Any], Root | None]


def _read_mounts(
    host: dict[str, Any], found: dict[str, Any], grant: DockerGrant, ownership: Ownership
) -> Iterator[Mount]:
    """The mounts as they are sent, with the workspace that each is of."""
    anonymous: dict[str, Any] = found.setdefault("Volumes", {})
    for line in host.pop("Binds", ()):
        mount = _read_bind(line)
        if mount is None:
            anonymous[line] = {}
        else:
            yield _place(mount, grant, ownership)
    for mount in host.pop("Mounts", ()):
        if not mount.get("Target"):
            raise malformed("HostConfig.Mounts has one without a Target")
        yield _place(mount, grant, ownership)


def _read_bind(line: str) -> dict[str, Any] | None:
    """Read `SOURCE:TARGET[:MODES]` as a mount; None for the path of an anonymous volume."""
    parts = line.split(":")
    if len(parts) == 1 and line.startswith("/"):
        return None
    if len(parts) not in (2, 3) or not all(parts) or not parts[1].startswith("/"):
        raise malformed(f"the bind {quote(line, limit=80)} is not SOURCE:TARGET[:ro]")
    modes = set(parts[2].split(",")) if len(parts) > 2 else set()
    if not modes <= _IGNORED_MODES | {"ro"} or {"ro", "rw"} <= modes:
        raise not_granted("HostConfig.Binds", line)
    kind = "bind" if parts[0].startswith("/") else "volume"
    mount = {"Type": kind, "Source": parts[0], "Target": parts[1], "ReadOnly": "ro" in modes}
    if kind == "volume" and "nocopy" in modes:
        mount["VolumeOptions"] = {"NoCopy": True}
    return mount


def _place(mount: dict[str, Any], grant: DockerGrant, ownership: Ownership) -> Mount:
    kind = mount.get("Type", "volume")
    places: dict[str, Callable[[], Mount]] = {
        "bind": lambda: _place_bind(
            Bind(mount.get("Source", ""), mount["Target"], mount.get("ReadOnly", False)), grant
        ),
        "volume": lambda: (_place_volume(mount, ownership), None),
        "tmpfs": lambda: (_keep(mount, "Type", "Target", "ReadOnly", "TmpfsOptions"), None),
    }
    return places[kind]()


def _keep(mount: dict[str, Any], *names: str) -> dict[str, Any]:
    if other := next((name for name in mount if name not in names and mount[name]), None):
        raise not_granted(f"HostConfig.Mounts.{other}", "...")
    return {name: mount[name] for name in names if name in mount}


def _place_volume(mount: dict[str, Any], ownership: Ownership) -> dict[str, Any]:
    kept = _keep(mount, "Type", "Source", "Target", "ReadOnly", "VolumeOptions")
    options = kept.setdefault("VolumeOptions", {})
    # The engine makes a volume that is not there: it must be the agent's.
    options["Labels"] = ownership.add_labels(options.get("Labels", {}))
    if options.get("Subpath"):
        _check_path(options["Subpath"], "VolumeOptions.Subpath")
    if kept.get("Source"):
        kept["Source"] = read_reference("volume", kept["Source"], "the volume")
    return kept


def _place_bind(bind: Bind, grant: DockerGrant) -> Mount:
    """The mount of a workspace, of what is below one, or of the agent's own socket."""
    target = posixpath.normpath(f"/{bind.target.lstrip('/')}")
    if is_hidden({"Type": "bind", "Destination": target}):
        # The container would not be judged again by it.
        raise Refused(
            f"{quote(bind.target, limit=80)} is where Airlock's own files are in a container",
            hint="mount it at another path",
        )
    mount = {"Type": "bind", "Target": bind.target, "ReadOnly": bind.is_read_only}
    if bind.source in ENGINE_SOCKETS and grant.socket:
        # Read-only keeps root in the container from changing the socket's mode; it can connect.
        return {**mount, "Source": grant.socket, "ReadOnly": True}, None
    source = bind.source.rstrip("/") or "/"
    _check_path(source, "the bind")
    root = _find_root(source, grant.roots)
    if root is None:
        mounted = ", ".join(each.inner for each in grant.roots) or "none"
        raise Refused(
            f"{quote(source, limit=200)} is no path of a workspace of this agent",
            hint=f"mount a workspace or a directory below one ({mounted}), or a volume",
        )
    if root.covered:
        # No path is safe beside it: by the time that the container starts, the agent can have put a
        # link there, or moved a directory with what is covered to it or into it.
        raise Refused(
            f"{quote(source, limit=200)} is in a workspace of which this agent sees a part masked, "
            f"read-only or mounted from elsewhere: {quote(root.covered[0])}",
            hint="use a volume, and copy into it what the container needs; a container of the "
            "agent that mounts the workspace alone, without [workspace] hide, can mount it",
            rule="covered",
        )
    mount["ReadOnly"] = bind.is_read_only or root.is_read_only
    if source == root.inner:
        # The engine must not make the directory: it was there when the agent was registered.
        options: dict[str, Any] = {"Propagation": "rprivate", "CreateMountpoint": False}
        return {**mount, "Source": root.outer, "BindOptions": options}, root
    # The engine opens a subpath without leaving the volume, whatever link takes its place.
    options = {"NoCopy": True, "Subpath": posixpath.relpath(source, root.inner)}
    volume = {**mount, "Type": "volume", "Source": Reference("root", root.outer)}
    return {**volume, "VolumeOptions": options}, root


def _check_path(path: str, place: str) -> None:
    """Raise Refused unless a path has one spelling: no `.`, `..`, empty segment or control."""
    segments = path.removeprefix("/").split("/")
    is_odd = any(each in (".", "..") or (not each and path != "/") for each in segments)
    if is_odd or not path.isprintable():
        raise malformed(f"{place} {quote(path, limit=80)} has a segment . or .., or an empty one")


def _find_root(path: str, roots: tuple[Root, ...]) -> Root | None:
    """The innermost workspace that a path is in."""
    found = [each for each in roots if is_below(path, each.inner)]
    return max(found, key=lambda each: len(each.inner), default=None)
