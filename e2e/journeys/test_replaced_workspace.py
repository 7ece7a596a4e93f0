"""A container puts something else in the place of a workspace, and the human starts another one.

The first attacks without the guards are in `test_replaced_workspace.py` of
`packages/airlock-daemon/tests/serving/daemon`.
"""

import ctypes
import dataclasses
import os
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from e2e.world.engine import docker
from e2e.world.executables import Executables
from e2e.world.images import Images
from e2e.world.person import Person, newcomer
from e2e.world.scene import MAPPED, Stage

CANARY = "canary-2c8f"
SWAPS = 2000
# How often the engine mounts while they go on.
MOUNTS = int(os.environ.get("CANARY_TRIES", "12"))
# What `run` starts in the place of docker: it has the engine do the same again and again, from when
# the swaps have begun until the key is seen. $OFF leaves out what the shim is to compare.
DOCKER = """\
#!/bin/sh
[ "$1" = run ] || exec {docker} "$@"
for word; do
  shift
  case $OFF$word in off--mounted=*|off--read-only=*) ;; *) set -- "$@" "$word" ;; esac
done
touch {folder}/mounting
until [ -e {folder}/swapping ]; do :; done
for i in $(seq {mounts}); do
  said=$({docker} "$@")
  echo "$said"
  [ "$said" != {canary} ] || exit
done
"""


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
        account.write(home / "key", f"{CANARY}\n")
        line = "airlock-daemon agent add part --workspace src/app --command git --yes"
        person.run(line, cwd=ground)
        with person.start("part/airlock.sock", said=tmp_path / "daemon.log"):
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


def exchange(one: Path, other: Path) -> None:
    """Have two paths change their names at once (renameat2(2), RENAME_EXCHANGE)."""
    at_working_directory, both = -100, 2
    paths = (os.fsencode(one), os.fsencode(other))
    call = ctypes.CDLL(None, use_errno=True).renameat2
    if call(at_working_directory, paths[0], at_working_directory, paths[1], both):
        raise OSError(ctypes.get_errno(), "renameat2")


@contextmanager
def swapping(one: Path, other: Path, folder: Path) -> Iterator[None]:
    """Swap two paths all the time, from when the engine is about to mount one of them."""
    is_over, swaps = threading.Event(), 0

    def go() -> None:
        nonlocal swaps
        while not (folder / "mounting").exists():
            if is_over.wait(0.001):
                return
        while not is_over.is_set():
            exchange(one, other)
            swaps += 1
            if swaps == 1:
                (folder / "swapping").touch()

    thread = threading.Thread(target=go)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
    assert swaps >= SWAPS


@pytest.fixture(params=["workspace", "read-only"])
def raced(request: pytest.FixtureRequest, place: Place) -> tuple[str, Path, Path]:
    """Options of `run`, and what changes its name with what: one leads to the key."""
    account, app = place.person.account, place.app
    account.write(app / "key", "own\n")
    if request.param == "workspace":
        return "", app, place.home
    deep = account.make_directory(app / "deep")
    account.write(deep / "key", "own\n")
    link = app / "link"
    link.symlink_to(place.home)
    return f"--read-only {deep}/key", deep, link


def race(place: Place, raced: tuple[str, Path, Path], mounts: int, off: str = "") -> Counter[str]:
    """What containers say whose mounts are made while something else is put there."""
    options, path, other = raced
    account = place.person.account
    folder = account.make_directory(place.source.parent / f"bin{off}")
    docker = shutil.which("docker")
    program = DOCKER.format(docker=docker, folder=folder, mounts=mounts, canary=CANARY)
    account.write(folder / "docker", program, mode=0o755)
    with swapping(path, other, folder):
        line = f"airlock-daemon run {options} part {place.images.busybox} cat {path}/key"
        line = f"export OFF={off} PATH={folder}:$PATH; {line}"
        done = place.person.try_line(line, cwd=place.app)
    found = Counter(done.stdout.split())
    found["refused"] = done.stderr.count("is not what airlock-daemon run has looked at")
    return found


def test_nothing_that_was_put_there_while_the_engine_mounts_is_used(
    place: Place, raced: tuple[str, Path, Path]
) -> None:
    """The shim compares what is mounted with what `run` has looked at, before the command runs."""
    found = race(place, raced, MOUNTS)
    assert {*found} <= {"own", "refused"}
    assert found["refused"]


def test_without_the_comparison_the_container_has_the_key(
    place: Place, raced: tuple[str, Path, Path]
) -> None:
    """So that the race is seen to be one."""
    assert race(place, raced, 20 * MOUNTS, off="off")[CANARY]


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
