"""A container puts something else in the place of a workspace, and the human starts another one.

`packages/airlock-daemon/tests/serving/test_replaced_workspace.py` has the same without the guards.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from e2e.world.daemon import Daemon
from e2e.world.engine import docker
from e2e.world.executables import Executables
from e2e.world.images import Images
from e2e.world.person import Person, newcomer
from e2e.world.scene import MAPPED, Stage

CANARY = "canary-2c8f"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A person with an agent `part` in `app`, and a directory with a key."""

    person: Person
    images: Images
    source: Path
    home: Path

    @property
    def app(self) -> Path:
        """Return the workspace of the agent."""
        return self.source / "app"

    def run(self) -> str:
        """Return what a container of the agent says of the key in its workspace."""
        line = f"airlock-daemon run part {self.images.busybox} cat {self.app}/key"
        done = self.person.try_line(line, cwd=self.source.parent)
        assert done.exit_code == 1, done
        assert CANARY not in done.stdout + done.stderr
        return done.stderr

    def attack(self, *words: str) -> None:
        """Run a shell's words in a container that has the directory above the workspace."""
        mount = f"--volume={self.source}:{self.source}"
        line = " && ".join(words)
        container = ("run", "--rm", mount, f"--workdir={self.source}", self.images.busybox)
        docker(*container, "sh", "-euc", line).succeeded()


@pytest.fixture
def place(
    stages: dict[str, Stage], executables: Executables, images: Images, tmp_path: Path
) -> Iterator[Place]:
    """Return a person whose daemon serves the agent."""
    account = stages["user"].account
    ground = account.home / "replaced"
    source, home = ground / "src", ground / "home"
    with newcomer(account, executables) as person:
        for folder in (ground, source, source / "app", home):
            account.make_directory(folder)
        account.write(home / "key", CANARY)
        line = "airlock-daemon agent add part --workspace src/app --command git --yes"
        person.run(line, cwd=ground)
        files = account.home / ".config/airlock"
        with Daemon(
            person.shell(f"exec airlock-daemon start --agents {files}/agents.toml"),
            said=tmp_path / "daemon.log",
            sockets=lambda: [files / "sockets/part/airlock.sock"],
            environment=person.environment,
        ):
            yield Place(person=person, images=images, source=source, home=home)


def test_a_link_that_a_container_has_made_is_not_mounted(place: Place) -> None:
    """Neither by run, nor served after a reload."""
    place.attack("mv app old", f"ln -s {place.home} app")
    assert f"{place.app} is a symbolic link" in place.run()
    done = place.person.try_line("airlock-daemon reload", cwd=place.source.parent)
    assert "agent part is not served" in done.stderr


def test_a_directory_that_a_container_has_put_there_is_not_mounted(place: Place) -> None:
    """Which is another one than was noted when the agent was registered."""
    place.attack("mv app old", f"mkdir app && echo {CANARY} > app/key")
    assert f"{place.app} has become another directory" in place.run()


def test_no_agent_is_registered_above_another_one(place: Place) -> None:
    """Nor below it."""
    for name, path in (("mono", "src"), ("inner", "src/app/.git")):
        (place.source.parent / path).mkdir(exist_ok=True)
        line = f"airlock-daemon agent add {name} --workspace {path} --command git --yes"
        done = place.person.try_line(line, cwd=place.source.parent)
        assert done.exit_code == 1
        assert "inside" in done.stderr
    said = place.person.run("airlock-daemon agent list", cwd=place.source.parent)
    assert said.startswith("part\t")


def test_another_directory_at_the_path_of_the_profile_is_refused(user_stage: Stage) -> None:
    """Where the container is proved; no command runs in the one that the profile names."""
    scene = user_stage.scene(profile=MAPPED)
    other = scene.project.path.with_name(f"{scene.project.path.name}-other")
    user_stage.account.make_directory(other)
    setup = scene.setup(scene.images.busybox)
    assert setup.run("git", "status").exit_code == 0
    mounts = {**setup.mounts, "/workspace": (other, "rw")}
    refused = dataclasses.replace(setup, mounts=mounts).run("git", "status")
    assert refused.exit_code == 126
    assert scene.airlock.audit()[-1]["rule"] == "other-directory"
