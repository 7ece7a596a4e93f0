"""`airlock-daemon run` of an agent with an API: its container has a placeholder, and no network."""

import json
import shlex
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from e2e.world.executables import Executables
from e2e.world.images import Images, temporary_image
from e2e.world.person import Person, newcomer
from e2e.world.project import Project
from e2e.world.scene import Stage
from e2e.world.web_server import Answer, Asked, WebServer, running_web

TOKEN = "forge-token-of-ada"
PROFILE = """
[api.forge]
hosts = ["localhost"]
ports = [{port}]
ca = "{authority}"
credential = {{ as = "header", stored = "forge", placeholder = "frg_{{36}}" }}
allow = ["GET /hello"]
env = {{ FORGE_TOKEN = "{{placeholder}}" }}
files = {{ "~/.config/forge/token" = "{{placeholder}}" }}
"""
SETTINGS = "-quiet -verify_return_error -verify_quiet -servername localhost"
"""Of `openssl s_client`, whose certificates are those of SSL_CERT_FILE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A person whose agent `my` may say hello to a server that asks for a token."""

    person: Person
    project: Project
    server: WebServer
    image: str

    def run(self, line: str, *, options: str = "", image: str = "") -> str:
        """What `airlock-daemon run` prints of a line for sh in its container."""
        words = f"airlock-daemon run my {options} {image or self.image} sh -euc"
        return self.person.run(f"{words} {shlex.quote(line)}", cwd=self.project.path)

    def ask(self, request: str, *, key: str = "$FORGE_TOKEN", options: str = "") -> str:
        """A line that sends a request through the proxy, and prints the answer."""
        host = f"localhost:{self.server.port}"
        head = f"{request} HTTP/1.1\\r\\nHost: {host}\\r\\nAuthorization: Bearer %s\\r\\n"
        words = f"openssl s_client {SETTINGS} {options} -proxy ${{https_proxy#http://}}"
        end = "Connection: close\\r\\n\\r\\n"
        return f"printf '{head}{end}' \"{key}\" | {words} -connect {host}"


def answer(asked: Asked) -> Answer:
    """Say hello to whoever has the token."""
    if asked.account != f"Bearer {TOKEN}":
        return 401, "no such token"
    return 200, f"hello from {asked.path}"


@pytest.fixture(scope="module")
def place(
    stages: dict[str, Stage], executables: Executables, images: Images, ground: Path
) -> Iterator[Place]:
    """Return the person, while the daemon and the server run."""
    stage = stages["user"]
    project = Project.make(stage.account, ground / "api", stage.server.make_repository("api"))
    folder = ground / "forge"
    folder.mkdir()
    with ExitStack() as stack:
        names = ("DNS:localhost",)
        server = stack.enter_context(running_web(folder, answer, names=names))
        person = stack.enter_context(newcomer(stage.account, executables))
        person.run(
            "airlock-daemon agent add my --workspace . --command git-remote --yes",
            cwd=project.path,
        )
        profile = person.files / "agents/my/airlock.toml"
        own = PROFILE.format(port=server.port, authority=server.authority)
        stage.account.write(profile, profile.read_text() + own, mode=0o600)
        sockets = ("my/airlock.sock", "my/https.sock")
        stack.enter_context(person.start(*sockets, said=ground / "run-api.log"))
        login = person.try_line(
            "airlock-daemon login forge", cwd=project.path, stdin=f"{TOKEN}\n".encode()
        )
        login.succeeded()
        yield Place(person=person, project=project, server=server, image=images.debian)


def test_a_request_that_is_granted_has_the_credential_behind_the_container(place: Place) -> None:
    """And one that is not is refused there, whatever it is."""
    said = place.run(place.ask("GET /hello"))
    assert said.startswith("HTTP/1.1 200 ")
    assert said.endswith("hello from /hello")
    before = len(place.server.asked)
    for request, key in (
        ("GET /other", "$FORGE_TOKEN"),
        ("POST /hello", "$FORGE_TOKEN"),
        ("GET /hello", "frg_of_my_own_account_elsewhere_0123456789"),
    ):
        said = place.run(place.ask(request, key=key))
        assert said.startswith("HTTP/1.1 403 ")
        assert "airlock: " in said
    assert len(place.server.asked) == before


def test_the_container_has_a_placeholder_and_no_network(place: Place) -> None:
    """The token is in no variable and no file of it; the placeholder is the same in each."""
    said = place.run("env; cat ~/.config/forge/token /run/airlock/*.pem /run/airlock/client.env")
    assert TOKEN not in said
    placeholder = place.run('printf %s "$FORGE_TOKEN"')
    assert placeholder.startswith("frg_")
    assert placeholder == place.run("cat ~/.config/forge/token")
    assert place.run("ls /sys/class/net").split() == ["lo"]
    assert "PRIVATE KEY" not in said


def test_what_is_reached_is_said_and_another_network_can_be_had(place: Place) -> None:
    """By a line of run's on stderr."""
    line = f"airlock-daemon run my {place.image} true"
    done = place.person.try_line(line, cwd=place.project.path)
    assert "airlock: network: none; reachable by HTTPS: localhost" in done.stderr
    assert "eth0" in place.run("ls /sys/class/net", options="--network bridge")
    assert "eth0" in place.run("ls /sys/class/net", options="--docker-arg=--network=bridge")


@pytest.fixture(scope="module")
def make_image(images: Images) -> Iterator[Callable[[str, str], str]]:
    """Return what makes an image of a Dockerfile, until the tests end."""
    with ExitStack() as stack:

        def make(name: str, recipe: str) -> str:
            return stack.enter_context(temporary_image(f"run-api-{name}", recipe))

        yield make


def test_the_shim_starts_the_images_entrypoint_and_command(
    place: Place, images: Images, make_image: Callable[[str, str], str]
) -> None:
    """Which are the container's first process, as without it."""
    recipe = f"FROM {images.busybox}\n" + 'ENTRYPOINT ["sh", "-c", "echo $$ $0 $@"]\nCMD ["a", "b"]'
    image = make_image("entrypoint", recipe)
    run = f"airlock-daemon run my {image}"
    assert place.person.run(run, cwd=place.project.path) == "1 a b"
    assert place.person.run(f"{run} c", cwd=place.project.path) == "1 c"
    done = place.person.try_line(f"airlock-daemon run my {images.busybox}", cwd=place.project.path)
    assert done.exit_code == 1
    assert "does not say what to run" in done.stderr


def test_the_images_own_store_has_the_authority(
    place: Place, images: Images, make_image: Callable[[str, str], str]
) -> None:
    """For what reads no variable; an image without a store has one where most programs look."""
    store = "/etc/ssl/certs/ca-certificates.crt"
    line = place.ask("GET /hello", options=f"-no-CAfile -no-CApath -no-CAstore -CAfile {store}")
    assert "hello from /hello" in place.run(line)
    empty = make_image("empty", f"FROM {images.busybox}\nLABEL store=none")
    assert "BEGIN CERTIFICATE" in place.run(f"cat {store}", image=empty)
    # As Alpine's, which has the one by the name of the other.
    recipe = f"FROM {images.busybox}\nRUN mkdir -p /etc/ssl/certs && echo mine >{store} && "
    linked = make_image("linked", f"{recipe}ln -s certs/ca-certificates.crt /etc/ssl/cert.pem")
    for path in (store, "/etc/ssl/cert.pem"):
        assert "BEGIN CERTIFICATE" in place.run(f"cat {path}", image=linked)


def test_lines_for_docker_begin_such_a_container_too(place: Place) -> None:
    """As `agent add --print docker` prints them, with an image and a command put in."""
    line = "airlock-daemon agent add my --print docker --json"
    said = json.loads(place.person.run(line, cwd=place.project.path))["docker_run"]
    words = f"sh -euc {shlex.quote(place.ask('GET /hello'))}"
    line = said.replace("-it", "-i").replace(
        "IMAGE --exec COMMAND", f"{place.image} --exec {words}"
    )
    assert "hello from /hello" in place.person.run(line, cwd=place.project.path)


def test_a_development_container_has_the_proxy_beside_what_the_editor_starts(
    place: Place, devcontainer: str
) -> None:
    """By the printed devcontainer.json; its network is the engine's own, which an editor needs."""
    person, path = place.person, place.project.path
    said = person.run("airlock-daemon agent add my --print devcontainer", cwd=path)
    person.run("mkdir .devcontainer", cwd=path)
    text = said.replace("IMAGE", place.image)
    person.account.write(path / ".devcontainer/devcontainer.json", text)
    at = f"--workspace-folder {path}"
    begun = json.loads(person.run(f"{devcontainer} up {at}", cwd=path).splitlines()[-1])
    try:
        line = f"sh -euc {shlex.quote(place.ask('GET /hello'))}"
        assert "hello from /hello" in person.run(f"{devcontainer} exec {at} {line}", cwd=path)
    finally:
        person.run(f"docker rm --force {begun['containerId']}", cwd=path)
