"""Reads the bodies of calls other than `containers/create`, and writes them anew.

These are exec, networks and volumes. Networks are internal unless the profile says otherwise, and
have the engine's own addresses; volumes lie in the engine's own directory.
"""

from collections.abc import Mapping
from typing import Any

from airlock_modules.engine.container import endpoint
from airlock_modules.engine.grant import DockerGrant
from airlock_modules.engine.names import Ownership, labels
from airlock_modules.engine.strict import (
    Value,
    decode,
    dropped,
    either,
    flag,
    items,
    malformed,
    not_granted,
    number,
    record,
    reference,
    text,
    unused,
)

_NO_ADDRESS = "com.docker.network.bridge.inhibit_ipv4"
_size = items(number(0, 65_535), limit=2)
_exec = record(
    {
        "AttachStdin": flag,
        "AttachStdout": flag,
        "AttachStderr": flag,
        "Cmd": items(text()),
        "ConsoleSize": _size,
        # Some clients repeat the container of the path, which counts alone.
        "Container": unused(text()),
        "DetachKeys": text("[A-Za-z0-9@^\\[\\],_?-]{0,100}"),
        "Env": items(text()),
        "Tty": flag,
        "User": text(r"[A-Za-z0-9_.$:-]{0,100}"),
        "WorkingDir": text(limit=4096),
    }
)
_exec_start = record({"Detach": flag, "Tty": flag, "ConsoleSize": _size})

_network = record(
    {
        "Attachable": flag,
        "CheckDuplicate": flag,
        "ConfigFrom": record({"Network": dropped("")}),
        "Driver": dropped("", "bridge", "default"),
        "EnableIPv4": dropped(True),
        "EnableIPv6": flag,
        "IPAM": record({"Driver": dropped("", "default")}),
        "Internal": flag,
        "Labels": labels,
        "Name": text(limit=128),
        "Scope": dropped("", "local"),
    }
)
_connect = record(
    {"Container": reference("container"), "EndpointConfig": either(dict, endpoint, dropped(None))}
)
_disconnect = record({"Container": reference("container"), "Force": flag})

_volume = record({"Driver": dropped("", "local"), "Labels": labels, "Name": text(limit=128)})


def read_exec(body: bytes, *, user: str) -> dict[str, Value]:
    """Read the body of `containers/ID/exec`. The command runs as `user`, unless it is "".

    `user` is that of a container with a workspace.
    """
    found = _as_object(_exec(decode(body), ""))
    if not found.get("Cmd"):
        raise malformed("Cmd is empty")
    return {**found, **({"User": user} if user else {})}


def read_exec_start(body: bytes) -> dict[str, Value]:
    """Read the body of `exec/ID/start`; an empty one has the engine's defaults."""
    return _as_object(_exec_start(decode(body or b"{}"), ""))


def read_network(body: bytes, *, grant: DockerGrant, ownership: Ownership) -> dict[str, Value]:
    """Read the body of `networks/create`."""
    found = _as_object(_network(decode(body), ""))
    name = found.get("Name")
    if not isinstance(name, str) or not name:
        raise malformed("Name is missing")
    if grant.is_isolated and found.get("EnableIPv6"):
        raise not_granted("EnableIPv6", True)
    # The engine has networks of equal names unless it is asked to look.
    made = {"Name": ownership.outer(name), "CheckDuplicate": True, "Driver": "bridge"}
    return {**_mark(found, ownership), **made, **confine_network(grant, found.get("Internal"))}


def confine_network(grant: DockerGrant, is_internal: object = False) -> dict[str, Value]:
    """The fields of a network to create that say where it leads.

    Of an internal one the engine gives the host an address, by which containers reach what listens
    there on all addresses. It is not given with an option that engines since 19.03 know, and none
    of IPv6, which an engine may be set to give where nothing is said.
    """
    isolated = {"Options": {_NO_ADDRESS: "true"}, "EnableIPv6": False}
    more = isolated if grant.is_isolated else {}
    return {"Internal": bool(is_internal) or not grant.is_bridged, **more}


def is_isolated(network: Mapping[str, Any]) -> bool:
    """Whether the host has no address in a network, by the engine's answer."""
    options = network.get("Options") or {}
    has_none = options.get(_NO_ADDRESS) == "true" and network.get("EnableIPv6") is not True
    return network.get("Internal") is True and has_none


def judge_network(network: Mapping[str, Any], grant: DockerGrant) -> str:
    """Where a network leads, by the engine's answer, that is not granted; "" for nowhere."""
    if not grant.is_bridged and network.get("Internal") is not True:
        return "leads out"
    return "leads to the host" if grant.is_isolated and not is_isolated(network) else ""


def read_connection(body: bytes, *, name: str) -> dict[str, Value]:
    """Read the body of `networks/ID/connect`; `name` is the container's as the client calls it."""
    found = _as_object(_connect(decode(body), ""))
    _require(found, "Container")
    own = found.get("EndpointConfig")
    aliases = own.get("Aliases", []) if isinstance(own, dict) else []
    return {**found, "EndpointConfig": {"Aliases": list(dict.fromkeys([name, *aliases]))}}


def find_connected(body: bytes) -> Value:
    """The reference to the container in the body of `networks/ID/connect`."""
    found = _as_object(_connect(decode(body), ""))
    _require(found, "Container")
    return found["Container"]


def read_disconnection(body: bytes) -> dict[str, Value]:
    """Read the body of `networks/ID/disconnect`."""
    found = _as_object(_disconnect(decode(body), ""))
    _require(found, "Container")
    return found


def read_volume(body: bytes, *, ownership: Ownership, name: str) -> dict[str, Value]:
    """Read the body of `volumes/create`; `name` is for one that the client does not name."""
    found = _as_object(_volume(decode(body), ""))
    wanted = found.get("Name") or name
    return {**_mark(found, ownership), "Name": ownership.outer(str(wanted)), "Driver": "local"}


def read_commit(body: bytes) -> None:
    """Read the body of `commit`, which has a configuration in it: none is granted."""
    either(dict, record({}), dropped(None))(decode(body or b"null"), "")


def _mark(found: dict[str, Any], ownership: Ownership) -> dict[str, Value]:
    return {**found, "Labels": ownership.add_labels(found.get("Labels", {}))}


def _require(found: Mapping[str, Value], name: str) -> None:
    if name not in found:
        raise malformed(f"{name} is missing")


def _as_object(value: Value) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(value)
    return value
