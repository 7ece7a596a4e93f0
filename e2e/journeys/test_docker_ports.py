"""Containers of an agent in a container of `run`: their ports, their way out, and docker's SDKs."""

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from e2e.world.command import run
from e2e.world.engine import WORKER, docker
from e2e.world.executables import Executables
from e2e.world.images import Images, make_tools, temporary_image
from e2e.world.need import need
from e2e.world.person import Person, newcomer
from e2e.world.project import Project
from e2e.world.scene import Stage
from e2e.world.web_server import Answer, Asked, WebServer, running_web

AGENT = f"porter-{WORKER}"
PROFILE = """
[api.forge]
hosts = ["localhost"]
ports = [{port}]
ca = "{authority}"
credential = {{ as = "header", stored = "forge", placeholder = "frg_{{36}}" }}
allow = ["GET /hello"]
env = {{ FORGE_TOKEN = "{{placeholder}}" }}
[docker]
images = {images}
"""
TOKEN = "forge-token-of-ada"
COMPOSE = """
services:
  web:
    image: {image}
    command: httpd -f -p 80 -h /site
    ports: ["8080:80"]
    volumes: ["./site:/site:ro"]
"""
LIBRARIES = ("testcontainers==4.14.2", "redis==8.1.0")
_TAGS = ("manylinux2014", "manylinux_2_17", "manylinux_2_28")

RYUK = r"""
import http.client, json, socket, threading, urllib.parse

class Engine(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect("/var/run/docker.sock")

def ask(method, path):
    engine = Engine("docker")
    engine.request(method, path)
    return engine.getresponse().read()

server = socket.create_server(("0.0.0.0", 8080))
print("Ryuk Started!", flush=True)
client, _ = server.accept()
filters = set()
for line in client.makefile():
    for key, value in urllib.parse.parse_qsl(line.strip()):
        filters.add(value)
    client.sendall(b"ACK\n")
for value in filters:
    query = urllib.parse.quote(json.dumps({"label": [value]}))
    for each in json.loads(ask("GET", f"/containers/json?all=1&filters={query}")):
        if not each["Names"][0].startswith("/testcontainers-ryuk"):
            ask("DELETE", f"/containers/{each['Id']}?force=1")
"""

SUITE = """
import os
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network
from testcontainers.core.waiting_utils import wait_for_logs
from testcontainers.redis import RedisContainer

image = os.environ["IMAGE"]

class Rows(RedisContainer):
    def __init__(self):
        super().__init__(image)
        self.with_command("redis-server --protected-mode no --bind 0.0.0.0 --save ''")

def test_a_database_is_reached_by_its_mapped_port():
    with Rows() as rows:
        client = rows.get_client()
        client.set("name", "ada")
        assert client.get("name") == b"ada"

def test_containers_of_a_network_know_each_other():
    with Network() as network:
        with Rows().with_network(network).with_network_aliases("rows") as rows:
            words = "sh -c 'redis-cli -h rows set a b && sleep 100'"
            with DockerContainer(image).with_network(network).with_command(words) as other:
                wait_for_logs(other, "OK")
            assert rows.get_client().get("a") == b"b"

for name, test in list(globals().items()):
    if name.startswith("test_"):
        test()
        print(name, "passed")
# It is left to Ryuk.
left = Rows().start()
print("left", left.get_wrapped_container().id)
"""

SDK = """
import docker, io, os, tarfile, time

client = docker.from_env()
image = os.environ["IMAGE"]
assert client.ping()
assert image in [tag.removesuffix(":latest") for each in client.images.list() for tag in each.tags]
said = client.containers.run(image, ["sh", "-c", "echo hello"], remove=True)
assert said == b"hello\\n", said
web = client.containers.run(
    image, "httpd -f -p 80 -h /", detach=True, ports={"80/tcp": None}, name="web",
    volumes={"rows": {"bind": "/rows", "mode": "rw"}}, environment={"A": "1"}, labels={"x": "y"})
web.reload()
[binding] = web.ports["80/tcp"]
assert binding["HostIp"] == "127.0.0.1", web.ports
assert client.containers.get("web").labels["x"] == "y"
status, said = web.exec_run(["sh", "-c", "echo $A; exit 3"])
assert (status, said) == (3, b"1\\n"), (status, said)
streams = web.exec_run(["sh", "-c", "echo out; echo err >&2"], demux=True, stream=True)
assert {piece for pair in streams.output for piece in pair if piece} == {b"out\\n", b"err\\n"}
archive = io.BytesIO()
with tarfile.open(fileobj=archive, mode="w") as packed:
    packed.addfile(tarfile.TarInfo("empty"))
assert web.put_archive("/", archive.getvalue())
stream, about = web.get_archive("/empty")
assert about["name"] == "empty" and b"".join(stream)
talk = client.containers.run(image, ["sh", "-c", "for i in 1 2 3; do echo $i; done"], detach=True)
assert b"".join(talk.logs(stream=True, follow=True)) == b"1\\n2\\n3\\n"
assert talk.wait()["StatusCode"] == 0
network = client.networks.create("own")
network.connect(web, aliases=["site"])
said = client.containers.run(
    image, ["wget", "-qO-", "http://site/empty"], network="own", remove=True)
assert said == b"", said
assert [each.name for each in client.networks.list(names=["own"])] == ["own"]
volume = client.volumes.get("rows")
assert volume.name == "rows"
for each in (web, talk):
    each.remove(force=True)
network.remove()
volume.remove()
assert client.containers.list(all=True) == []
print("the SDK works")
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A person whose agent has docker and an API, in a container with Python."""

    person: Person
    project: Project
    server: WebServer
    image: str
    busybox: str

    def run(self, line: str, *, options: str = "") -> str:
        """What a line for sh says in a container of the agent; it must succeed."""
        words = f"airlock-daemon run {options} {AGENT} {self.image} sh -euc {shlex.quote(line)}"
        return self.person.run(words, cwd=self.project.path)


def answer(asked: Asked) -> Answer:
    """Say hello to whoever has the token."""
    return (200, "hello") if asked.account == f"Bearer {TOKEN}" else (401, "no such token")


@pytest.fixture(scope="module")
def place(
    stages: dict[str, Stage], executables: Executables, images: Images, ground: Path
) -> Iterator[Place]:
    """Return the person, while the daemon and the API's server run."""
    stage, image = stages["user"], make_tools()
    project = Project.make(stage.account, ground / "ported", stage.server.make_repository("ported"))
    (ground / "forge-of-ports").mkdir()
    with ExitStack() as stack:
        server = stack.enter_context(
            running_web(ground / "forge-of-ports", answer, names=("DNS:localhost",))
        )
        person = stack.enter_context(newcomer(stage.account, executables))
        person.run(
            f"airlock-daemon agent add {AGENT} --workspace . --command docker --yes",
            cwd=project.path,
        )
        profile = person.files / f"agents/{AGENT}/airlock.toml"
        granted = PROFILE.format(
            port=server.port,
            authority=server.authority,
            images=json.dumps([f"docker.io/{each}" for each in (images.busybox, image, RYUK_NAME)]),
        )
        stage.account.write(profile, profile.read_text() + granted, mode=0o600)
        sockets = (f"{AGENT}/docker.sock", f"{AGENT}/https.sock")
        stack.enter_context(person.start(*sockets, said=ground / "docker-ports.log"))
        person.try_line(
            "airlock-daemon login forge", cwd=project.path, stdin=f"{TOKEN}\n".encode()
        ).succeeded()
        yield Place(
            person=person, project=project, server=server, image=image, busybox=images.busybox
        )
        # What is left goes with the agent.
        person.run(f"airlock-daemon agent remove {AGENT} --yes", cwd=project.path)
        person.run("airlock-daemon reload", cwd=project.path)
        left = docker("ps", "--all", "--quiet", f"--filter=label=airlock.agent={AGENT}")
        assert left.succeeded().stdout == ""


RYUK_NAME = f"airlock-e2e/ryuk-{WORKER}"


def test_a_published_port_is_at_the_loopback_of_the_agents_container(place: Place) -> None:
    """At the moment that compose says so; the host and other containers have nothing there."""
    account, project = place.person.account, place.project.path
    account.write(account.make_directory(project / "site") / "page", "of the project")
    account.write(project / "compose.yaml", COMPOSE.format(image=place.busybox))
    said = place.run(
        "docker compose up --detach --quiet-pull && curl -sS --retry-connrefused --retry 9 "
        "http://127.0.0.1:8080/page && docker compose port web 80"
    )
    assert said.endswith("of the project127.0.0.1:8080")
    # Another container of the agent has it too, once it is there.
    again = "curl -sS --retry-all-errors --retry 9 localhost:8080/page"
    assert place.run(again) == "of the project"
    assert run(("curl", "-sS", "http://127.0.0.1:8080/page")).exit_code != 0
    inside = f"docker run --rm {place.busybox} wget -qO- http://127.0.0.1:8080/page"
    assert "refused" in place.run(f"{inside} 2>&1 || :")
    place.run("docker compose down --timeout 1")


def test_a_container_reaches_what_its_agent_is_granted(place: Place) -> None:
    """By the same broker: the API with a placeholder that the agent gives it, and no other host."""
    address = f"https://localhost:{place.server.port}/hello"
    ask = f"curl -sS --noproxy '' -H \"Authorization: Bearer $FORGE_TOKEN\" {address}"
    mine = f"docker run --rm -e FORGE_TOKEN {place.image} sh -c {shlex.quote(ask)}"
    assert place.run(mine) == "hello"
    assert place.run(ask) == "hello"
    other = f"docker run --rm {place.image} curl -sS https://example.com 2>&1 || :"
    assert "403" in place.run(other)
    alone = place.run(f"docker run --rm {place.image} env")
    assert TOKEN not in alone
    assert "FORGE_TOKEN" not in alone
    listed = place.run(f"docker run --rm {place.image} ls /run/airlock").split()
    assert listed == ["ca-bundle.pem", "ca.pem", "https.sock", "truststore.p12"]


def _install(place: Place) -> str:
    """Install the libraries into the project; returns how a container finds them."""
    folder = place.project.path / "lib"
    if not folder.exists():
        version = place.run("python3 -c 'import sys; print(*sys.version_info[:2], sep=\".\")'")
        words = [sys.executable, "-m", "pip", "install", "--quiet", "--only-binary=:all:"]
        words += [f"--target={folder}", f"--python-version={version.strip()}"]
        words += [f"--platform={tag}_x86_64" for tag in _TAGS]
        done = run((*words, *LIBRARIES), longest_s=300)
        need(f"pip does not install them: {done.stderr}" if done.exit_code else None)
    return f"--docker-arg=--env=PYTHONPATH={folder}"


def test_the_sdk_for_python_works(place: Place) -> None:
    """Containers, exec, streams of logs, archives, networks, volumes and images."""
    options = f"{_install(place)} --docker-arg=--env=IMAGE={place.busybox}"
    assert place.run(f"python3 -c {shlex.quote(SDK)}", options=options) == "the SDK works"


def test_a_suite_of_testcontainers_passes(place: Place) -> None:
    """With a database, and a container that removes what the suite leaves."""
    options = f"{_install(place)} --docker-arg=--env=IMAGE={place.image}"
    options += f" --docker-arg=--env=RYUK_CONTAINER_IMAGE={RYUK_NAME}"
    recipe = f"FROM {place.image}\nCMD {json.dumps(['python3', '-c', RYUK])}\n"
    with temporary_image(RYUK_NAME.partition("/")[2], recipe):
        said = place.run(f"python3 -c {shlex.quote(SUITE)}", options=options)
        *passed, left = said.splitlines()
        assert len([line for line in passed if line.endswith(" passed")]) == 2
        identity = left.split()[1]
        # Ryuk ends when it has done its work.
        name = docker("ps", "-q", "--filter=name=testcontainers-ryuk").succeeded().stdout
        docker("wait", *name.split())
        assert docker("inspect", identity).exit_code != 0
