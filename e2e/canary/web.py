"""Servers of git over HTTP: that of the grants, one without TLS, and one with a false certificate.

That of the grants reads paths as a careless one does: it decodes what has a percent sign, and folds
`..` and `//`. The two others leave a trace of whoever asks them anything, and below /ask/ of who
tells an account.
"""

import base64
import os
import posixpath
import re
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from e2e.canary.between import Proxy
from e2e.world.web_server import WebListening, make_context, served

# What the certificate names: also spellings of an address, so that a certificate stops none.
_NAMES = (
    "IP:127.0.0.1",
    *("DNS:127.1", "DNS:0x7f000001", "DNS:2130706433", "DNS:localhost", "DNS:*.proxied.test"),
)
_ASKED = re.compile(
    r"GET (?P<name>.*)/info/refs\?service=git-(upload|receive)-pack"
    r"|POST (?P<same>.*)/git-(upload|receive)-pack"
)
_SETTINGS = {"safe.directory": "*", "http.receivepack": "true"}


class Site(WebListening):
    """A server at `port` of 127.0.0.1, with TLS where there is a context.

    `show` says what it serves; before that it serves nothing, and leaves a trace in `proof`.
    """

    def __init__(self, proof: Path, context: ssl.SSLContext | None) -> None:
        super().__init__(context, _Handler)
        self._proof = proof
        self.root: Path | None = None
        self.account = ""
        self.answers: Mapping[str, bytes] = {}

    def show(self, root: Path, *, account: str, answers: Mapping[str, bytes]) -> None:
        """Serve repositories below `root`: open/ for the `account` (USER:PASSWORD), others for all.

        `answers` are those to GET NAME, or to POST NAME, that are said as they are.
        """
        self.account = "Basic " + base64.b64encode(account.encode()).decode()
        self.answers = answers
        self.root = root

    def note(self, what: str) -> None:
        """Leave a trace of what somebody got."""
        (self._proof / what).touch()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Site

    def do_GET(self) -> None:
        """Answer a request, and leave a trace of one that no grant leads to."""
        site, said = self.server, self._read_body()
        if (
            site.root is None
            and self.path.startswith("/ask/")
            and not self.headers["Authorization"]
        ):
            self._answer(401, ("WWW-Authenticate", 'Basic realm="x"'))
            return
        if site.root is None:
            site.note("asked-another-server")
            self._answer(404)
            return
        path, _, query = self.path.partition("?")
        path = posixpath.normpath(unquote(path))
        found = _ASKED.fullmatch(f"{self.command} {path}{query and '?'}{query}")
        if found is None:
            site.note("asked-for-what-git-does-not")
            self._answer(404)
            return
        name = found["name"] or found["same"]
        account = self.headers["Authorization"]
        if account and (account, self.headers["Host"]) != (site.account, f"127.0.0.1:{site.port}"):
            site.note("account-for-another-place")
        answer = site.answers.get(f"{self.command} {name}")
        if answer is not None:
            self.wfile.write(answer)
            self.close_connection = True
        elif name.startswith("/open/") and account is None:
            self._answer(401, ("WWW-Authenticate", 'Basic realm="x"'))
        else:
            if f"POST {name}" in site.answers:
                path = path.replace(name, "/open/app.git")
            self._serve(site.root, path, query, said)

    do_POST = do_GET  # noqa: N815 - the name is http.server's

    def _answer(self, status: int, *headers: tuple[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in (*headers, ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _read_body(self) -> bytes:
        if self.headers["Transfer-Encoding"] is None:
            return self.rfile.read(int(self.headers["Content-Length"] or 0))
        said = b""
        while count := int(self.rfile.readline(), 16):
            said += self.rfile.read(count)
            self.rfile.readline()
        self.rfile.readline()
        return said

    def _serve(self, root: Path, path: str, query: str, said: bytes) -> None:
        """As git http-backend(1) answers."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "GIT_PROJECT_ROOT": str(root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers["Content-Type"] or "",
            "CONTENT_LENGTH": str(len(said)),
            "REMOTE_USER": "bot",
            "GIT_PROTOCOL": self.headers["Git-Protocol"] or "",
            "GIT_CONFIG_COUNT": str(len(_SETTINGS)),
        }
        for number, (key, value) in enumerate(_SETTINGS.items()):
            environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        done = subprocess.run(
            ["git", "http-backend"], input=said, env=environment, capture_output=True, check=False
        )
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        headers = [line.partition(": ")[::2] for line in head.decode().split("\r\n")]
        status = int(dict(headers).get("Status", "200")[:3])
        self._answer(status, *(each for each in headers if each[0] != "Status"), body=body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Sites(NamedTuple):
    """That of the grants, two that nobody is to ask anything, and the human's proxy."""

    granted: Site
    plain: Site
    impostor: Site
    proxy: Proxy


@contextmanager
def serving(folder: Path, *, proof: Path) -> Iterator[Sites]:
    """Run the servers in threads; `folder`/authority.pem is whom the human's git has to trust."""
    granted = make_context(folder / "authority.pem", names=_NAMES)
    impostor = make_context(folder / "impostor.pem", names=_NAMES)
    with ExitStack() as stack:
        sites = Sites(
            granted=Site(proof, granted),
            plain=Site(proof, None),
            impostor=Site(proof, impostor),
            proxy=Proxy(proof),
        )
        for site in sites:
            stack.enter_context(served(site))
        yield sites
