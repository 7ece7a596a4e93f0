"""The API that is attacked: it reads requests as the most careless of servers does.

It decodes a path until nothing is left to decode, folds it, and obeys headers and parameters that
name another method, path or person. A body that it wants no part of it leaves unread, so that the
next request begins there. What it then does is noted in `done`.
"""

import base64
import posixpath
import re
import threading
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from e2e.world.web_server import WebListening, make_context, served

FOREIGN = "sk-mine-7d1fForeign0Key"
"""A credential of the attacker's own."""

COOKIE = "cookie-of-a-session-41c0"
_METHODS = ("x-http-method-override", "x-http-method", "x-method-override")
_PATHS = ("x-original-url", "x-rewrite-url")
_PERSONS = ("impersonate-user", "sudo")
_NAMES = ("DNS:localhost", "IP:127.0.0.1", "IP:127.0.0.11")


class Service(WebListening):
    """Wants nothing, serves everything. With `scopes` it says that they are those of a token."""

    def __init__(self, authority: Path, *, scopes: str = "") -> None:
        # 127.0.0.11 is another host, on which the same is served.
        everywhere = ("", 0)
        super().__init__(make_context(authority, names=_NAMES), _Handler, everywhere)
        self.authority = authority
        self.scopes = scopes
        self._turn = threading.Lock()
        self._done: list[str] = []

    def note(self, what: str) -> None:
        """Note something that was done for somebody."""
        with self._turn:
            self._done.append(what)

    def take(self) -> list[str]:
        """What was done since the last time."""
        with self._turn:
            done, self._done = self._done, []
        return done


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Service

    def do_GET(self) -> None:
        """Serve a request of any method."""
        headers = {name.lower().replace("_", "-"): text for name, text in self.headers.items()}
        body = self._read_body(headers)
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        method = next((headers[each] for each in _METHODS if each in headers), self.command)
        form = (
            parse_qs(body.decode("latin-1"))
            if "json" not in headers.get("content-type", "")
            else {}
        )
        method = form.get("_method", query.get("_method", [method]))[0]
        path = fold(next((headers[each] for each in _PATHS if each in headers), url.path))
        if self.connection.getsockname()[0] != "127.0.0.1":
            self.server.note("ANOTHER HOST is asked")
        if any(each in headers for each in _PERSONS):
            self.server.note("ANOTHER PERSON is obeyed")
        if FOREIGN in f"{self.path} {self.headers}".replace("%2D", "-"):
            self.server.note("A FOREIGN CREDENTIAL came")
        if FOREIGN.encode() in body:
            self.server.note("A FOREIGN CREDENTIAL came in a body")
        if b'"acl"' in body:
            self.server.note("AN OBJECT is published")
        if "upgrade" in headers and path != "/ok/socket":
            self.server.note("UPGRADED")
        named = re.findall(r"deleteRepository|createIssue", body.decode("latin-1"))
        self.server.note(" ".join((method, path, *named)))
        if path == "/ok/socket":
            self._go_on()
            return
        self._answer(path, headers)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = do_HEAD = do_GET  # noqa: N815

    def _read_body(self, headers: Mapping[str, str]) -> bytes:
        if self.command == "GET" or self.path == "/ok/unread":
            return b""
        if headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(headers.get("content-length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0] or b"0", 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body

    def _go_on(self) -> None:
        """Go on with another protocol than was asked for."""
        self.send_response(101)
        self.send_header("Connection", "Upgrade")
        self.send_header("Upgrade", "TLS/1.0")
        self.end_headers()
        self.close_connection = True

    def _answer(self, path: str, headers: Mapping[str, str]) -> None:
        token = headers.get("authorization", "").rpartition(" ")[2].encode()
        said = {
            "/ok/echo": token,
            "/ok/echo-base64": base64.b64encode(b"a" + token),
            "/ok/echo-hex": token.hex().encode(),
        }.get(path, b"done")
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", headers.get("range", ""))
        if asked is not None:
            said = said[int(asked[1]) : int(asked[2]) + 1]
        status = 200 if asked is None else 206
        self.send_response(status, token.decode() if path == "/ok/echo-reason" else "OK")
        if path == "/ok/echo-header":
            self.send_header("X-Echo", token.decode())
        if path == "/ok/cookie":
            self.send_header("Set-Cookie", f"session={COOKIE}")
        if self.server.scopes:
            self.send_header("X-OAuth-Scopes", self.server.scopes)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else said)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def fold(path: str) -> str:
    """The path as whoever decodes and folds all of it reads it."""
    while (decoded := unquote(path)) != path:
        path = decoded
    path = unicodedata.normalize("NFKC", path).replace("\\", "/")
    path = "/".join(part.partition(";")[0] for part in path.split("/"))
    return posixpath.normpath(re.sub("//+", "/", path))


@contextmanager
def serving(authority: Path, *, scopes: str = "") -> Iterator[Service]:
    """A service for as long as the context lasts; its certificate stands in `authority`."""
    service = Service(authority, scopes=scopes)
    with served(service):
        yield service
