"""A Git LFS server that authenticates its clients."""

import hashlib
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .web_server import Answer, Asked, WebServer, running_web


@dataclass(frozen=True, slots=True, kw_only=True)
class LfsServer:
    """A running server with `objects` by id.

    The API accepts `account` (an Authorization) and `token`. It puts `signature` into the URLs of
    downloads and `ticket` into uploads; whoever has them may get or put an object.
    """

    account: str
    token: str = field(default_factory=lambda: f"token-{secrets.token_hex(16)}")
    ticket: str = field(default_factory=lambda: f"ticket-{secrets.token_hex(16)}")
    signature: str = field(default_factory=lambda: f"signature-{secrets.token_hex(16)}")
    objects: dict[str, bytes] = field(default_factory=dict)
    verified: list[str] = field(default_factory=list)
    web: list[WebServer] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The address of its API."""
        return f"https://{self.web[0].place}/store"

    def say_login(self) -> str:
        """The output of git-lfs-authenticate."""
        header = {"Authorization": f"RemoteAuth {self.token}"}
        return json.dumps({"href": self.url, "header": header, "expires_in": 600})

    def answer(self, asked: Asked) -> Answer:
        """Answer a request."""
        if asked.path == "/store/objects/batch":
            if asked.account not in (self.account, f"RemoteAuth {self.token}"):
                return 401, {"message": "who is it?"}
            return self._offer(json.loads(asked.body))
        oid = asked.path.rpartition("/")[2]
        if asked.method == "GET" and asked.query == self.signature and oid in self.objects:
            return 200, self.objects[oid]
        if asked.account != f"RemoteAuth {self.ticket}":
            return 403, {"message": "no ticket"}
        return self._take(asked, oid)

    def _take(self, asked: Asked, oid: str) -> Answer:
        if asked.path == "/verify":
            self.verified.append(json.loads(asked.body)["oid"])
        elif asked.method == "PUT" and hashlib.sha256(asked.body).hexdigest() == oid:
            self.objects[oid] = asked.body
        else:
            return 422, {"message": "another content"}
        return 200, {}

    def _offer(self, wanted: dict[str, Any]) -> Answer:
        (each,) = wanted["objects"]
        oid, there = each["oid"], f"https://{self.web[0].place}"
        actions: dict[str, object] = {}
        if wanted["operation"] == "download":
            if oid not in self.objects:
                error = {"code": 404, "message": "there is no such object"}
                return 200, {"objects": [{**each, "error": error}]}
            actions["download"] = {"href": f"{there}/objects/{oid}?{self.signature}"}
        elif oid not in self.objects:
            header = {"Authorization": f"RemoteAuth {self.ticket}"}
            actions["upload"] = {"href": f"{there}/objects/{oid}", "header": header}
            actions["verify"] = {"href": f"{there}/verify", "header": header}
        return 200, {"transfer": "basic", "objects": [{**each, "actions": actions}]}


@contextmanager
def running_lfs(folder: Path, *, account: str) -> Iterator[LfsServer]:
    """Serve for the length of the context; `folder` gets key and certificate."""
    server = LfsServer(account=account)
    with running_web(folder, server.answer) as web:
        server.web.append(web)
        yield server
