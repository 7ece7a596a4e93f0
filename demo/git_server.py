"""A throw-away git server that requires a user name and a password.

HTTP with basic authentication in front of ``git http-backend``, git's own server side
(git-http-backend(1)), on 127.0.0.1. For demonstrations and tests: it reads a whole request into
memory.
"""

import base64
import hmac
import os
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.parser import BytesHeaderParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from demo.errors import DemoError

_BACKEND_S = 60


@dataclass(frozen=True)
class Visit:
    """One request that the server answered."""

    method: str
    path: str
    status: int


@dataclass(frozen=True)
class GitServer:
    """A running server with one bare repository, ``project.git``."""

    url: str
    """Of the repository, without a user name or password."""
    repository: Path
    visits: list[Visit] = field(default_factory=list)

    def read_branch(self, name: str) -> str | None:
        """Return the commit id of a branch in the repository, None without the branch."""
        command = [
            "git",
            "--git-dir",
            str(self.repository),
            "rev-parse",
            "--verify",
            "--quiet",
            f"refs/heads/{name}",
        ]
        answer = subprocess.run(
            command, capture_output=True, text=True, env=_bare_variables(), check=False
        )
        return answer.stdout.strip() or None


@contextmanager
def serve_git(folder: Path, *, user: str, password: str) -> Iterator[GitServer]:
    """Serve a new bare repository in ``folder`` until the block ends.

    Raises DemoError if this git has no ``http-backend``.
    """
    _find_backend()
    repository = folder / "project.git"
    create = ["git", "init", "--quiet", "--bare", "--initial-branch=main", str(repository)]
    subprocess.run(create, check=True, env=_bare_variables(), timeout=_BACKEND_S)
    visits: list[Visit] = []
    expected = b"Basic " + base64.b64encode(f"{user}:{password}".encode())

    class Handler(_GitHandler):
        root, credential, seen, name = folder, expected, visits, user

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield GitServer(
                f"http://127.0.0.1:{server.server_port}/{repository.name}", repository, visits
            )
        finally:
            server.shutdown()
            thread.join()


class _GitHandler(BaseHTTPRequestHandler):
    """Answers clients with the password by ``git http-backend`` as CGI (RFC 3875)."""

    root: Path
    credential: bytes
    seen: list[Visit]
    name: str
    # A client that sends less than announced must not block a thread forever.
    timeout = _BACKEND_S

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            self._answer(b"".join(self._read_chunks()))
        else:
            self._answer(self.rfile.read(int(self.headers.get("Content-Length", "0"))))

    def _read_chunks(self) -> Iterator[bytes]:
        """Read a chunked body (RFC 9112, section 7.1)."""
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass

    def _answer(self, body: bytes) -> None:
        given = self.headers.get("Authorization", "").encode()
        if not hmac.compare_digest(given, self.credential):
            self._reply(
                401, {"WWW-Authenticate": 'Basic realm="airlock demo"'}, b"a password is needed\n"
            )
            return
        backend = subprocess.run(
            ["git", "http-backend"],
            input=body,
            capture_output=True,
            env=self._variables(body),
            timeout=_BACKEND_S,
            check=False,
        )
        head, _, content = backend.stdout.partition(b"\r\n\r\n")
        headers = dict(BytesHeaderParser().parsebytes(head).items())
        status = int(headers.pop("Status", "200").split()[0]) if backend.returncode == 0 else 500
        self._reply(status, headers, content)

    def _variables(self, body: bytes) -> dict[str, str]:
        target = urlsplit(self.path)
        return _bare_variables() | {
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REQUEST_METHOD": self.command,
            "PATH_INFO": target.path,
            "QUERY_STRING": target.query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "REMOTE_ADDR": "127.0.0.1",
            "REMOTE_USER": self.name,  # http-backend accepts a push only with a user name
        }

    def _reply(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        self.seen.append(Visit(self.command, self.path, status))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Log nothing: the demo records the visits instead."""


def _find_backend() -> None:
    folder = subprocess.run(
        ["git", "--exec-path"], capture_output=True, text=True, check=True
    ).stdout.strip()
    if not os.access(f"{folder}/git-http-backend", os.X_OK):
        raise DemoError(
            f"this git has no http-backend (looked in {folder}); "
            "your system may have it in a package of its own, often git-daemon"
        )


def _bare_variables() -> dict[str, str]:
    # No user configuration: a hook or rewrite in it would affect the server.
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
