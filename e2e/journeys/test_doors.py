"""Ways out of a container beside Airlock's."""

import json
import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from e2e.world.command import Completed
from e2e.world.container import FOR_EVER, Setup, started
from e2e.world.executables import Executables
from e2e.world.images import Images
from e2e.world.person import Person, newcomer
from e2e.world.project import Project
from e2e.world.scene import UNMAPPED, Scene, Stage

ENGINE = "/var/run/docker.sock"
ACCEPTED = f"{UNMAPPED}\n[workspace]\nengine_socket = true\n"
DOORS = {
    "as a file": (f"--volume={ENGINE}:{ENGINE}", ENGINE),
    "by another name": (f"--volume={ENGINE}:/harmless", "/harmless"),
    "in its directory": (f"--volume={Path(ENGINE).resolve().parent}:/r:ro", "/r/docker.sock"),
    "with the whole host": ("--volume=/:/host", "/docker.sock"),
}


def said_by(scene: Scene, image: str, option: str, *argv: str) -> tuple[int, str]:
    """The exit status of a command in a container with this option, and what it says."""
    done = scene.setup(image, option).run(*argv)
    return done.exit_code, done.stderr


@pytest.mark.parametrize("name", DOORS)
def test_a_container_with_the_engines_socket_is_refused(
    name: str, user_stage: Stage, images: Images
) -> None:
    """It is root on the host. Whether a command needs a workspace makes no difference."""
    scene = user_stage.scene(profile=UNMAPPED)
    option, point = DOORS[name]
    for argv in (("git", "status"), ("git", "push", "origin", "main"), ("ssh", "host", "true")):
        status, said = said_by(scene, images.busybox, option, *argv)
        assert status == 126
        assert "airlock: the container has the socket of a container engine" in said
        assert point in said
        assert "engine_socket = true" in said
    assert scene.project.repository.commit("main") is None
    refused = [each["rule"] for each in scene.airlock.audit() if each["event"] == "exec"]
    assert refused == ["engine-socket"] * 3


def test_it_is_served_where_the_profile_accepts_it(user_stage: Stage, images: Images) -> None:
    """The same container, with the guard off."""
    scene = user_stage.scene(profile=ACCEPTED)
    option, _ = DOORS["as a file"]
    assert said_by(scene, images.busybox, option, "git", "push", "origin", "main")[0] == 0
    assert scene.project.repository.commit("main") == scene.project.head()


@pytest.fixture
def neighbour(images: Images) -> Iterator[str]:
    """The id of a container of nobody's that has the engine's socket."""
    with started(images.busybox, f"--volume={ENGINE}:/s", command=FOR_EVER) as container:
        yield container.id


HOSTS = f"{os.getpid()}/root{Path(ENGINE).resolve()}"
"""The engine's socket by a process of this host; a link would lead from the container's root."""
OTHERS = {
    "of a container": (
        "--pid=container:{}",
        "/proc/1/root/s",
        "shares the processes of another",
    ),
    "of the host": ("--volume=/proc:/hp", f"/hp/{HOSTS}", 'processes of others in "/hp"'),
    "instead of its own": ("--volume=/proc:/proc", f"/proc/{HOSTS}", "others in"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_container_that_sees_processes_of_others_is_refused(
    name: str, neighbour: str, user_stage: Stage, images: Images
) -> None:
    """It has the files of each, and so the engine's socket: where that is accepted it is served."""
    option, socket, expected = OTHERS[name]
    option = option.format(neighbour)
    scene = user_stage.scene(profile=UNMAPPED)
    can = scene.setup(images.busybox, option, "--privileged").run("test", "-S", socket)
    assert can.exit_code == 0
    for argv in (("git", "status"), ("git", "push", "origin", "main")):
        status, said = said_by(scene, images.busybox, option, *argv)
        assert status == 126
        assert expected in said
        assert "engine_socket = true" in said
    assert scene.project.repository.commit("main") is None
    refused = [each["rule"] for each in scene.airlock.audit() if each["event"] == "exec"]
    assert refused == ["others-processes"] * 2
    scene = user_stage.scene(profile=ACCEPTED)
    assert said_by(scene, images.busybox, option, "git", "push", "origin", "main")[0] == 0


def test_a_changed_root_does_not_hide_the_socket(user_stage: Stage, images: Images) -> None:
    """A process in it sees no mount outside of it: the container's own are looked at instead."""
    scene = user_stage.scene(profile=UNMAPPED)
    option, point = DOORS["as a file"]
    sockets = f"--volume={scene.agent.socket_directory}:/jail/run/airlock:ro"
    client = "chroot /jail /bin/git-ssh git@localhost \"git-upload-pack 'x'\""
    with scene.setup(images.busybox, option, sockets).running() as container:
        container.run("sh", "-c", "mkdir /jail/bin && cp /usr/local/bin/git /jail/bin/git-ssh")
        done = container.run("sh", "-c", client)
    assert done.exit_code == 126
    assert point in done.stderr


def test_a_container_whose_first_process_changes_its_root_is_refused(
    user_stage: Stage, images: Images
) -> None:
    """Nothing shows what it has mounted."""
    scene = user_stage.scene(profile=UNMAPPED)
    option, _ = DOORS["as a file"]
    sockets = f"--volume={scene.agent.socket_directory}:/jail/run/airlock:ro"
    jail = "mkdir /jail/bin && cp /usr/local/bin/git /jail/bin/git-ssh && exec chroot /jail"
    client = "/bin/git-ssh git@localhost \"git-upload-pack 'x'\""
    done = scene.setup(images.busybox, option, sockets).run("sh", "-c", f"{jail} {client}")
    assert done.exit_code == 126
    assert "changed its root" in done.stderr


def test_a_directory_that_docker_made_in_the_place_of_a_socket_is_none(
    user_stage: Stage, images: Images, tmp_path: Path
) -> None:
    """And what else of the host is mounted is not called a socket of an engine either."""
    scene = user_stage.scene(profile=UNMAPPED)
    option = f"--volume={scene.agent.socket_directory}:/var/run/docker.sock:ro"
    status, said = said_by(scene, images.busybox, option, "git", "push", "origin", "main")
    assert (status, "engine" in said) == (0, False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """A person with a project, and a daemon that serves the agent `my`, who may use git."""

    person: Person
    project: Project
    image: str

    def run(self, script: str, *options: str) -> Completed:
        """Run a script in a container of `airlock-daemon run`, in the project."""
        line = shlex.join(("airlock-daemon", "run", "my", *options, self.image, "sh", "-c", script))
        return self.person.try_line(line, cwd=self.project.path)

    def list_doors(self) -> list[str]:
        """Return what `doctor` finds of containers of agents, as container and problem."""
        done = self.person.try_line("airlock-daemon doctor --json", cwd=self.project.path)
        report = json.loads(done.out)
        told = (*report["findings"], *report["notes"])
        return [f"{each['source']} {each['problem']}" for each in told if each["name"] == "doors"]


@pytest.fixture(scope="module")
def desk(
    stages: dict[str, Stage], executables: Executables, ground: Path, images: Images
) -> Iterator[Desk]:
    """Return such a person, who works with an image of one program."""
    stage = stages["user"]
    project = Project.make(stage.account, ground / "doors", stage.server.make_repository("doors"))
    with newcomer(stage.account, executables) as person:
        person.run(
            "airlock-daemon agent add my --workspace . --command git --yes", cwd=project.path
        )
        with person.start(said=ground / "doors.log"):
            yield Desk(person=person, project=project, image=images.busybox)


def test_doctor_tells_the_ways_out_of_a_container(desk: Desk, images: Images) -> None:
    """The engine's socket, those of all agents, and what an editor forwards to it."""
    assert desk.list_doors() == []
    sockets = desk.person.files / "sockets"
    listen = (
        "for name in ssh-auth git; do socat UNIX-LISTEN:/tmp/vscode-$name-1.sock - & done; wait"
    )
    plain = Setup(image=images.debian, mounts={"/run/airlock": (sockets / "my", "ro")})
    bad = Setup(
        image=images.debian,
        mounts={"/run/airlock/sockets": (sockets, "ro")},
        options=(f"--volume={ENGINE}:{ENGINE}", "--env=SSH_AUTH_SOCK=/tmp/agent"),
    )
    with plain.running(), bad.running() as container, container.start("sh", "-c", listen, cwd="/"):
        names = "ls /tmp/vscode-ssh-auth-1.sock /tmp/vscode-git-1.sock"
        container.run("sh", "-c", f"until {names}; do sleep 0.1; done", cwd="/").succeeded()
        told = desk.list_doors()
    assert len({each.split()[1] for each in told}) == 1, told
    for expected in (
        "has the socket of a container engine",
        "has the sockets of all agents",
        "has your ssh-agent, which an editor forwards",
        "has the git helper of an editor",
        'was started with SSH_AUTH_SOCK="/tmp/agent"',
    ):
        assert sum(expected in each for each in told) == 1, told


def test_doctor_tells_whose_processes_a_container_sees(
    desk: Desk, neighbour: str, images: Images
) -> None:
    """Its own, or those of a container that has joined it later, which no request shows."""
    sockets = desk.person.files / "sockets"
    plain = Setup(image=images.busybox, mounts={"/run/airlock": (sockets / "my", "ro")})
    with plain.running() as container:
        assert desk.list_doors() == []
        join = (f"--pid=container:{container.id}", f"--volume={ENGINE}:/s")
        with started(images.busybox, f"--pid=container:{container.id}", command=FOR_EVER):
            assert desk.list_doors() == []
        with started(images.busybox, *join, command=FOR_EVER):
            (told,) = desk.list_doors()
            assert 'which has the socket of a container engine, "/s"' in told
    for option in (f"--pid=container:{neighbour}", "--volume=/proc:/hp"):
        seeing = Setup(image=plain.image, mounts=plain.mounts, options=(option,))
        with seeing.running():
            (told,) = desk.list_doors()
            assert "processes of" in told


def test_run_refuses_to_open_them(desk: Desk) -> None:
    """What a person adds to the words for docker is looked at before."""
    refused = desk.run("true", f"--docker-arg=--volume={ENGINE}:{ENGINE}")
    assert refused.exit_code == 1
    assert "would give the container the socket of a container engine" in refused.stderr


def test_a_container_cannot_change_what_is_read_only(desk: Desk) -> None:
    """Nor put something in its place, by what is above it. git in a box sees it as it is."""
    folder = desk.person.account.make_directory(desk.project.path / "deep")
    desk.person.run("echo mine >deep/file", cwd=desk.project.path)
    attack = (
        "echo evil >deep/file; rm -f deep/file; mv deep/file gone; mv deep gone; "
        "ln -sf /etc/passwd deep/file; echo ok >deep/other; git status --short deep"
    )
    done = desk.run(attack, "--read-only", "deep/file")
    assert (folder / "file").read_text() == "mine\n"
    assert (folder / "other").read_text() == "ok\n"
    assert done.stdout.split() == ["??", "deep/"], done.stderr
    # Without the option the same gets through.
    assert not desk.run(attack).stderr.startswith("airlock: a container")
    assert (desk.project.path / "gone").exists()


def test_a_container_cannot_make_what_is_read_only_and_not_there(desk: Desk) -> None:
    """Nothing is left of it in the workspace when the container has ended."""
    attack = "echo evil >.envrc; mkdir -p .vscode && echo evil >.vscode/tasks.json; mv .envrc x"
    done = desk.run(attack, "--read-only", ".envrc", "--read-only", ".vscode/")
    assert done.stderr.count("Read-only file system") == 2
    assert not (desk.project.path / ".envrc").exists()
    assert not (desk.project.path / ".vscode").exists()
    assert "new in" not in done.stderr
    told = desk.run(attack).stderr
    assert f"airlock: new in {desk.project.path} since it was noted" in told
    assert "tasks.json:1: evil (an editor that opens the directory obeys it)" in told


def test_what_another_container_could_replace_is_not_mounted(desk: Desk) -> None:
    """It could put a link there, and the engine would mount what that leads to."""
    mount = f"--volume={desk.project.path}:/w"
    setup = Setup(image=desk.image, mounts={}, options=(mount,))
    with setup.running():
        refused = desk.run("true", "--read-only", "file")
    assert refused.exit_code == 1
    assert "that runs can write to" in refused.stderr
