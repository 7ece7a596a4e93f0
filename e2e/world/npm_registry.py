"""An npm registry that requires a token to read and to publish."""

import base64
import json
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .web_server import Answer, Asked, WebServer, running_web


@dataclass(slots=True, kw_only=True)
class Registry:
    """The published packages: each one's document by name, and the archives."""

    token: str
    documents: dict[str, dict[str, Any]] = field(default_factory=dict)
    archives: dict[str, bytes] = field(default_factory=dict)

    def answer(self, asked: Asked) -> Answer:
        """Answer as a registry does."""
        if asked.account != f"Bearer {self.token}":
            return 401, {"error": "a token is needed"}
        path = urllib.parse.unquote(asked.path).removeprefix("/")
        if asked.method == "PUT":
            return self._publish(path, json.loads(asked.body), at=asked.host)
        if path == "-/whoami":
            return 200, {"username": "ada"}
        if path == "-/npm/v1/security/advisories/bulk":
            return 200, {}
        found: object = self.documents.get(path, self.archives.get(path))
        return (404, {"error": "not found"}) if found is None else (200, found)

    def _publish(self, name: str, document: dict[str, Any], *, at: str) -> Answer:
        for file, attached in document.pop("_attachments").items():
            self.archives[f"{name}/-/{file}"] = base64.b64decode(attached["data"])
        for version in document["versions"].values():
            # The client suggests a URL without TLS.
            file = version["dist"]["tarball"].rpartition("/")[2]
            version["dist"]["tarball"] = f"https://{at}/{name}/-/{file}"
        there = self.documents.setdefault(name, document)
        there["versions"].update(document["versions"])
        there["dist-tags"].update(document["dist-tags"])
        return 201, {"ok": True}

    def add(self, version: dict[str, Any], archive: bytes, *, at: str) -> None:
        """Publish a version, the content of its package.json; `at` is the HOST:PORT."""
        name, number = version["name"], version["version"]
        self.archives[f"{name}/-/{name}-{number}.tgz"] = archive
        tarball = f"https://{at}/{name}/-/{name}-{number}.tgz"
        self.documents[name] = {
            "name": name,
            "dist-tags": {"latest": number},
            "versions": {number: {**version, "dist": {"tarball": tarball}}},
        }


@contextmanager
def running_registry(folder: Path, registry: Registry) -> Iterator[WebServer]:
    """Serve for the length of the context. `folder` is empty."""
    with running_web(folder, registry.answer) as server:
        yield server
