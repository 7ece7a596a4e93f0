"""Docker engines for tests: detecting a real one, and one without objects."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from threading import Thread


def has_engine(*plugins: str) -> bool:
    """Whether docker reaches an engine and has these plugins."""
    asked = (["docker", "info"], *(["docker", plugin, "version"] for plugin in plugins))
    return shutil.which("docker") is not None and all(
        subprocess.run(argv, capture_output=True, check=False).returncode == 0 for argv in asked
    )


class EmptyEngine(ThreadingMixIn, UnixStreamServer):
    """An engine without objects; `paths` are those that it was asked for.

    `logins` are those that came with the calls that make something. A list in `lists`, by its
    path, is not empty; `removed` are the paths of what was removed.
    """

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), _Handler)
        self.path = path
        self.paths: list[str] = []
        self.logins: list[str | None] = []
        self.lists: dict[str, list[object]] = {}
        self.removed: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: EmptyEngine

    def do_GET(self) -> None:
        """Answer with the version, an empty list, or that there is no such image."""
        path = self.path.partition("?")[0]
        self.server.paths.append(path)
        if "/images/" in path and not path.endswith("/images/json"):
            self._answer(404, {"message": "No such image"})
        else:
            objects = {"/version": {"ApiVersion": "1.45"}, "/v1.45/info": {}}
            self._answer(200, objects.get(path) or self.server.lists.get(path, []))

    def do_POST(self) -> None:
        """Do as it is told."""
        self.server.paths.append(self.path.partition("?")[0])
        self.server.logins.append(self.headers["X-Registry-Auth"])
        self._answer(200, {})

    def do_DELETE(self) -> None:
        """Note what is removed."""
        self.server.removed.append(self.path.partition("?")[0])
        self._answer(200, {})

    def _answer(self, status: int, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def run_empty_engine(path: Path) -> Iterator[EmptyEngine]:
    """Run one in a thread."""
    with EmptyEngine(path) as engine:
        thread = Thread(target=engine.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield engine
        finally:
            engine.shutdown()
            thread.join()
