"""Rewrites the engine's answers: the client's names, and nothing of the host or of others.

What describes the engine or a person's container is composed of listed members alone. An agent's
own objects keep what the engine says of them, but for paths of the host and Airlock's labels.

A list is taken apart while it comes: it may have everybody's objects, with labels as long as an
agent could give an image. What is too long is left out, and never held as a whole.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from airlock_modules.engine.calls import OLDEST, Version
from airlock_modules.engine.container import ENGINE_SOCKETS
from airlock_modules.engine.egress import DIRECTORY, hide_line, hide_words, is_hidden
from airlock_modules.engine.grant import DockerGrant
from airlock_modules.engine.images import OwnImages, read_engine_name
from airlock_modules.engine.names import (
    IMAGE_LABEL,
    Ownership,
    rename_keys,
    show_labels,
)
from airlock_modules.engine.ports import list_bindings, list_rows, read_ports

Json = dict[str, Any]

_VERSION = ("Version", "Os", "Arch", "KernelVersion", "GoVersion", "GitCommit", "BuildTime")
_INFO = (
    *("OSType", "Architecture", "OperatingSystem", "KernelVersion", "NCPU", "MemTotal"),
    *("ServerVersion", "Driver", "CgroupDriver", "CgroupVersion", "SecurityOptions"),
    *("MemoryLimit", "SwapLimit", "CpuCfsPeriod", "CpuCfsQuota", "CPUShares", "CPUSet"),
    *("PidsLimit", "IPv4Forwarding", "OomKillDisable", "SystemTime", "DefaultRuntime"),
)
_READ_LIST = ("Id", "Names", "Created", "State", "Status")
_READ_STATE = (
    *("Status", "Running", "Paused", "Restarting", "OOMKilled", "Dead", "ExitCode"),
    *("StartedAt", "FinishedAt"),
)
# An image of a person's goes by its name alone: whoever knows its digest might ask for it by that.
_DIGEST = re.compile("(?:@?sha256:)?[0-9a-f]{64}")
# Of the host, in what the engine says of a container.
_HOST_ONLY = (
    *("ResolvConfPath", "HostnamePath", "HostsPath", "LogPath", "GraphDriver", "AppArmorProfile"),
    *("MountLabel", "ProcessLabel"),
)
_EXEC = (
    *("ID", "Running", "ExitCode", "ProcessConfig", "OpenStdin", "OpenStderr", "OpenStdout"),
    *("CanRemove", "ContainerID", "DetachKeys", "Pid"),
)
_IMAGE_NAMES = ("RepoTags", "RepoDigests")
# What runc says of a mount that fails, whose source is a path of the host; and where engines keep
# their own files.
_SOURCE = re.compile(
    r'(?<=error mounting )\\?"[^"]*"(?= to rootfs)|(?<=mount )/[^:]*(?=:)|(?<=mount src=)[^,]*|'
    r"/(?:var/|home/[^/]*/\.local/)?(?:lib|run|share)/(?:docker|containerd|containers|user)\b"
    r'[^\s":,]*'
)
_EVENT_ATTRIBUTES = ("exitCode", "signal", "execID", "image", "name")


class View(Struct, frozen=True, kw_only=True):
    """What an agent may see: `images` that it pulled or made, by id, and the `names` they got."""

    ownership: Ownership
    grant: DockerGrant
    version: Version
    images: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()

    @property
    def own_images(self) -> OwnImages:
        """The names at the engine of the images that it named."""
        return OwnImages(self.ownership.agent, self.ownership.installation)

    def sees_image(self, identity: str, names: list[str]) -> bool:
        """Whether it may use an image with this id and these names."""
        return identity in self.images or any(map(self._may_use, names))

    def sees_name(self, name: str) -> bool:
        """Whether it may see this name of an image that it may use."""
        return self._may_use(name) or str(read_engine_name(name)) in self.names

    def _may_use(self, name: str) -> bool:
        if name.startswith(self.own_images.prefix):
            return True
        image = read_engine_name(name)
        return image is not None and self.grant.may_use(image)


def spell_refusal(message: str, hint: str) -> bytes:
    """The body of a refusal, in the engine's own form for errors."""
    return msgspec.json.encode({"message": f"airlock: {message}; {hint}"})


def rewrite(name: str, answer: object, view: View) -> object:
    """The answer of the operation `name` as the client gets it. Raises KeyError for another's."""
    return _REWRITERS.get(name, _as_it_is)(answer, view)


def rewrite_error(answer: object, view: View) -> dict[str, str]:
    """The engine's own error, with the client's names and paths."""
    message = answer.get("message") if isinstance(answer, Mapping) else None
    cleaned = view.ownership.clean(str(message or "the engine failed without a reason"))
    cleaned = cleaned.replace(view.own_images.prefix, "")
    grant = view.grant
    seen = {root.outer: root.inner for root in grant.roots}
    seen |= {grant.egress: DIRECTORY, grant.socket: ENGINE_SOCKETS[0]}
    for outer in filter(None, seen):
        cleaned = cleaned.replace(outer, seen[outer])
    return {"message": _SOURCE.sub("(a path of the host)", cleaned)}


def _as_it_is(answer: object, _view: View) -> object:
    return answer


def _pick(found: Mapping[str, Any], names: tuple[str, ...]) -> Json:
    return {name: found[name] for name in names if name in found}


def _version(answer: Any, view: View) -> Json:
    spoken, oldest = (f"{each[0]}.{each[1]}" for each in (view.version, OLDEST))
    return {**_pick(answer, _VERSION), "ApiVersion": spoken, "MinAPIVersion": oldest}


def _info(answer: Any, view: View) -> Json:
    # Members that clients read without looking whether they are there.
    empty: Json = {
        "Plugins": {},
        "Swarm": {"LocalNodeState": "inactive"},
        "Warnings": None,
        "Labels": [],
    }
    return {**_pick(answer, _INFO), **empty, "Name": "airlock", "ID": view.ownership.agent}


def _list_containers(answer: Any, view: View) -> list[Json]:
    found = (_listed(each, view) for each in answer)
    return [each for each in found if each is not None]


def _listed(found: Json, view: View) -> Json | None:
    names, labels = found.get("Names") or [""], found.get("Labels") or {}
    if view.ownership.owns(names[0], labels):
        # As with an engine that publishes them, only one that runs has them.
        ports = read_ports(labels) if found.get("State") == "running" else {}
        return {
            **found,
            "Ports": list_rows(ports, found.get("Ports")),
            "Names": [view.ownership.inner(each) for each in names[:1]],
            "Command": hide_line(str(found.get("Command", ""))),
            "Image": labels.get(IMAGE_LABEL) or found.get("Image"),
            "Labels": show_labels(labels),
            "Mounts": _mounts(found, view),
            "NetworkSettings": (settings := _networks(found.get("NetworkSettings"), view)),
            "HostConfig": _name_mode(found.get("HostConfig") or {}, settings),
        }
    if view.grant.may_read(names[0]):
        empty = {"Command": "", "Ports": [], "Labels": {}, "Mounts": [], "HostConfig": {}}
        image = {"Image": _DIGEST.sub("", str(found.get("Image"))), "ImageID": ""}
        return {**_pick(found, _READ_LIST), **image, **empty, "NetworkSettings": {"Networks": {}}}
    return None


def _inspect_container(answer: Any, view: View) -> Json:
    name, config = answer.get("Name"), answer.get("Config") or {}
    labels = config.get("Labels") or {}
    if not view.ownership.owns(name, labels):
        if not view.grant.may_read(str(name)):
            raise KeyError(name)
        told = {"Image": _DIGEST.sub("", str(config.get("Image", "")))}
        return {
            **_pick(answer, ("Id", "Name", "Created", "RestartCount", "Platform")),
            "Image": "",
            "State": _pick(answer.get("State") or {}, _READ_STATE),
            "Config": {**_pick(config, ("Tty",)), **told, "Env": [], "Labels": {}, "Cmd": []},
            "HostConfig": {},
            "Mounts": [],
            "NetworkSettings": {"Networks": {}, "Ports": {}},
        }
    settings = _networks(answer.get("NetworkSettings"), view)
    state = dict(answer.get("State") or {})
    if state.get("Error"):
        # The runtime's words, with paths of the host.
        state["Error"] = "the answer to its start said why"
    host = _name_mode(answer.get("HostConfig") or {}, settings)
    host |= {"Binds": None, "ContainerIDFile": ""}
    if bindings := list_bindings(read_ports(labels)):
        host["PortBindings"] = bindings
        shown = bindings if state.get("Running") else {}
        settings = {**settings, "Ports": {**(settings.get("Ports") or {}), **shown}}
    image = labels.get(IMAGE_LABEL) or config.get("Image")
    first, *words = hide_words([str(answer.get("Path", "")), *(answer.get("Args") or ())]) or [""]
    entrypoint = hide_words(config.get("Entrypoint") or ()) or None
    own = {"Image": image, "Labels": show_labels(labels), "Entrypoint": entrypoint}
    return {
        **{key: value for key, value in answer.items() if key not in _HOST_ONLY},
        "Name": view.ownership.inner(str(name)),
        "State": state,
        "Path": first,
        "Args": words,
        "Config": {**config, **own},
        "HostConfig": {key: value for key, value in host.items() if key != "Mounts"},
        "Mounts": _mounts(answer, view),
        "NetworkSettings": settings,
    }


def _networks(settings: Any, view: View) -> Json:
    """The networks of a container by the client's names."""
    kept = {key: value for key, value in (settings or {}).items() if key != "SandboxKey"}
    networks = rename_keys(kept.get("Networks") or {}, view.ownership.inner)
    if isinstance(networks, dict):
        networks = {name: _endpoint(each, view) for name, each in networks.items()}
    return {**kept, "Networks": networks}


def _name_mode(host: Mapping[str, Any], settings: Json) -> Json:
    """The host's configuration, with the client's name of the network that it was made by."""
    names = {each.get("NetworkID"): name for name, each in settings["Networks"].items()}
    mode = host.get("NetworkMode")
    return {**host, **({"NetworkMode": names[mode]} if mode in names else {})}


def _endpoint(found: Any, view: View) -> object:
    if not isinstance(found, Mapping):
        return found
    inner = view.ownership.inner
    names = [inner(str(each)) for each in found.get("DNSNames") or ()]
    return {**found, "DNSNames": list(dict.fromkeys(names))}


def _mounts(container: Json, view: View) -> list[Json]:
    found = container.get("Mounts") or ()
    return [_mount(each, view) for each in found if not is_hidden(each)]


def _mount(found: Json, view: View) -> Json:
    """A mount with the agent's path of a workspace, and no path of the host."""
    inner = {root.outer: root.inner for root in view.grant.roots}
    kind, source = found.get("Type"), str(found.get("Source", ""))
    kept = {**found, "Source": inner.get(source, "") if kind == "bind" else ""}
    if "Name" in found:
        kept["Name"] = view.ownership.inner(str(found["Name"]))
    return kept


def _list_networks(answer: Any, view: View) -> list[Json]:
    return [
        _network(each, view)
        for each in answer
        if view.ownership.owns(each.get("Name"), each.get("Labels"))
    ]


def _network(found: Json, view: View) -> Json:
    inner = view.ownership.inner
    containers = {
        identity: {**each, "Name": inner(str(each.get("Name", "")))}
        for identity, each in (found.get("Containers") or {}).items()
    }
    labels = show_labels(found.get("Labels") or {})
    named = {"Name": inner(str(found.get("Name"))), "Labels": labels}
    return {**found, **named, "Containers": containers, "Peers": []}


def _list_volumes(answer: Any, view: View) -> Json:
    found = answer.get("Volumes") or ()
    owns = view.ownership.owns
    own = [_volume(each, view) for each in found if owns(each.get("Name"), each.get("Labels"))]
    return {"Volumes": own, "Warnings": None}


def _volume(found: Json, view: View) -> Json:
    labels = show_labels(found.get("Labels") or {})
    return {
        **_pick(found, ("CreatedAt", "Driver", "Scope", "Options", "UsageData")),
        "Name": view.ownership.inner(str(found.get("Name"))),
        "Labels": labels,
        "Mountpoint": "",
    }


def _pruned(answer: Any, view: View) -> Json:
    inner = view.ownership.inner
    return {
        key: [inner(str(each)) for each in value] if isinstance(value, list) else value
        for key, value in answer.items()
    }


def _list_images(answer: Any, view: View) -> list[Json]:
    return [
        _image_of(each, view)
        for each in answer
        if view.sees_image(str(each.get("Id")), list_names(each))
    ]


def list_names(image: Mapping[str, Any]) -> list[str]:
    """The names of an image, with tag or digest, as the engine tells them."""
    return [str(name) for key in _IMAGE_NAMES for name in image.get(key) or ()]


def _image_of(found: Json, view: View) -> Json:
    """An image with the tags that the agent may use: others' say what a person works on."""
    inner = view.own_images.inner
    names = {
        key: [inner(str(name)) for name in found.get(key) or () if view.sees_name(str(name))]
        for key in _IMAGE_NAMES
    }
    kept = {key: value for key, value in found.items() if key not in ("GraphDriver", "Metadata")}
    if "Labels" in found:
        kept["Labels"] = show_labels(found["Labels"])
    if isinstance(config := found.get("Config"), Mapping):
        kept["Config"] = {**config, "Labels": show_labels(config.get("Labels"))}
    return {**kept, **names, **({"Containers": -1} if "Containers" in found else {})}


def _history(answer: Any, view: View) -> list[Json]:
    """The layers of an image, whose own names others may have given."""
    inner = view.own_images.inner
    return [
        {
            **each,
            "Tags": [inner(str(name)) for name in each.get("Tags") or () if view.sees_name(name)]
            or None,
        }
        for each in answer
    ]


def _made_volume(answer: Any, view: View) -> Json:
    """A volume that was made, unless another of this name was there. Raises KeyError for that."""
    if not view.ownership.owns(answer.get("Name"), answer.get("Labels")):
        raise KeyError(answer.get("Name"))
    return _volume(answer, view)


def _removed(answer: Any, view: View) -> list[Json]:
    inner = view.own_images.inner
    return [{key: inner(str(value)) for key, value in each.items()} for each in answer]


def _disk_usage(answer: Any, view: View) -> Json:
    """What the agent's own takes; the engine's caches and layers are everybody's."""
    images = _list_images(answer.get("Images") or (), view)
    return {
        "LayersSize": sum(each.get("Size", 0) for each in images),
        "Images": images,
        "Containers": _list_containers(answer.get("Containers") or (), view),
        "Volumes": _list_volumes(answer, view)["Volumes"],
        "BuildCache": [],
    }


def _exec(answer: Any, _view: View) -> Json:
    return _pick(answer, _EXEC)


def rewrite_stats(stats: object, view: View) -> object:
    """One line of a container's statistics as the client gets it."""
    if not isinstance(stats, Mapping) or "name" not in stats:
        return stats
    return {**stats, "name": view.ownership.inner(str(stats["name"]))}


def rewrite_event(event: object, view: View) -> Json | None:
    """One event of an own container as the client gets it; None for any other."""
    actor = event.get("Actor") if isinstance(event, Mapping) else None
    if not isinstance(event, Mapping) or not isinstance(actor, Mapping):
        return None
    attributes = actor.get("Attributes")
    if event.get("Type") != "container" or not isinstance(attributes, Mapping):
        return None
    if not view.ownership.owns(attributes.get("name"), attributes):
        return None
    of_event = {key: attributes[key] for key in _EVENT_ATTRIBUTES if key in attributes}
    shown = show_labels({key: attributes[key] for key in attributes if key not in of_event})
    own = {**(shown if isinstance(shown, Mapping) else {}), **of_event}
    own["name"] = view.ownership.inner(str(attributes["name"]))
    own["image"] = attributes.get(IMAGE_LABEL) or attributes.get("image", "")
    kept = _pick(dict(event), ("status", "id", "Type", "Action", "scope", "time", "timeNano"))
    kept |= {"from": own["image"]} if "from" in event else {}
    return {**kept, "Actor": {"ID": actor.get("ID", ""), "Attributes": own}}


Rewriter = Callable[[Any, View], object]
_REWRITERS: Mapping[str, Rewriter] = {
    "system.version": _version,
    "system.info": _info,
    "container.list": _list_containers,
    "container.inspect": _inspect_container,
    "container.prune": _pruned,
    "exec.inspect": _exec,
    "network.list": _list_networks,
    "network.inspect": _network,
    "network.prune": _pruned,
    "volume.list": _list_volumes,
    "volume.inspect": _volume,
    "volume.create": _made_volume,
    "volume.prune": _pruned,
    "image.list": _list_images,
    "image.inspect": _image_of,
    "image.history": _history,
    "image.remove": _removed,
    "system.df": _disk_usage,
}

MAX_OBJECT = 1 << 20
"""Maximum bytes of one object of a list."""
# A text, with its end if that is there, or a bracket.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+("?)|[\[\]{}]', re.DOTALL)
_AROUND = (b"[", b"{[")


class Listing:
    """One answer: a list of objects, or an object whose members are such lists.

    `form` is its first bracket; `dropped` counts the objects of more than `longest` bytes.
    """

    def __init__(self, longest: int = MAX_OBJECT) -> None:
        self.dropped = 0
        self._longest = longest
        self.form = b""
        self._open = b""
        self._key = b'""'
        # What has come of an object, None for one that is too long; and of a text outside, or that
        # one in the object has begun.
        self._held: bytearray | None = None
        self._rest = b""

    def feed(self, data: bytes) -> dict[str, list[dict[str, Any]]]:
        """The objects that `data` completes, by their member's name, or "" for a list.

        Raises msgspec.DecodeError for what is no JSON.
        """
        data, found = self._rest + data, dict[str, list[dict[str, Any]]]()
        start, end = len(self._rest), 0
        for token in _TOKEN.finditer(data):
            mark = token[0]
            if token[1] == b"":
                break
            end = token.end()
            if mark in b"[{":
                if self._open in _AROUND:
                    self._held, start = bytearray(), token.start()
                self._open += mark
                self.form = self.form or mark
            elif mark in b"]}":
                self._open = self._open[:-1]
                if self._open in _AROUND:
                    self._take(data[start:end], found)
            elif self._open == b"{":
                self._key = mark
        self._hold(data[start:], data[end:])
        return found

    def end(self) -> None:
        """Raise msgspec.DecodeError if the answer is not whole."""
        if not self.form or self._open or self._rest.strip():
            raise msgspec.DecodeError("the list has no end")

    def _take(self, data: bytes, found: dict[str, list[dict[str, Any]]]) -> None:
        if self._held is None or len(self._held) + len(data) > self._longest:
            self.dropped += 1
        else:
            name = msgspec.json.decode(self._key, type=str)
            found.setdefault(name, []).append(msgspec.json.decode(self._held + data))
        self._held = None

    def _hold(self, data: bytes, rest: bytes) -> None:
        self._rest = rest
        if self._held is not None:
            self._held += data
            if len(self._held) > self._longest:
                self._held = None
        if self._open != b"{" or len(rest) > self._longest:
            # Of a text that is held or not needed: that it has begun, and whether an escape has.
            escapes = len(rest) - len(rest.rstrip(b"\\"))
            self._rest = b'"' + b"\\" * (escapes % 2) if b'"' in rest else b""
