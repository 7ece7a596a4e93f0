"""Target: a call of a docker engine's API.

Whatever is not refused is sent by a path of the table, with ids in its slots, and its body has the
agent's marks and nothing that reaches the host. An input is a line METHOD TARGET, and a body.
"""

import json
import re
from collections.abc import Callable
from typing import Any

from airlock_modules.apis import BadHead, read_head
from airlock_modules.engine import (
    NEWEST,
    DockerGrant,
    FoundCall,
    Ownership,
    Refused,
    Root,
    decode,
    encode,
    find_call,
    list_references,
    read_connection,
    read_container,
    read_disconnection,
    read_exec,
    read_exec_start,
    read_network,
    read_volume,
    resolve,
)
from fuzz.target import BrokenPromiseError, Target, require_one_line

_MAX_LENGTH = 4096
_ID = "0123456789abcdef" * 4
_ROOT = Root(inner="/work", outer="/host/work", user="1000:1000", covered=("/work/.git/hooks",))
_GRANT = DockerGrant(roots=(_ROOT,), socket="/host/docker.sock")
_OWN = Ownership("a", "0")
_PATH = re.compile(rf"/v1\.45(/[a-z_]+|/{_ID}){{1,4}}(\?[!-~]*)?")
_HOST_CONFIG = frozenset(
    {
        *("AutoRemove", "CapAdd", "CapDrop", "ConsoleSize", "CpuShares", "ExtraHosts", "GroupAdd"),
        *("Init", "IpcMode", "LogConfig", "Memory", "MemoryReservation", "MemorySwap", "Mounts"),
        *(
            "CgroupnsMode",
            "NanoCpus",
            "NetworkMode",
            "OomScoreAdj",
            "PidsLimit",
            "ReadonlyRootfs",
            "SecurityOpt",
        ),
        *("RestartPolicy", "ShmSize", "Tmpfs", "Ulimits"),
    }
)


def _check(data: bytes) -> None:
    line, _, body = data.partition(b"\n")
    try:
        head = read_head(line + b" HTTP/1.1\r\nHost: docker\r\n\r\n", None)
        found = find_call(head.method, head.path, head.query, spoken=NEWEST)
        sent = _read(found, body)
    except BadHead as error:
        require_one_line(str(error))
        return
    except Refused as refused:
        require_one_line(refused.message)
        require_one_line(refused.hint)
        return
    references = [*list_references(sent), *list_references(dict(found.query))]
    references += [] if found.target is None else [found.target]
    ids = dict.fromkeys(references, _ID)
    target = found.write(NEWEST, ids)
    if not _PATH.fullmatch(target):
        raise BrokenPromiseError(f"{target!a} is no path of the table")
    written = encode(resolve(sent, ids))
    if decode(written) != json.loads(written):
        raise BrokenPromiseError(f"{written!a} is read in two ways")
    _look(found.call.name, json.loads(written))


def _read(found: FoundCall, body: bytes) -> object:
    """What is sent as the body of a call. Raises Refused."""
    readers: dict[str, Callable[[], object]] = {
        "container.create": lambda: _read_container(body),
        "exec.create": lambda: read_exec(body, user="1000:1000"),
        "exec.start": lambda: read_exec_start(body),
        "network.create": lambda: read_network(body, grant=_GRANT, ownership=_OWN),
        "network.connect": lambda: read_connection(body, name="web"),
        "network.disconnect": lambda: read_disconnection(body),
        "volume.create": lambda: read_volume(body, ownership=_OWN, name="made"),
    }
    reader = readers.get(found.call.name)
    return None if reader is None else reader()


def _read_container(body: bytes) -> object:
    order = read_container(body, name="web", grant=_GRANT, ownership=_OWN)
    return dict(order.body)


def _look(name: str, sent: Any) -> None:
    """Raise BrokenPromiseError for a body that reaches the host."""
    if name in ("container.create", "network.create", "volume.create"):
        _require(sent["Labels"]["airlock.agent"] == "a", sent)
        _require(all(name.startswith("airlock.") for name in sent["Labels"]), sent)
    if name == "network.create":
        _require(sent["Internal"] is True, sent)
    if name in ("network.create", "volume.create"):
        _require(sent["Name"].startswith("airlock-a-0-"), sent)
        _require(not {"Options", "DriverOpts", "IPAM"} & {key for key in sent if sent[key]}, sent)
    if name == "exec.create":
        _require(sent["User"] == "1000:1000" and "Privileged" not in sent, sent)
    if name != "container.create":
        return
    host = sent["HostConfig"]
    _require(host.keys() <= _HOST_CONFIG, sent)
    _require(host["SecurityOpt"] == ["no-new-privileges"], sent)
    _require(host["CgroupnsMode"] == "private", sent)
    _require(host["NetworkMode"] in (_ID, "none", f"container:{_ID}"), sent)
    _require(host.get("IpcMode") in (None, "", "private", "none", "shareable"), sent)
    for mount in host["Mounts"]:
        _look_at_mount(mount, sent)


def _look_at_mount(mount: Any, sent: Any) -> None:
    source, options = mount.get("Source", ""), mount.get("VolumeOptions") or {}
    subpath = options.get("Subpath", "")
    _require(source in ("", _ID, "/host/work", "/host/docker.sock"), sent)
    _require(not {".", "..", ""} & set(subpath.split("/")) or not subpath, sent)
    _require("DriverConfig" not in options or not options["DriverConfig"], sent)
    if mount.get("Type") == "bind" and source == "/host/work":
        _require(sent["User"] == "1000:1000" and sent["HostConfig"]["CapDrop"] == ["ALL"], sent)


def _require(holds: bool, sent: object) -> None:
    if not holds:
        raise BrokenPromiseError(f"{sent!a} is more than is granted")


TARGET = Target(
    check=_check,
    seeds=(
        b"GET /v1.44/containers/json?all=1&filters=%7B%22label%22%3A%5B%22a%22%5D%7D\n",
        b'POST /containers/create\n{"Image":"x","HostConfig":{"Binds":["/work/a:/b:ro","v:/c"]}}',
        b'POST /containers/web/exec\n{"Cmd":["id"],"User":"0"}',
        b'POST /networks/create\n{"Name":"n","Internal":false,"Labels":{"a":"b"}}',
        b'POST /networks/n/connect\n{"Container":"web","EndpointConfig":{"Aliases":["x"]}}',
        b'POST /volumes/create\n{"Name":"v","Driver":"local"}',
        b"GET /images/ghcr.io/acme/app:1/json\n",
    ),
    words=(
        b'"HostConfig":{',
        b'"Mounts":[{"Type":"bind","Source":"/work","Target":"/x"}]',
        b'"Binds":["/work:/x"]',
        b'"Privileged":true',
        b'"privileged":true',
        b'"NetworkMode":"host"',
        b'"NetworkMode":"container:',
        b'"VolumeOptions":{"Subpath":"..',
        b'"DriverConfig":{"Name":"local","Options":{',
        b'"Labels":{"airlock.agent":"b"}',
        b"/var/run/docker.sock",
        b"/work/.git/hooks",
        b"/../",
        b"%2e%2e%2f",
        b"swarm",
        b"\\u0000",
    ),
    longest=_MAX_LENGTH,
)
