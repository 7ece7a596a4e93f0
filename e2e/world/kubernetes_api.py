"""As much of a Kubernetes API server as kubectl needs to look at an application.

Namespace `default` has the pod POD and the deployment `web`. All of it is for the token alone.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .web_server import Answer, Asked, WebServer, running_web

POD = "web-5d9c7"
LOGGED = "GET / 200\n"

_CORE = {"pods": "Pod", "services": "Service", "events": "Event", "secrets": "Secret"}
_APPS = {"deployments": "Deployment"}
_MADE = "2026-01-01T00:00:00Z"


@contextmanager
def running_kubernetes(folder: Path, *, token: str) -> Iterator[WebServer]:
    """Serve for as long as the context lasts, whoever has the token. `folder` is empty."""

    def answer(asked: Asked) -> Answer:
        if asked.account != f"Bearer {token}":
            return 401, _status(401, "Unauthorized", "Unauthorized")
        found = _find(asked)
        return (404, _status(404, "NotFound", "not found")) if found is None else (200, found)

    with running_web(folder, answer) as server:
        yield server


def write_kubeconfig(server: WebServer, *, token: str, authority: Path) -> str:
    """Return the text of a kubeconfig with two contexts, of which `work` is the current one.

    It names the file `authority`. The other context, `home`, has another token.
    """
    users = {"work": token, "home": "another"}
    lines = ["apiVersion: v1", "kind: Config", "current-context: work", "clusters:"]
    cluster = f"server: 'https://{server.place}', certificate-authority: {authority}"
    lines += [
        f"- {{name: cluster, cluster: {{{cluster}}}}}",
        "users:",
        *(f"- {{name: {name}, user: {{token: {each}}}}}" for name, each in users.items()),
        "contexts:",
        *(f"- {{name: {name}, context: {{cluster: cluster, user: {name}}}}}" for name in users),
    ]
    return "\n".join([*lines, ""])


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
