"""The part of a Kubernetes API server that kubectl needs to inspect an application.

Namespace `default` has the pod POD and the deployment `web`; config maps can be written. A command
in the pod prints its arguments in capitals. Only the token and the client CLIENT have access.
"""

import base64
import hashlib
import json
import struct
import threading
import urllib.parse
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path
from typing import Any

from .web_server import Answer, Asked, Upgraded, WebServer, running_web

POD = "web-5d9c7"
LOGGED = "GET / 200\n"
CLIENT = "looker"
"""The client whose certificate is accepted like the token."""

_PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
"""Channel protocols over WebSocket and SPDY."""
_SYN_STREAM, _SYN_REPLY, _FIN = 0x80030001, 0x80030002, 1 << 24
_DONE = json.dumps({"kind": "Status", "apiVersion": "v1", "status": "Success"})
_CORE = {"pods": "Pod", "services": "Service", "events": "Event", "secrets": "Secret"}
_CORE |= {"configmaps": "ConfigMap"}
_APPS = {"deployments": "Deployment"}
_MADE = "2026-01-01T00:00:00Z"


@contextmanager
def running_kubernetes(
    folder: Path, *, token: str, clients: Path | None = None, read: threading.Event | None = None
) -> Iterator[WebServer]:
    """Serve clients with the token for the length of the context. `folder` is empty.

    `clients` is the CA of CLIENT. A followed log continues when `read` is set.
    """

    def answer(asked: Asked) -> Answer:
        if asked.account != f"Bearer {token}" and asked.client != CLIENT:
            return 401, _status(401, "Unauthorized", "Unauthorized")
        if "follow=true" in asked.query and read is not None:
            return 200, _follow(read)
        if asked.path.endswith("/exec"):
            is_new = asked.headers.get("upgrade") == "websocket"
            return 101, (_execute if is_new else _execute_by_spdy)(asked)
        if asked.method == "PATCH":
            body = json.loads(asked.body)
            return 200, {**body, "metadata": {**body["metadata"], **_metadata("settings")}}
        found = _find(asked)
        return (404, _status(404, "NotFound", "not found")) if found is None else (200, found)

    with running_web(folder, answer, clients=clients) as server:
        yield server


def describe_cluster(server: WebServer, user: object) -> str:
    """Return a kubeconfig with one context of the cluster and `user`."""
    ca = base64.b64encode(server.authority.read_bytes()).decode()
    cluster = {"server": f"https://{server.place}", "certificate-authority-data": ca}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "work",
        "clusters": [{"name": "cluster", "cluster": cluster}],
        "users": [{"name": "ada", "user": user}],
        "contexts": [{"name": "work", "context": {"cluster": "cluster", "user": "ada"}}],
    }
    return json.dumps(config)


def _follow(read: threading.Event) -> Iterator[bytes]:
    yield LOGGED.encode()
    read.wait(30)
    yield b"the end\n"


def _execute(asked: Asked) -> Upgraded:
    """Run a command over WebSocket: the first byte of each message is the channel."""
    key = asked.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

    def talk(_: BufferedIOBase, heard: BufferedIOBase) -> None:
        for channel, text in ((1, _run(asked)), (3, _DONE)):
            message = bytes([channel]) + text.encode()
            heard.write(struct.pack("!BBH", 0x82, 126, len(message)) + message)
        heard.write(b"\x88\x02" + struct.pack("!H", 1000))
        heard.flush()

    accepted = base64.b64encode(hashlib.sha1(key.encode(), usedforsecurity=False).digest())
    headers = {"Connection": "Upgrade", "Upgrade": "websocket"}
    headers |= {"Sec-WebSocket-Accept": accepted.decode(), "Sec-WebSocket-Protocol": _PROTOCOLS[0]}
    return Upgraded(headers=headers, talk=talk)


def _execute_by_spdy(asked: Asked) -> Upgraded:
    """Run a command over SPDY/3.1, used by older clients: one stream per channel."""

    def talk(said: BufferedIOBase, heard: BufferedIOBase) -> None:
        packed = zlib.compressobj()
        streams: list[int] = []
        # Errors, stdout and stderr, in this order. The headers of a stream are ignored.
        while len(streams) < 3:
            kind, size = struct.unpack("!II", said.read(8))
            content = said.read(size & 0xFFFFFF)
            if kind == _SYN_STREAM:
                streams.append(struct.unpack("!I", content[:4])[0])
                headers = packed.compress(bytes(4)) + packed.flush(zlib.Z_SYNC_FLUSH)
                reply = struct.pack("!III", _SYN_REPLY, 4 + len(headers), streams[-1])
                heard.write(reply + headers)
                heard.flush()
        texts = zip(streams, (_DONE, _run(asked), ""), strict=True)
        heard.writelines(
            struct.pack("!II", stream, _FIN | len(text)) + text.encode() for stream, text in texts
        )
        heard.flush()
        # The client ends the connection.
        said.read()

    headers = {"Connection": "Upgrade", "Upgrade": "SPDY/3.1"}
    return Upgraded(headers={**headers, "X-Stream-Protocol-Version": _PROTOCOLS[1]}, talk=talk)


def _run(asked: Asked) -> str:
    return " ".join(urllib.parse.parse_qs(asked.query)["command"]).upper() + "\n"


def _find(asked: Asked) -> object:
    namespaced = "namespaces/default/"
    return {
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group()]},
        "/api/v1": _resources("v1", _CORE),
        "/apis/apps/v1": _resources("apps/v1", _APPS),
        f"/api/v1/{namespaced}pods": _table(POD) if "as=Table" in asked.accept else _list(_pod()),
        f"/api/v1/{namespaced}pods/{POD}": _pod(),
        f"/api/v1/{namespaced}pods/{POD}/log": LOGGED,
        f"/api/v1/{namespaced}events": _list(),
        f"/apis/apps/v1/{namespaced}deployments": _list(_deployment()),
        f"/apis/apps/v1/{namespaced}deployments/web": _deployment(),
    }.get(asked.path)


def _status(code: int, reason: str, message: str) -> dict[str, object]:
    said = {"status": "Failure", "reason": reason, "message": message, "code": code}
    return {"kind": "Status", "apiVersion": "v1", **said}


def _group() -> dict[str, object]:
    version = {"groupVersion": "apps/v1", "version": "v1"}
    return {"name": "apps", "versions": [version], "preferredVersion": version}


def _resources(version: str, kinds: dict[str, str]) -> dict[str, object]:
    verbs = ["get", "list", "watch"]
    resources = [
        {"name": name, "singularName": "", "namespaced": True, "kind": kind, "verbs": verbs}
        for name, kind in kinds.items()
    ]
    return {"kind": "APIResourceList", "groupVersion": version, "resources": resources}


def _list(*items: dict[str, Any]) -> dict[str, object]:
    return {
        "kind": "List",
        "apiVersion": "v1",
        "metadata": {"resourceVersion": "1"},
        "items": list(items),
    }


def _metadata(name: str) -> dict[str, object]:
    return {
        "name": name,
        "namespace": "default",
        "uid": name,
        "generation": 1,
        "creationTimestamp": _MADE,
    }


def _pod() -> dict[str, object]:
    container = {"name": "web", "image": "web:1"}
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": _metadata(POD),
        "spec": {"containers": [container], "nodeName": "node-1"},
        "status": {"phase": "Running", "podIP": "10.0.0.7"},
    }


def _table(name: str) -> dict[str, object]:
    columns = [{"name": each, "type": "string", "priority": 0} for each in ("Name", "Status")]
    row = {"cells": [name, "Running"], "object": {"kind": "PartialObjectMetadata"}}
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "columnDefinitions": columns,
        "rows": [row],
    }


def _deployment() -> dict[str, object]:
    counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    return {
        "kind": "Deployment",
        "apiVersion": "apps/v1",
        "metadata": _metadata("web"),
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}},
        "status": {"observedGeneration": 1, **dict.fromkeys(counts, 1)},
    }
