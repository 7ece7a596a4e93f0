"""From nothing to a push out of a container, by what `init` and `agent add` print."""

import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from e2e.world.account import Account
from e2e.world.command import run
from e2e.world.daemon import Daemon
from e2e.world.executables import Executables
from e2e.world.images import Images
from e2e.world.project import TOOLS, Project
from e2e.world.reach import command_line
from e2e.world.scene import Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody with a key, who may use Docker, where the programs of Airlock are on PATH."""

    account: Account
    executables: Executables

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables of the person's login."""
        return self.account.environment(path=f"{self.executables.daemon.parent}:{TOOLS}")

    def shell(self, line: str) -> tuple[str, ...]:
        """Return the argument vector of the person's shell with one line."""
        words = command_line(Path("/bin/sh"), self.account, alongside=[self.executables.daemon])
        return (*words, "-c", line)

    def run(self, line: str, *, cwd: Path) -> str:
        """Return what a line prints; it must succeed."""
        return run(self.shell(line), cwd=str(cwd), env=self.environment).succeeded().stdout

    def run_at_terminal(self, line: str, *, cwd: Path) -> str:
        """The same with a terminal, as somebody has it who types the line."""
        words = ("script", "--quiet", "--return", "--command", line, "/dev/null")
        return self.run(shlex.join(words), cwd=cwd)


@pytest.fixture
def person(user_stage: Stage, executables: Executables) -> Iterator[Person]:
    """Return a person who has nothing of Airlock's at home yet."""
    person = Person(account=user_stage.account, executables=executables)
    home = person.account.home
    before = set(home.iterdir())
    yield person
    for made in set(home.iterdir()) - before:
        shutil.rmtree(made)


def find_block(text: str, start: str) -> str:
    """Return the lines of an indented command, the first of which begins with `start`."""
    lines = text.splitlines()
    first = next(n for n, line in enumerate(lines) if line.strip().startswith(start))
    last = next(n for n, line in enumerate(lines[first:], first) if not line.endswith("\\"))
    return "\n".join(lines[first : last + 1])


def test_the_lines_that_are_printed_lead_to_a_push(
    user_stage: Stage, person: Person, images: Images, ground: Path
) -> None:
    """`init`, `agent add`, the `start` line and the `docker run` that they print, as they stand."""
    repository = user_stage.server.make_repository("from-nothing")
    project = Project.make(person.account, ground / "from-nothing", repository)
    here = project.path
    assert "made " in person.run("airlock-daemon init", cwd=here)
    added = person.run("airlock-daemon agent add my --workspace . --command git --yes", cwd=here)
    start = find_block(added, "airlock-daemon start").strip()
    with Daemon(
        person.shell(start),
        said=ground / "from-nothing.log",
        sockets=lambda: [person.account.home / ".config/airlock/sockets/my/airlock.sock"],
        environment=person.environment,
    ):
        line = find_block(added, "docker run").replace("IMAGE", images.busybox)
        person.run_at_terminal(f"{line} git push origin main", cwd=here)
        assert repository.commit("main") == project.head()
        last = person.run("airlock-daemon log tail", cwd=here).splitlines()[-1]
        assert last.endswith("git push origin main")
