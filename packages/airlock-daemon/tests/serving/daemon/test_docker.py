"""A daemon whose agent has `docker.sock`, before an engine that says what it got."""

import base64
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from airlock_daemon.platform.linux.mountinfo import MountTable
from airlock_daemon.serving.daemon.docker import cover
from airlock_modules.engine import DockerGrant, Ownership, Root
from approving import approve, reject, wait_for_questions
from commanding import reload, run
from engines import EmptyEngine, run_empty_engine
from running import Daemon, connect_to
from worlds import World

_WORKSPACE = "[workspace]\nhost = true\n"


class DockerWorld:
    """A world whose agent has `[docker]`, with its engine."""

    def __init__(self, world: World, engine: EmptyEngine) -> None:
        self.world = world
        self.engine = engine
        self.socket = Path(world.socket).with_name("docker.sock")

    def grant(self, *, has_docker: bool, more: str = "", workspace: str = "") -> None:
        """Write the profile, with or without `[docker]`."""
        granted = f'[docker]\nengine = "unix://{self.engine.path}"\n{more}' if has_docker else ""
        self.world.write_profile(f"{_WORKSPACE}{workspace}{granted}")

    @contextmanager
    def client(self) -> Iterator[HTTPConnection]:
        """A client of the agent's socket, which the daemon opens after that of its commands."""
        connection = HTTPConnection("docker")
        while connection.sock is None:
            with suppress(FileNotFoundError, ConnectionRefusedError):
                connection.sock = connect_to(self.socket)
            os.sched_yield()
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
    with run_empty_engine(tmp_path / "engine.sock") as engine:
        made = DockerWorld(world, engine)
        made.grant(has_docker=True)
        yield made


def _ask(client: HTTPConnection, path: str, method: str = "GET") -> tuple[int, Any]:
    client.request(method, path)
    answer = client.getresponse()
    data = answer.read()
    return answer.status, json.loads(data) if data.startswith((b"{", b"[")) else data


def test_calls_are_judged_and_recorded(docker: DockerWorld) -> None:
    """A listed call is made, another refused in the engine's form; both are recorded."""
    with Daemon(docker.world) as daemon, docker.client() as client:
        assert _ask(client, "/_ping") == (200, b"OK")
        assert _ask(client, "/v1.45/containers/json") == (200, [])
        status, answer = _ask(client, "/v1.45/swarm")
        assert status == 403
        assert answer["message"].startswith("airlock: ")
        assert docker.engine.paths == ["/version", "/v1.45/info", "/v1.45/containers/json"]
        records = daemon.wait_for_records(3, "broker")
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


_PULL = "/v1.45/images/create?fromImage=ghcr.io%2Facme%2Fapp&tag=1"


def test_the_humans_login_goes_to_the_engine_with_the_call_alone(
    docker: DockerWorld, tmp_path: Path
) -> None:
    """For a registry that is named, where the daemon's own configuration of docker has one."""
    auth = base64.b64encode(b"me:pass").decode()
    config = {"auths": {"ghcr.io": {"auth": auth}}, "proxies": {"default": {"httpProxy": "x"}}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    docker.grant(has_docker=True, more='registries = ["ghcr.io"]\n')
    with (
        Daemon(docker.world, environment={"DOCKER_CONFIG": str(tmp_path)}),
        docker.client() as client,
    ):
        assert _ask(client, _PULL, "POST") == (200, {})
    (sent,) = docker.engine.logins
    assert json.loads(base64.urlsafe_b64decode(sent or "")) == {
        "username": "me",
        "password": "pass",
    }


@pytest.mark.parametrize("place", ["workspace", "link"])
def test_a_configuration_that_an_agent_writes_is_not_read(docker: DockerWorld, place: str) -> None:
    """It would be the agent that chooses the login, and the program that is asked for it."""
    folder = docker.world.workspace
    (folder / "config.json").write_text('{"credHelpers": {"ghcr.io": "one"}}')
    if place == "link":
        folder = docker.world.root / "configuration"
        folder.symlink_to(docker.world.workspace)
    mount = f'mounts = {{ "/workspace" = "{docker.world.workspace}" }}\n'
    docker.grant(has_docker=True, more='registries = ["ghcr.io"]\n', workspace=mount)
    with (
        Daemon(docker.world, environment={"DOCKER_CONFIG": str(folder)}) as daemon,
        docker.client() as client,
    ):
        status, answer = _ask(client, _PULL, "POST")
        (record,) = daemon.wait_for_records(1, "broker")
    assert (status, record["rule"]) == (403, "logins")
    assert "leads through a workspace" in answer["message"]
    assert docker.engine.logins == []


def test_a_configuration_that_docker_could_not_read_is_refused(
    docker: DockerWorld, tmp_path: Path
) -> None:
    """Without a word of what stands there."""
    (tmp_path / "config.json").write_text('{"auths": "s3cr3t"')
    docker.grant(has_docker=True, more='registries = ["ghcr.io"]\n')
    with (
        Daemon(docker.world, environment={"DOCKER_CONFIG": str(tmp_path)}),
        docker.client() as client,
    ):
        status, answer = _ask(client, _PULL, "POST")
    assert status == 403
    assert "is no configuration of docker" in answer["message"]
    assert "s3cr3t" not in answer["message"]


@pytest.mark.parametrize("answers", [True, False])
def test_what_an_agent_has_made_goes_with_it_without_a_daemon(
    docker: DockerWorld, answers: bool
) -> None:
    """`agent remove` removes it, or says that it stays, and how to find it."""
    with Daemon(docker.world), docker.client() as client:
        assert _ask(client, "/v1.45/containers/json")[0] == 200
    (file,) = docker.world.root.rglob("docker/installation")
    own = Ownership("my", file.read_text().strip())
    others = Ownership("my", "0" * 8)
    docker.engine.lists["/v1.45/containers/json"] = [
        {"Id": each.installation, "Names": [f"/{each.prefix}web"], "Labels": each.add_labels({})}
        for each in (own, others)
    ]
    if not answers:
        docker.engine.path.unlink()
    said = run(docker.world, "agent", "remove", "my", "--yes").stderr
    assert docker.engine.removed == [f"/v1.45/containers/{own.installation}"] * answers
    found = "find it: docker ps -a --filter label=airlock.agent=my"
    assert ("stays" in said, found in said) == (not answers, not answers)


def test_a_call_waits_for_a_person(docker: DockerWorld) -> None:
    """Who is shown the whole call, approves that value alone, and stands in its records."""
    asks = '[approve]\nrequire = ["docker image.pull *", "docker volume.create"]\n'
    docker.grant(has_docker=True, more=f'registries = ["ghcr.io"]\n{asks}')
    with Daemon(docker.world) as daemon, docker.client() as client, docker.client() as other:
        assert _ask(client, "/v1.45/containers/json")[0] == 200
        # Which this engine answers as no engine does.
        assert _ask(client, "/v1.45/volumes")[0] == 503
        client.request("POST", _PULL)
        question = approve(docker.world)
        assert question["operation"] == "docker image.pull ghcr.io/acme/app:1"
        with client.getresponse() as answer:
            assert (answer.status, answer.read()) == (200, b"{}\n")
        other.request("POST", "/v1.45/volumes/create", '{"Name":"a"}')
        question = reject(docker.world, "not now")
        assert '{"Name":"a"}' in json.dumps(question["details"]).replace("\\", "")
        with other.getresponse() as answer:
            assert (answer.status, "not now" in answer.read().decode()) == (403, True)
        records = daemon.wait_for_records(4, "broker")
    pulled = next(each for each in records if "image.pull" in each["detail"]["operation"])
    assert pulled["approval"]["id"]
    rejected = next(each for each in records if "volume.create" in each["detail"]["operation"])
    assert (rejected["outcome"], rejected["approval"]["id"]) == ("denied", question["id"])
    assert "/v1.45/volumes/create" not in docker.engine.paths


def test_a_call_that_waited_obeys_a_reload(docker: DockerWorld) -> None:
    """What was approved may not be granted any more."""
    asks = '[approve]\nrequire = ["docker image.pull *"]\n'
    docker.grant(has_docker=True, more=f'registries = ["ghcr.io"]\n{asks}')
    with Daemon(docker.world) as daemon, docker.client() as client:
        client.request("POST", _PULL)
        wait_for_questions(docker.world)
        docker.grant(has_docker=True, more=f'registries = ["quay.io"]\n{asks}')
        assert reload(docker.world).returncode == 0
        question = approve(docker.world)
        with client.getresponse() as answer:
            assert (answer.status, "were reloaded" in answer.read().decode()) == (403, True)
        (record,) = daemon.wait_for_records(1, "broker")
    # The answer is used up.
    assert (record["outcome"], record["approval"]["id"]) == ("denied", question["id"])
    assert not any("images/create" in path for path in docker.engine.paths)


_HOST = MountTable.parse("1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 8:2 / /home rw - ext4 /dev/b rw")
_ROOT = Root(inner="/home/me/p", outer="/home/me/p", user="1000:1000", covered=("/home/me/p/.x",))
_OTHER = Root(inner="/other", outer="/srv/other", user="1000:1000")


def _cover(*lines: str) -> tuple[Root, ...]:
    """The workspaces of a client in a container with these mounts: device, root, point, flag."""
    mounts = ("0:50 / / rw", *lines)
    text = [f"{100 + number} 99 {line} - ext4 /dev/x rw" for number, line in enumerate(mounts)]
    grant = DockerGrant(roots=(_ROOT, _OTHER))
    return cover(grant, rows=MountTable.parse("\n".join(text)), host=_HOST).roots


def test_what_a_client_sees_otherwise_is_covered() -> None:
    """A mask below a workspace, a workspace that is read-only there, and one that is not there."""
    [root] = _cover(
        "8:2 /me/p /home/me/p rw", "0:60 / /home/me/p/.git/hooks ro", "0:61 / /home/me/p2 ro"
    )
    assert (root.is_read_only, root.covered) == (False, ("/home/me/p/.x", "/home/me/p/.git/hooks"))
    first, second = _cover("8:2 /me/p /home/me/p ro", "8:1 /srv/other /other rw")
    assert (first.is_read_only, second.is_read_only) == (True, False)
    # By a mount of what is above it, of which the innermost counts.
    [root] = _cover("8:1 / /home ro", "8:2 /me /home/me rw")
    assert not root.is_read_only


@pytest.mark.parametrize(
    "line",
    [
        "0:60 / /home rw",
        "0:60 / /home/me/p rw",
        "8:1 /var/lib/docker/volumes/own/_data /home/me/p rw",
        "8:1 /var/lib/docker/volumes/own/_data /home/me rw",
        "8:2 /me/p/part /home/me/p rw",
        "8:2 /me/p /home/me rw",
        "8:2 /me/p /home/me/p/part rw",
        "8:2 /me/p//deleted /home/me/p rw",
        "8:1 /me/p /home/me/p rw",
    ],
)
def test_another_mount_in_the_place_of_a_workspace_is_none(line: str) -> None:
    """A client puts a file system, a volume or a part there, and what was masked is not by it."""
    assert _cover(line) == ()
    assert _cover("8:2 /me/p /home/me/p rw", "0:60 / /home/me/p rw") == ()
