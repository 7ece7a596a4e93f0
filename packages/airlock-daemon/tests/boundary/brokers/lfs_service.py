"""A server of large files (Git LFS), before a git server: it checks whom it serves.

The batch API is for whoever has an account, or the token that git-lfs-authenticate gives. Objects
are for whoever has the headers that an answer of the API names. With `signed` they are at another
server, at URLs that have a signature; the server of the API sends on to there.
"""

import hashlib
import json
import secrets
from collections.abc import Callable
from pathlib import Path

from https_server import GitServer, Handler

JSON = "application/vnd.git-lfs+json"
TOKEN = "CANARY-batch-" + secrets.token_hex(8)
OBJECT_TOKEN = "CANARY-object-" + secrets.token_hex(8)
SIGNATURE = "CANARY-signature-" + secrets.token_hex(8)


class LfsService:
    """Serves the objects in `folder` by the script of `server`."""

    def __init__(self, server: GitServer, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.storage = server.url
        self.redirects = False
        self.refusal: tuple[int, str] | None = None
        self.header: dict[str, str] | None = None
        self.failing: Callable[[Handler], str] | None = None
        self.verified: list[str] = []
        self.heads: list[tuple[str, dict[str, str]]] = []
        folder.mkdir()
        server.script = self.answer

    def add(self, content: bytes) -> str:
        """Put an object there; returns its id."""
        oid = hashlib.sha256(content).hexdigest()
        (self.folder / oid).write_bytes(content)
        return oid

    def answer(self, handler: Handler) -> bool:
        """Answer what is about large files."""
        path, _, query = handler.path.partition("?")
        self.heads.append((f"{handler.command} {path}", dict(handler.headers)))
        if path.endswith("/objects/batch"):
            return self._batch(handler)
        if self.failing is not None and path.startswith(("/objects/", "/verify")):
            b"".join(handler._read_body())
            return _say(handler, 403, {"message": self.failing(handler)})
        return self._serve(handler, path, query)

    def _serve(self, handler: Handler, path: str, query: str) -> bool:
        if path == "/verify":
            said = json.loads(b"".join(handler._read_body()))
            self.verified.append(said["oid"])
            return _say(handler, 200 if _has(handler, OBJECT_TOKEN) else 403)
        if path.startswith("/sent-on/"):
            return _say(
                handler, 302, location=f"/objects/{path.removeprefix('/sent-on/')}?{SIGNATURE}"
            )
        if path.startswith("/objects/"):
            if not _has(handler, OBJECT_TOKEN) and query != SIGNATURE:
                return _say(handler, 403, {"message": "no token"})
            return self._transfer(handler, self.folder / path.removeprefix("/objects/"))
        return False

    def _batch(self, handler: Handler) -> bool:
        is_known = handler._is_known() if self.server.users else True
        if not is_known and handler.headers["Authorization"] != f"RemoteAuth {TOKEN}":
            b"".join(handler._read_body())
            return _say(handler, 401)
        asked = json.loads(b"".join(handler._read_body()))
        (wanted,) = asked["objects"]
        if self.refusal is not None:
            status, words = self.refusal
            error = {"oid": wanted["oid"], "error": {"code": 1, "message": words}}
            return _say(handler, status, {"message": words, "objects": [error]})
        oid, operation = wanted["oid"], asked["operation"]
        header = {"Authorization": f"RemoteAuth {OBJECT_TOKEN}"}
        folder = "sent-on" if self.redirects else "objects"
        href = f"{self.storage}/{folder}/{oid}"
        if self.redirects:
            header = {}
        header = header if self.header is None else self.header
        actions = {operation: {"href": href, "header": header}}
        is_there = (self.folder / oid).exists()
        if operation == "upload":
            actions["verify"] = {"href": f"{self.server.url}/verify", "header": header}
            if is_there:
                actions = {}
        answer = {"oid": oid, "size": wanted["size"], "actions": actions}
        if operation == "download" and not is_there:
            answer = {"oid": oid, "size": 0, "error": {"code": 404, "message": "no such object"}}
        return _say(handler, 200, {"transfer": "basic", "objects": [answer]})

    def _transfer(self, handler: Handler, file: Path) -> bool:
        if handler.command == "PUT":
            content = b"".join(handler._read_body())
            if hashlib.sha256(content).hexdigest() != file.name:
                return _say(handler, 422, {"message": "another content"})
            file.write_bytes(content)
            return _say(handler, 200)
        content = file.read_bytes()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)
        return True


def _has(handler: Handler, token: str) -> bool:
    return handler.headers["Authorization"] == f"RemoteAuth {token}"


def _say(
    handler: Handler, status: int, said: object = None, *, location: str | None = None
) -> bool:
    body = b"" if said is None else json.dumps(said).encode()
    handler.send_response(status)
    handler.send_header("Content-Type", JSON)
    handler.send_header("Content-Length", str(len(body)))
    if location is not None:
        handler.send_header("Location", location)
    if status == 401:
        handler.send_header("WWW-Authenticate", 'Basic realm="lfs"')
    handler.end_headers()
    handler.wfile.write(body)
    return True
