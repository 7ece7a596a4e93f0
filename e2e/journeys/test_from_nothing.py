"""From nothing to a push out of a container, by what `init` and `agent add` print."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from e2e.world.daemon import Daemon
from e2e.world.executables import Executables
from e2e.world.git_server import Repository
from e2e.world.images import Images
from e2e.world.person import Person, find_block, newcomer
from e2e.world.project import Project
from e2e.world.scene import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """A newcomer whose agent was registered just now; `said` is what `agent add` printed."""

    person: Person
    project: Project
    repository: Repository
    said: str

    def print(self, form: str) -> str:
        """What `agent add` prints for another kind of container."""
        line = f"airlock-daemon agent add my --print {form}"
        return self.person.run(line, cwd=self.project.path)

    @property
    def daemon(self) -> Daemon:
        """Start the daemon by the line that was printed."""
        line = find_block(self.said, "airlock start").strip()
        return Daemon(
            self.person.shell(f"exec {line}"),
            said=self.project.path.with_suffix(".log"),
            sockets=lambda: [self.person.files / "sockets/my/airlock.sock"],
            environment=self.person.environment,
        )


@pytest.fixture
def beginning(
    user_stage: Stage, executables: Executables, ground: Path, request: pytest.FixtureRequest
) -> Iterator[Beginning]:
    """Return a newcomer who has run `init` and `agent add` in a project."""
    name = request.node.name.replace("_", "-")
    repository = user_stage.server.make_repository(name)
    project = Project.make(user_stage.account, ground / name, repository)
    with newcomer(user_stage.account, executables) as person:
        assert "made " in person.run("airlock-daemon init", cwd=project.path)
        add = "airlock-daemon agent add my --workspace . --command git --yes"
        said = person.run(add, cwd=project.path)
        yield Beginning(person=person, project=project, repository=repository, said=said)


def test_the_printed_run_leads_to_a_push(beginning: Beginning, images: Images) -> None:
    """`init`, `agent add`, and then the `start` and the `run` that they print, as they stand."""
    person, here = beginning.person, beginning.project.path
    with beginning.daemon:
        line = find_block(beginning.said, "airlock run").replace("IMAGE", images.busybox)
        person.run_at_terminal(f"{line} git push origin HEAD:agent/x", cwd=here)
        assert beginning.repository.commit("agent/x") == beginning.project.head()
        last = person.run("airlock-daemon log tail", cwd=here).splitlines()[-1]
        assert last.endswith("git push origin HEAD:agent/x")


def test_a_container_makes_no_directory_where_a_socket_belongs(
    beginning: Beginning, images: Images
) -> None:
    """In none of the printed forms: docker would make it as root's, in the daemon's way."""
    person, here = beginning.person, beginning.project.path
    compose = beginning.print("compose").replace("IMAGE", images.busybox)
    (person.files / "sockets/my").rmdir()
    beginning.project.account.write(here / "compose.yaml", compose)
    line = beginning.print("docker").replace("-it", "-i").replace("IMAGE", images.busybox)
    for attempt in (line, "docker compose run --rm -T agent"):
        done = person.try_line(f"{attempt} git push", cwd=here)
        assert done.exit_code != 0
        assert "bind source path does not exist" in done.stderr
        assert not list((person.files / "sockets").iterdir())
    person.run("docker compose down", cwd=here)
