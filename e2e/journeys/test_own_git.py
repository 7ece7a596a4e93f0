"""Images with a git of their own, which nobody has prepared: it reaches its remotes by the shim."""

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from e2e.world.executables import Executables
from e2e.world.images import Images, temporary_image
from e2e.world.person import Person, newcomer
from e2e.world.project import Project
from e2e.world.scene import Stage

from .errands.git import GitOverHttps
from .remotes.layouts import LAYOUTS

TRANSPORTS = ("ssh", "https")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A person with a project, and a daemon that serves the agent `my`, who has git-remote."""

    person: Person
    project: Project

    def url(self, transport: str) -> str:
        """Return the repository's address."""
        repository = self.project.repository
        return repository.url if transport == "ssh" else repository.web_url

    def push(self, line: str, transport: str) -> None:
        """Push a new commit by a container that `line` runs, to a branch of the remote."""
        commit = self.project.commit(line[:20])
        push = f"git push {self.url(transport)} HEAD:refs/heads/agent/{transport}"
        self.person.run_at_terminal(f"{line} {push}", cwd=self.project.path)
        assert self.project.repository.commit(f"agent/{transport}") == commit, line


@pytest.fixture(scope="module")
def place(
    stages: dict[str, Stage],
    git_https_errand: GitOverHttps,
    executables: Executables,
    ground: Path,
) -> Iterator[Place]:
    """Return a person whose agent was registered just now, with the project's remotes."""
    stage = stages["user"]
    repository = stage.server.make_repository("own")
    project = Project.make(stage.account, ground / "own", repository)
    project.git("remote", "add", "web", repository.web_url).succeeded()
    with newcomer(stage.account, executables) as person:
        add = "airlock-daemon agent add my --workspace . --command git-remote --yes"
        person.run(add, cwd=project.path)
        with person.start(said=ground / "own.log"):
            yield Place(person=person, project=project)


@pytest.fixture(scope="module", params=sorted(LAYOUTS))
def image(request: pytest.FixtureRequest, images: Images) -> Iterator[str]:
    """Return an image for each of git's layouts."""
    recipe = LAYOUTS[request.param].format(debian=images.debian, busybox=images.busybox)
    with temporary_image(f"own-git-{request.param}", recipe) as name:
        yield name


one_image = pytest.mark.parametrize("image", ["local"], indirect=True)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_any_git_pushes(place: Place, image: str, transport: str) -> None:
    """By `run`, which knows the image and does not look into it."""
    place.push(f"airlock-daemon run my {image}", transport)


@one_image
def test_the_printed_lines_lead_to_a_push(place: Place, image: str) -> None:
    """Those for docker, compose and devcontainers, which know no image."""
    person, project = place.person, place.project
    said = {
        form: person.run(f"airlock-daemon agent add my --print {form}", cwd=project.path)
        for form in ("docker", "compose", "devcontainer")
    }
    docker_run = said["docker"].replace("IMAGE", image)
    compose = said["compose"].replace("IMAGE", image)
    project.account.write(project.path / "compose.yaml", compose)
    if not (project.path / ".devcontainer").exists():
        project.account.make_directory(project.path / ".devcontainer")
    made = json.loads(said["devcontainer"])
    words = ["docker", "run", "--rm", f"--workdir={made['workspaceFolder']}"]
    words += [f"--mount={mount}" for mount in (made["workspaceMount"], *made["mounts"])]
    words += [f"--env={name}={value}" for name, value in made["containerEnv"].items()]
    # What makes the container for a devcontainer.json gives its user the uid of the caller.
    devcontainer = f'{shlex.join(words)} --user "$(id -u)" {image}'
    for line in (docker_run, "docker compose run --rm agent", devcontainer):
        place.push(line, "ssh")
    person.run("docker compose down", cwd=project.path)


@one_image
def test_what_is_not_granted_comes_to_the_daemon_all_the_same(place: Place, image: str) -> None:
    """The git of the container has no other way to such a remote, and shows the refusal."""
    line = f"airlock-daemon run my {image} git ls-remote http://example.com/x.git"
    done = place.person.try_line(line, cwd=place.project.path)
    assert done.exit_code == 128
    assert "airlock: " in done.stderr
    (last,) = place.person.run("airlock-daemon log tail -n 1", cwd=place.project.path).splitlines()
    assert "git-remote http http://example.com/x.git" in last
