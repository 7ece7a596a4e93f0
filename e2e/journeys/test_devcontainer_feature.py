"""The feature of Development Containers: published, named in one line, and a push comes out."""

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from e2e.world.container import Container
from e2e.world.engine import docker
from e2e.world.executables import Executables
from e2e.world.images import Images, temporary_image
from e2e.world.person import Person, newcomer
from e2e.world.project import Project
from e2e.world.registry import running_registry
from e2e.world.scene import Stage
from e2e.world.wheels import CHECKOUT
from tasks.blocks import list_blocks
from tasks.release.channels import write_feature

AGENT = "featured"
"""The agent, which has the name of the project's folder: the feature mounts its sockets."""
BINARIES = sorted((CHECKOUT / "packages/airlock-shim/src/airlock_shim/_bin").iterdir())
# As images for development are: a user with a uid that the person on the host need not have.
IMAGE = "FROM {}\nRUN useradd --create-home --shell /bin/bash vscode\nUSER vscode\n"
PAGE = [each.text for each in list_blocks("docs/start/devcontainers.md")]
TEAM = '{"image": "a-team.invalid/image"}'
SECRETS = ("user", "password-of-the-registry")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A person with a project whose agent has git-remote and an API."""

    person: Person
    project: Project
    devcontainer: str

    def run(self, line: str) -> str:
        """Return what the command line of Development Containers prints; it must succeed."""
        return self.person.run(f"{self.devcontainer} {line}", cwd=self.project.path)


@pytest.fixture(scope="module")
def place(
    stages: dict[str, Stage], executables: Executables, ground: Path, devcontainer: str
) -> Iterator[Place]:
    """Return a person whose daemon serves the agent."""
    stage = stages["user"]
    repository = stage.server.make_repository(AGENT)
    project = Project.make(stage.account, ground / AGENT, repository)
    with newcomer(stage.account, executables) as person:
        commands = "--command git-remote --command anthropic"
        person.run(f"airlock agent add {AGENT} --workspace . {commands} --yes", cwd=project.path)
        with person.start(f"{AGENT}/airlock.sock", said=ground / f"{AGENT}.log"):
            yield Place(person=person, project=project, devcontainer=devcontainer)


@pytest.fixture(scope="module")
def feature(place: Place, images: Images, ground: Path) -> Iterator[str]:
    """Publish the feature at a registry; return its name there."""
    user, password = SECRETS
    with running_registry(images.registry, user=user, password=password) as registry:
        # The command line speaks plain HTTP to no other name.
        address = registry.address.replace("127.0.0.1", "localhost")
        write_feature(ground / "feature/airlock", BINARIES)
        login = registry.configuration().replace(registry.address, address)
        account = place.person.account
        settings = account.make_directory(account.home / ".docker")
        account.write(settings / "config.json", login)
        where = f"--registry {address} --namespace acme/airlock"
        place.run(f"features publish {ground / 'feature'} {where}")
        yield f"{address}/acme/airlock/airlock:0"


@pytest.fixture(scope="module")
def container(place: Place, feature: str, images: Images) -> Iterator[Container]:
    """Start the container by a configuration beside the team's own, which stays as it is."""
    person, path = place.person, place.project.path
    file = path / ".devcontainer/airlock/devcontainer.json"
    person.run("mkdir -p .devcontainer/airlock", cwd=path)
    person.account.write(path / ".devcontainer/devcontainer.json", TEAM)
    with temporary_image("feature-base", IMAGE.format(images.debian)) as image:
        (text,) = (text for text in PAGE if '"features"' in text)
        text = text.replace("ghcr.io/OWNER/REPO/airlock:0", feature).replace("IMAGE", image)
        person.account.write(file, text)
        words = f"up --workspace-folder . --config {file}"
        begun = json.loads(place.run(words).splitlines()[-1])
        assert begun["remoteUser"] == "vscode"
        container = Container(id=begun["containerId"])
        made = docker("inspect", "--format={{.Config.Image}}", container.id).succeeded().stdout
        yield container
        person.run(f"docker rm --force {container.id} && docker rmi {made}", cwd=path)


def _execute(place: Place, container: Container, line: str) -> str:
    """Return what a line prints that the editor's terminal would run."""
    words = f"exec --container-id {container.id} --workspace-folder . bash -c {shlex.quote(line)}"
    return place.run(words)


def test_the_images_own_git_pushes(place: Place, container: Container) -> None:
    """As the image's user, who got the person's uid, and without a key."""
    identity = "-c user.name=Ada -c user.email=ada@example.org"
    commit = f"git {identity} commit --quiet --allow-empty --message=feature"
    line = f"cd /workspaces/{AGENT} && {commit} && git push --quiet origin HEAD:agent/feature"
    _execute(place, container, line)
    assert place.project.repository.commit("agent/feature") == place.project.head()
    ls = "ls ~/.ssh 2>/dev/null || command -v ssh"
    assert _execute(place, container, ls) == "/usr/local/bin/ssh"


def test_tools_find_the_proxy_to_the_granted_apis(place: Place, container: Container) -> None:
    """By variables of the login shell, which the editor's own processes get too."""
    assert _execute(place, container, "echo $https_proxy") == "http://127.0.0.1:13128"
    assert _execute(place, container, "echo $ANTHROPIC_API_KEY")
    ask = r"printf 'CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n'"
    said = _execute(place, container, f"{ask} | socat -t5 - TCP:127.0.0.1:13128")
    assert said.startswith("HTTP/1.1 403 airlock: ")


def test_an_agent_with_another_name_is_mounted_by_a_line_of_its_own(
    place: Place, container: Container
) -> None:
    """It takes the place of the feature's own mount."""
    path = place.project.path / ".devcontainer/airlock/devcontainer.json"
    other = path.with_name("other.json")
    (mounts,) = (text for text in PAGE if text.startswith('"mounts"'))
    text = f"{path.read_text().strip().removesuffix('}')},{mounts.replace('NAME', 'other')}}}"
    place.person.account.write(other, text)
    words = "read-configuration --include-merged-configuration --workspace-folder ."
    merged = json.loads(place.run(f"{words} --config {other}"))["mergedConfiguration"]
    (mount,) = merged["mounts"]
    assert "/sockets/other,target=/run/airlock,readonly" in str(mount)


def test_the_container_cannot_replace_its_socket(place: Place, container: Container) -> None:
    """The feature mounts the agent's directory read-only, and no other agent's."""
    assert "Read-only" in _execute(place, container, "touch /run/airlock/x 2>&1 || :")
    assert "airlock.sock" in _execute(place, container, "ls /run/airlock").split()
