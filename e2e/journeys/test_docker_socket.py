"""docker.sock in a container of `run`: the image's own docker and compose, before a real engine."""

import json
import os
import shlex
import shutil
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from e2e.world.engine import WORKER, docker
from e2e.world.executables import Executables
from e2e.world.images import Images, make_builder, make_buildx_client, make_tools
from e2e.world.person import Person, newcomer
from e2e.world.project import Project
from e2e.world.scene import Stage

from .errands.docker import Docker

AGENT = f"composer-{WORKER}"
BUILDER = os.environ.get("AIRLOCK_BUILDER", "")
"""An image of rootless BuildKit; one is compiled nightly for the test of builds."""
COMPOSE = """
services:
  web:
    image: {image}
    command: httpd -f -p 8000 -h /site
    volumes: ["./site:/site:ro"]
    depends_on:
      rows: {{condition: service_healthy}}
  rows:
    image: {image}
    command: sh -c 'echo a row of the database >/data/table; exec sh /data/serve'
    volumes: ["rows:/data"]
    configs: [{{source: serve, target: /data/serve}}]
    healthcheck: {{test: ["CMD", "test", "-s", "/data/table"], interval: 1s, retries: 20}}
configs:
  serve: {{content: "while :; do nc -l -p 5432 </data/table; done"}}
volumes:
  rows:
"""
RECIPE = """
FROM scratch
COPY busybox /bin/sh
COPY busybox /bin/id
COPY busybox /bin/cat
RUN ["/bin/sh", "-c", "id >/made"]
"""
ASK = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'; nc rows 5432 </dev/null\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A person whose agent has docker, in a container with docker's own client and compose."""

    person: Person
    project: Project
    image: str
    busybox: str
    registry: Docker

    def run(self, line: str) -> str:
        """What a line for sh says in a container of the agent; it must succeed."""
        words = f"airlock-daemon run {AGENT} {self.image} sh -euc {shlex.quote(line)}"
        return self.person.run(words, cwd=self.project.path)

    def build(self, line: str) -> str:
        """The output of a shell line in a container with buildx."""
        return replace(self, image=make_buildx_client()).run(line)

    def refuse(self, line: str) -> str:
        """What a line that must fail says on stderr."""
        words = f"airlock-daemon run {AGENT} {self.image} sh -euc {shlex.quote(line)}"
        done = self.person.try_line(words, cwd=self.project.path)
        assert done.exit_code != 0, done.stdout
        return done.stderr


@pytest.fixture(scope="module")
def place(
    stages: dict[str, Stage],
    executables: Executables,
    images: Images,
    docker_errand: Docker,
    ground: Path,
) -> Iterator[Place]:
    """Return the person, while the daemon runs."""
    stage = stages["user"]
    project = Project.make(stage.account, ground / "composed", stage.server.make_repository("own"))
    with ExitStack() as stack:
        person = stack.enter_context(newcomer(stage.account, executables))
        person.run(
            f"airlock-daemon agent add {AGENT} --workspace . --command docker --yes",
            cwd=project.path,
        )
        profile = person.files / f"agents/{AGENT}/airlock.toml"
        registry = docker_errand.address
        granted = (
            f"\n[docker]\nimages = [{json.dumps('docker.io/airlock-e2e/*')}]\n"
            f"registries = [{json.dumps(registry)}]\npush = [{json.dumps(f'{registry}/mine/*')}]\n"
            f"builder = {json.dumps(BUILDER or 'airlock-e2e/builder')}\n"
        )
        stage.account.write(profile, profile.read_text() + granted, mode=0o600)
        sockets = (f"{AGENT}/airlock.sock", f"{AGENT}/docker.sock")
        stack.enter_context(person.start(*sockets, said=ground / "docker-socket.log"))
        yield Place(
            person=person,
            project=project,
            image=make_tools(),
            busybox=images.busybox,
            registry=docker_errand,
        )
        # What is left goes with the agent.
        person.run(f"airlock-daemon agent remove {AGENT} --yes", cwd=project.path)
        person.run("airlock-daemon reload", cwd=project.path)
        left = docker("ps", "--all", "--quiet", f"--filter=label=airlock.agent={AGENT}")
        assert left.succeeded().stdout == ""


def test_compose_runs_an_application_and_its_database(place: Place) -> None:
    """From files of the project; logs are followed, commands run in it, and all of it goes."""
    account, project = place.person.account, place.project.path
    site = account.make_directory(account.make_directory(project / "site") / "cgi-bin")
    account.write(site / "ask", ASK, mode=0o755)
    account.write(project / "compose.yaml", COMPOSE.format(image=place.busybox))
    place.run("docker compose up --detach --quiet-pull")
    asked = "docker compose exec -T web wget -qO- http://127.0.0.1:8000/cgi-bin/ask"
    assert place.run(asked) == "a row of the database"
    account.write(project / "site" / "edited", "by the agent")
    said = place.run("docker compose exec -T web wget -qO- http://127.0.0.1:8000/edited")
    assert said == "by the agent"
    assert "rows" in place.run("docker compose ps --services")
    place.run("docker compose restart --timeout 1 web && docker compose logs --tail 5")
    place.run("docker compose down --volumes --timeout 1")
    assert place.run("docker ps -aq; docker volume ls -q") == ""


def test_the_project_is_mounted_for_its_owner(place: Place) -> None:
    """`docker run -v "$PWD:/src"` makes files that the person owns."""
    said = place.run(f'docker run --rm -v "$PWD:/src" -w /src {place.busybox} sh -c "id -u >made"')
    assert said == ""
    account, made = place.person.account, place.project.path / "made"
    assert made.read_text().strip() == str(account.uid) == str(made.stat().st_uid)
    name = f"owned-{uuid.uuid4().hex[:8]}"
    place.run(f'docker run -d --name {name} -v "$PWD:/src" {place.busybox} sleep 600')
    said = place.run(f"docker exec --user 0 {name} id -u; docker rm -f {name} >&2")
    assert said.strip() == str(account.uid)
    folder = account.make_directory(account.make_directory(place.project.path / "deep") / "er")
    place.run(f'docker run --rm -v "$PWD/deep:/src" {place.busybox} touch /src/er/below')
    assert (folder / "below").stat().st_uid == account.uid
    masked = place.refuse(f"docker run --rm -v /etc:/etc {place.busybox} true")
    assert "airlock: " in masked


def test_a_container_is_entered_followed_and_copied_from(place: Place) -> None:
    """`exec -it` has a terminal, `logs -f` ends with the container, `cp` goes both ways."""
    image = place.busybox
    name = f"entered-{uuid.uuid4().hex[:8]}"
    place.run(f"docker run -d --name {name} {image} sh -c 'echo one; cat /gate; echo two'")
    terminal = f"script -qec 'docker exec -it {name} tty' /dev/null"
    wait = "until test -e /gate; do sleep 0.02; done; echo end"
    loop = f"docker run -d --name {name}-2 {image} sh -c '{wait}'"
    assert "two" in place.run(f"docker logs -f {name} 2>&1; docker rm -f {name} >&2")
    place.run(loop)
    assert "/dev/pts/" in place.run(terminal.replace(name, f"{name}-2"))
    said = place.run(
        f"echo gate >/tmp/gate; docker cp /tmp/gate {name}-2:/gate 2>&1; docker logs -f {name}-2; "
        f"docker cp {name}-2:/gate /tmp/back 2>&1; cat /tmp/back; docker rm {name}-2"
    )
    assert "end\n" in said
    assert "gate\n" in said


def test_images_are_pushed_and_pulled_with_the_persons_login(place: Place) -> None:
    """The container has no login; a name that is not granted is refused."""
    address = place.registry.address
    name = f"{address}/mine/app:{uuid.uuid4().hex[:8]}"
    place.run(f"docker tag {place.busybox} {name}; docker push --quiet {name}")
    place.run(f"docker rmi {name}; docker pull --quiet {name}; docker run --rm {name} true")
    assert "not granted" in place.refuse(f"docker push {place.busybox}")
    assert "not granted" in place.refuse(
        f"docker tag {place.busybox} {address}/other; docker push {address}/other"
    )
    assert place.run("cat ~/.docker/config.json 2>/dev/null || echo none") == "none"
    place.run(f"docker rmi {name}")


@pytest.mark.timeout(7200)
@pytest.mark.parametrize(
    "builder", [pytest.param(BUILDER, marks=[] if BUILDER else [pytest.mark.nightly])]
)
def test_an_image_of_the_project_is_built(place: Place, builder: str) -> None:
    """By the image's own docker and compose, in a builder of the agent's own, with its cache."""
    if not builder:
        make_builder()
    account, project = place.person.account, place.project.path
    folder = account.make_directory(project / "built")
    shutil.copy(shutil.which("busybox") or "", folder / "busybox")
    account.write(folder / "Dockerfile", RECIPE)
    account.write(folder / "compose.yaml", "services: {web: {build: .}}\n")
    name = f"built:{uuid.uuid4().hex[:8]}"
    build = f"docker build --quiet --load -t {name} built"
    first, again = place.build(f"{build}; {build}").split()
    assert first == again
    assert place.run(f"docker run --rm {name} cat /made") == "uid=0 gid=0 groups=0"
    place.build("cd built; docker compose build --quiet; docker compose run --rm web cat /made")
    assert "CACHED" in place.build(f"docker build --progress=plain -t {name} built 2>&1")
    place.build(f"docker rmi {name} built-web; docker rm -f buildx_buildkit_default")


def test_what_runs_on_is_told_and_what_is_masked_stays_masked(place: Place) -> None:
    """When the container of `run` ends; and no mount shows more than that container had."""
    account = place.person.account
    account.make_directory(place.project.path / "kept")
    line = f'docker run --rm -v "$PWD:/src" {place.busybox} touch /src/kept/changed'
    options = "--read-only kept"
    words = f"airlock-daemon run {AGENT} {options} {place.image} sh -euc {shlex.quote(line)}"
    done = place.person.try_line(words, cwd=place.project.path)
    assert "sees a part masked, read-only or mounted from elsewhere" in done.stderr
    assert not (place.project.path / "kept" / "changed").exists()
    line = f"docker run -d --name on {place.busybox} sleep 600 >&2"
    words = f"airlock-daemon run {AGENT} {place.image} sh -euc {shlex.quote(line)}"
    said = place.person.try_line(words, cwd=place.project.path).stderr
    assert f"agent {AGENT} has left running: on ({place.busybox})" in said
    place.run("docker rm -f on")


@pytest.mark.parametrize("decoy", ["", "--tmpfs $PWD", "--tmpfs ${PWD%/*}", "-v own:$PWD"])
def test_no_other_container_leads_past_a_mask(place: Place, decoy: str) -> None:
    """One that binds the agent's own socket has the workspaces that it mounts itself: none here.

    What else it has mounted where a workspace would be, or above, is no workspace.
    """
    place.person.account.make_directory(place.project.path / "masked")
    inner = f"docker run --rm -v $PWD:/src {place.busybox} touch /src/masked/changed"
    socket = f"-v /var/run/docker.sock:/var/run/docker.sock {decoy}"
    line = f'docker run --rm {socket} {place.image} sh -c "docker version && {inner}"'
    words = (
        f"airlock-daemon run {AGENT} --read-only masked {place.image} sh -euc {shlex.quote(line)}"
    )
    done = place.person.try_line(words, cwd=place.project.path)
    assert done.exit_code != 0
    assert "is no path of a workspace of this agent" in done.stderr
    assert not (place.project.path / "masked" / "changed").exists()
