"""A daemon whose agent has `docker.sock`, before an engine that says what it got."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from threading import Thread
from typing import Any

import pytest

from airlock_daemon.errors import Failed
from airlock_daemon.serving.daemon.docker import link_published
from airlock_daemon.setup.sockets import BUNDLE, CA, PUBLISHED, TRUSTSTORE
from commanding import reload
from running import Daemon, Message, connect_to
from worlds import World

_GRANTED = '[workspace]\nhost = true\n[docker]\nengine = "unix://{engine}"\n'


class _Engine(ThreadingMixIn, UnixStreamServer):
    """An engine without objects; `paths` are those that it was asked for."""

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), _Handler)
        self.paths: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Engine

    def do_GET(self) -> None:
        """Answer with the version, or an empty list."""
        path = self.path.partition("?")[0]
        self.server.paths.append(path)
        body = json.dumps({"ApiVersion": "1.45"} if path == "/version" else []).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class DockerWorld:
    """A world whose agent has `[docker]`, with its engine."""

    def __init__(self, world: World, engine: _Engine) -> None:
        self.world = world
        self.engine = engine
        self.socket = Path(world.socket).with_name("docker.sock")

    def grant(self, *, has_docker: bool) -> None:
        """Write the profile with or without `[docker]`."""
        granted = _GRANTED.format(engine=self.engine.server_address)
        self.world.write_profile(granted if has_docker else "[workspace]\nhost = true\n")

    @contextmanager
    def client(self) -> Iterator[HTTPConnection]:
        """A client of the agent's socket."""
        connection = HTTPConnection("docker")
        connection.sock = connect_to(self.socket)
        try:
            yield connection
        finally:
            connection.close()


@pytest.fixture
def docker(world: World, tmp_path: Path) -> Iterator[DockerWorld]:
    """A world with an engine, whose command docker is a module of the agent's own."""
    text = (world.config / "config.toml").read_text()
    (world.config / "config.toml").write_text(text.replace('"git"]', '"git", "docker"]'))
    world.write_module("docker", "/bin/true")
    with _Engine(tmp_path / "engine.sock") as engine:
        thread = Thread(target=engine.serve_forever, args=(0.01,))
        thread.start()
        try:
            made = DockerWorld(world, engine)
            made.grant(has_docker=True)
            yield made
        finally:
            engine.shutdown()
            thread.join()


def _ask(client: HTTPConnection, path: str) -> tuple[int, Any]:
    client.request("GET", path)
    answer = client.getresponse()
    data = answer.read()
    return answer.status, json.loads(data) if data.startswith((b"{", b"[")) else data


def _wait_for_records(daemon: Daemon, count: int) -> list[Message]:
    """So many records of the broker: a call's is written when its answer has been sent."""
    while len(found := daemon.records("broker")) < count:
        with suppress(subprocess.TimeoutExpired):
            daemon.process.wait(0.01)
    return found


def test_calls_are_judged_and_recorded(docker: DockerWorld) -> None:
    """A listed call is made, another refused in the engine's form; both are recorded."""
    with Daemon(docker.world) as daemon, docker.client() as client:
        assert _ask(client, "/_ping") == (200, b"OK")
        assert _ask(client, "/v1.45/containers/json") == (200, [])
        status, answer = _ask(client, "/v1.45/swarm")
        assert status == 403
        assert answer["message"].startswith("airlock: ")
        assert docker.engine.paths == ["/version", "/v1.45/containers/json"]
        records = _wait_for_records(daemon, 3)
    found = [(each["outcome"], each["detail"]["operation"]) for each in records]
    assert found == [
        ("allowed", "docker system.ping"),
        ("allowed", "docker container.list"),
        ("denied", "docker GET /v1.45/swarm"),
    ]


def test_the_socket_comes_and_goes_with_the_table(docker: DockerWorld) -> None:
    """A reload makes the socket, and ends it with its connections."""
    docker.grant(has_docker=False)
    with Daemon(docker.world):
        assert not docker.socket.exists()
        docker.grant(has_docker=True)
        assert reload(docker.world).stdout == "changed: my\nreloaded\n"
        with docker.client() as client:
            assert _ask(client, "/_ping")[0] == 200
            docker.grant(has_docker=False)
            assert reload(docker.world).stdout == "changed: my\nreloaded\n"
            assert not docker.socket.exists()
            assert client.sock is not None
            assert client.sock.recv(1) == b""


def test_certificates_of_containers_follow_those_of_the_agent(tmp_path: Path) -> None:
    """What an agent put in their place is linked as it is, and never read."""
    source, target = tmp_path / "my", tmp_path / "containers"
    for folder in (source, target):
        folder.mkdir()
    for name in PUBLISHED:
        (source / name).write_text("first")
    link_published(str(source), str(target))
    (source / "new").write_text("second")
    (source / "new").replace(source / CA)
    (source / BUNDLE).unlink()
    (source / BUNDLE).symlink_to("/etc/shadow")
    for _ in range(2):
        link_published(str(source), str(target))
        assert (target / CA).read_text() == "second"
        assert (target / TRUSTSTORE).samefile(source / TRUSTSTORE)
        assert (target / BUNDLE).is_symlink()
    (source / CA).unlink()
    with pytest.raises(Failed, match="cannot be made"):
        link_published(str(source), str(target))
