"""`airlock-daemon run`: an agent's container of any image, which nobody has changed for it."""

import json
import os
import shlex
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from e2e.world.executables import Executables
from e2e.world.git_server import Repository
from e2e.world.images import Images, temporary_image
from e2e.world.need import need
from e2e.world.person import Person, newcomer
from e2e.world.project import Project
from e2e.world.running import Running
from e2e.world.scene import Stage

RECIPES = {
    "empty": "FROM scratch\nLABEL empty=yes",
    "user": "FROM {busybox}\nUSER 4321:4321",
    "entrypoint": 'FROM {busybox}\nENTRYPOINT ["/bin/sh", "-c", "$0 \\"$@\\" && echo entered"]',
    "path": "FROM {busybox}\nRUN mkdir /own && cp /bin/busybox /own/unzip\nENV PATH=/own:/bin",
    # A tool of the same name in the directory that usually comes first.
    "own-git": "FROM {busybox}\nRUN mkdir -p /usr/local/bin && ln -s /bin/false /usr/local/bin/git",
    # As Alpine's, which sets PATH anew and reads what is in that directory.
    "profile": "FROM {busybox}\nRUN mkdir -p /etc && "
    "echo 'PATH=/bin; for file in /etc/profile.d/*.sh; do . \"$file\"; done' >/etc/profile",
    "arm64": 'FROM scratch\nENTRYPOINT ["/emulator"]',
    "workdir": 'FROM {busybox}\nWORKDIR /elsewhere\nCMD ["echo", "the image\'s own"]',
}
SLEEP = "echo ready; exec sleep 600"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A person with a project, and a daemon that serves the agent `my`."""

    person: Person
    project: Project
    repository: Repository

    def run(self, line: str, *, cwd: Path | None = None) -> str:
        """Return what `airlock-daemon run` prints; it must succeed."""
        return self.person.run(f"airlock-daemon run {line}", cwd=cwd or self.project.path)


@pytest.fixture(scope="module")
def place(stages: dict[str, Stage], executables: Executables, ground: Path) -> Iterator[Place]:
    """Return a person whose agent may use git."""
    stage = stages["user"]
    repository = stage.server.make_repository("run")
    project = Project.make(stage.account, ground / "run", repository)
    with newcomer(stage.account, executables) as person:
        person.run(
            "airlock-daemon agent add my --workspace . --command git --yes", cwd=project.path
        )
        with person.start(said=ground / "run.log"):
            yield Place(person=person, project=project, repository=repository)


@pytest.fixture
def make_image(images: Images) -> Iterator[Callable[..., str]]:
    """Return what makes an image of RECIPES, by options of docker's, until the test ends."""
    with ExitStack() as stack:

        def make(name: str, *options: str) -> str:
            recipe = RECIPES[name].format(busybox=images.busybox)
            return stack.enter_context(temporary_image(f"run-{name}", recipe, *options))

        yield make


@pytest.mark.parametrize("name", ["empty", "user", "path", "own-git", "workdir"])
def test_any_image_pushes(name: str, place: Place, make_image: Callable[..., str]) -> None:
    """One with nothing in it at all, with a user, a PATH, a git or a directory of its own."""
    head = place.project.commit(name)
    place.run(f"my {make_image(name)} git push origin HEAD:agent/x")
    assert place.repository.commit("agent/x") == head


def test_an_image_with_a_tool_of_its_own_uses_airlocks(place: Place, images: Images) -> None:
    """Debian's own git is behind the shim on PATH, and has no key; from a subdirectory, too."""
    head = place.project.commit("debian")
    folder = place.person.account.make_directory(place.project.path / "deep")
    place.run(f"my {images.debian} git -C .. push origin HEAD:agent/x", cwd=folder)
    assert place.repository.commit("agent/x") == head
    assert place.run(f"my {images.debian} sh -c 'command -v git'") == "/opt/airlock-commands/git"


def test_the_entrypoint_the_path_and_the_command_are_the_images_own(
    place: Place, make_image: Callable[..., str]
) -> None:
    """The entrypoint gets the words; PATH goes on behind the commands of the agent."""
    said = place.run(f"my {make_image('entrypoint')} git rev-parse --show-toplevel")
    assert said.split() == [str(place.project.path), "entered"]
    path = make_image("path")
    assert place.run(f"my {path} which unzip") == "/own/unzip"
    assert place.run(f"my {path} sh -c 'echo $PATH'") == "/opt/airlock-commands:/own:/bin"
    assert place.run(f"my {make_image('workdir')}") == "the image's own"


def test_files_belong_to_the_one_who_runs_it(place: Place, make_image: Callable[..., str]) -> None:
    """Whatever user the image has, unless that one is asked for."""
    image = make_image("user")
    account = place.person.account
    place.run(f"my {image} touch mine")
    assert (place.project.path / "mine").stat().st_uid == account.uid
    assert place.run(f"my {image} id -u") == str(account.uid)
    assert place.run(f"my --image-user {image} id -u") == "4321"


def test_the_home_is_a_directory_for_commands_of_the_host_too(place: Place, images: Images) -> None:
    """It lies among files of Airlock's own, and is the container's all the same."""
    place.run(f"my {images.busybox} sh -c 'cd ~ && git init -q kept && cd kept && git status'")
    assert place.run(f"my {images.busybox} sh -c 'cd ~/kept && git rev-parse --git-dir'") == ".git"


def test_a_login_shell_finds_the_commands(place: Place, make_image: Callable[..., str]) -> None:
    """Where /etc/profile reads what is in /etc/profile.d: first, or last, and not twice."""
    ask = "command -v git; echo $PATH"
    said = place.run(f"my {make_image('profile')} sh -lc {shlex.quote(ask)}").split()
    path = "/opt/airlock-commands:/bin:/opt/airlock-host-commands"
    assert said == ["/opt/airlock-commands/git", path]


def test_another_processor_has_the_shim_for_it(
    place: Place, make_image: Callable[..., str]
) -> None:
    """The arm64 shim does the work, in an image that brings what runs its programs here.

    The kernel could begin nothing of another processor with it, so that here the image does.
    """
    program = Path("/usr/bin/qemu-aarch64-static").resolve()
    there = program.exists()
    need(None if there else "there is no qemu-aarch64-static; apt install qemu-user-static")
    if os.uname().machine == "aarch64":
        pytest.skip("arm64 is this machine's own processor")
    head = place.project.commit("arm64")
    emulator = f"--docker-arg=--volume={program}:/emulator:ro"
    image = make_image("arm64", "--platform=linux/arm64")
    line = (
        f"my --json --print {emulator} {image} /opt/airlock-commands/git push origin HEAD:agent/x"
    )
    words = json.loads(place.run(line))["docker_run"]
    entrypoint = words.index("--entrypoint")
    del words[entrypoint : entrypoint + 2]
    words = [word for word in words if word not in ("--exec", "/emulator")]
    place.person.run(shlex.join(words), cwd=place.project.path)
    assert place.repository.commit("agent/x") == head


def test_exit_status_streams_and_terminal_are_dockers(place: Place, images: Images) -> None:
    """A terminal is there where the caller has one, and stdin also where that is a pipe."""
    done = place.person.try_line(
        f"airlock-daemon run my {images.busybox} sh -c 'cat; echo bad >&2; exit 7'",
        cwd=place.project.path,
        stdin=b"typed\n",
    )
    assert (done.exit_code, done.out) == (7, b"typed\n")
    assert done.stderr.splitlines()[-1] == "bad"
    line = f"airlock-daemon run my {images.busybox} tty"
    assert "/dev/pts/" in place.person.run_at_terminal(line, cwd=place.project.path)
    assert place.person.try_line(line, cwd=place.project.path).stdout == "not a tty"


def test_a_signal_reaches_the_container(place: Place, images: Images) -> None:
    """The process that was started is docker, which passes it on, and ends with the container."""
    options = "--docker-arg=--init --docker-arg=--label=airlock.e2e"
    line = f"airlock-daemon run my {options} {images.busybox} sh -c {shlex.quote(SLEEP)}"
    words = place.person.shell(f"cd {place.project.path}; echo pid $$; exec {line}")
    with Running(("env", "-i", *_as_words(place.person.environment), *words)) as running:
        running.wait_for("ready")
        (said,) = running.wait_for("pid ")
        os.kill(int(said.removeprefix("pid ")), signal.SIGTERM)
        assert running.wait() == 128 + signal.SIGTERM


def _as_words(environment: dict[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in environment.items()]
