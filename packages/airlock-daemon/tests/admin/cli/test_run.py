"""Tests of `airlock run`: the words that docker gets, and what is refused before.

A stand-in answers for docker, so that they run where no engine does; e2e/journeys/test_run.py has
real containers.
"""

import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from airlock_daemon.admin.cli.image import inspect_image, list_running
from airlock_daemon.admin.cli.machine import User, add_user, read_image
from airlock_daemon.admin.cli.mounted_workspaces import choose_workspaces
from airlock_daemon.admin.cli.wiring import HOME, Mount
from airlock_daemon.errors import AirlockError
from airlock_daemon.setup.state import State
from airlock_daemon.setup.stored import Secrets
from commanding import run
from running import Daemon
from worlds import World

IMAGE = {
    "Id": "sha256:0123",
    "Os": "linux",
    "Architecture": platform.machine(),
    "Config": {"Env": ["PATH=/own:/bin"], "Entrypoint": ["/entry"], "Cmd": ["serve"]},
}
SHIM = "/opt/airlock-commands/airlock-shim"
API = """
[api.forge]
hosts = ["forge.example.com"]
credential = { as = "header", stored = "forge", placeholder = "frg_{36}" }
allow = ["GET /**"]
env = { FORGE_TOKEN = "{placeholder}" }
files = { "~/.forge" = "{placeholder}" }
[workspace]
host = true
"""
STAND_IN = """\
#!/bin/sh
echo "$@" >>"$0.calls"
case $1 in
image) cat "$0.said"; exec sh "$0.status" ;;
create) [ ! -e "$0.fails" ] || { echo "no space left" >&2; exit 1; }
    echo made; exit ;;
cp) path=$0.files${2#made:}
    [ -e "$path" ] || [ -L "$path" ] || { echo "Could not find the file $2" >&2; exit 1; }
    exec tar -C "${path%/*}" -c "${path##*/}" ;;
rm) exit ;;
esac
for word; do printf '%s\\n' "$word"; done
exit 7
"""


class StandIn:
    """A `docker` on PATH: it describes one image, and prints the words of `docker run`."""

    def __init__(self, program: Path) -> None:
        self.program = program
        program.write_text(STAND_IN)
        program.chmod(0o755)
        self.says(json.dumps([IMAGE]))

    def has(self, path: str, text: str) -> None:
        """Give the image a file."""
        file = Path(f"{self.program}.files{path}")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def links(self, path: str, target: str) -> None:
        """Give the image a symbolic link."""
        file = Path(f"{self.program}.files{path}")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.symlink_to(target)

    def forget(self, path: str) -> None:
        """Take a file, a link or a directory from the image."""
        file = Path(f"{self.program}.files{path}")
        if file.is_dir() and not file.is_symlink():
            shutil.rmtree(file)
        else:
            file.unlink(missing_ok=True)

    def says(self, text: str, *, status: int = 0) -> None:
        """Have `docker image inspect` say that, on stderr where it fails."""
        Path(f"{self.program}.said").write_text("" if status else text)
        complain = f"echo {shlex.quote(text)} >&2\n" if status else ""
        Path(f"{self.program}.status").write_text(f"{complain}exit {status}\n")


@pytest.fixture
def docker(world: World, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """The stand-in, in front of everything else; the current directory is the workspace."""
    bin_directory = world.root / "bin"
    bin_directory.mkdir()
    monkeypatch.setenv("PATH", str(bin_directory), prepend=os.pathsep)
    monkeypatch.chdir(world.workspace)
    return StandIn(bin_directory / "docker")


@pytest.fixture
def daemon(world: World, docker: StandIn) -> Iterator[Daemon]:
    """A daemon that serves the agent."""
    with Daemon(world) as daemon:
        yield daemon


def read_line(text: str) -> list[str]:
    """The words of a line that is broken for people."""
    return shlex.split(text.replace("\\\n", ""))


def words_of(world: World, *args: str) -> list[str]:
    """The words of the line that `run --print` shows."""
    return read_line(run(world, "run", "my", "--print", *args).stdout)


def looked_at(*paths: str) -> list[str]:
    """What the shim is told of directories that are mounted at the same path."""
    found = [f"--kernel={Path('/proc/sys/kernel/random/boot_id').read_text().strip()}"]
    for path in paths:
        status = os.stat(path)
        device = f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
        found.append(f"--mounted={device}:{status.st_ino}:{path}")
    return found


def test_no_engine_is_run_that_an_agent_may_have_written(
    world: World, docker: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a virtual environment of the workspace, or by a link that leads there."""
    written = world.workspace / ".venv/bin"
    written.mkdir(parents=True)
    world.write_profile(f'[workspace]\nsame_path = ["{world.workspace}"]\n')
    (world.root / "links").mkdir()
    (world.root / "links/docker").symlink_to(written / "docker")
    StandIn(written / "docker")
    for place in (written, world.root / "links"):
        with monkeypatch.context() as changed:
            changed.setenv("PATH", str(place), prepend=os.pathsep)
            said = run(world, "run", "my", "--print", "image", status=1).stderr
        assert f"docker would be {place}/docker, which is in a workspace" in said
        assert not Path(f"{written}/docker.calls").exists()


def choose(world: World, *named: str) -> tuple[Mount, ...]:
    """The directories that a container of the agent gets."""
    setup = world.load()
    return tuple(choose_workspaces(setup, setup.generations["my"], named))


def test_the_command_becomes_docker(world: World, daemon: Daemon) -> None:
    """With docker's exit status; the words of the container stay as they are."""
    said = run(world, "run", "my", "tool:1", "sh", "--config", "-c", "a b", status=7)
    words = said.stdout.splitlines()
    assert words[:4] == ["run", "-i", "--rm", "--user"]
    begin = ["--entrypoint", SHIM, "--pull=never", "tool:1", "--exec"]
    begin += looked_at(str(world.workspace))
    assert words[-12:] == [*begin, "/entry", "sh", "--config", "-c", "a b"]
    assert "PATH=/opt/airlock-commands:/own:/bin" in words
    shim = [word for word in words if word.endswith(",target=/opt/airlock-commands/git,readonly")]
    assert len(shim) == 1
    assert os.access(shim[0].split(",")[1].removeprefix("source="), os.X_OK)


def test_the_report_is_shown_whatever_the_container_printed(
    world: World, daemon: Daemon, docker: StandIn
) -> None:
    """A control string that never ends would swallow it. Only a terminal gets the end of one."""
    evil = r"printf '\033[8m\033P'; echo evil >>.envrc; exit 7"
    docker.program.write_text(STAND_IN.replace("exit 7", evil))
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "airlock_daemon", "--config", str(world.config)]
    command += ["--agents", str(world.agents_file), "run", "my", "tool:1"]
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, stdin=theirs) as process:
        os.close(theirs)
        said = b"".join(iter(lambda: read_terminal(ours), b""))
    os.close(ours)
    assert process.returncode == 7
    _, begun, after = said.partition(b"\x1b[8m\x1bP")
    assert begun
    ended, _, _ = after.partition(b"airlock: new in")
    assert ended.endswith(b"\x1b\\\x1b(B\x0f\x1b[0m")
    assert "\x1b\\" not in run(world, "run", "my", "tool:1", status=7).stderr


def read_terminal(terminal: int) -> bytes:
    """What is said there, nothing when nobody has its other end any more."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


def test_what_the_container_left_for_the_persons_own_tools_is_told(
    world: World, daemon: Daemon, docker: StandIn
) -> None:
    """On stderr, when it has ended: what was not there before, or not noted, and nothing else."""
    (world.workspace / ".envrc").write_text("true\n")
    assert "new in" not in run(world, "run", "my", "tool:1", status=7).stderr
    docker.program.write_text(STAND_IN.replace("exit 7", "echo evil >>.envrc; exit 7"))
    said = run(world, "run", "my", "tool:1", status=7).stderr
    assert f"airlock: new in {world.workspace} since this container was started" in said
    assert "airlock:   .envrc:2: evil (direnv runs it on entering the directory)\n" in said
    assert said.endswith("airlock scan my --new\n")
    # It was there when this one was started.
    docker.program.write_text(STAND_IN)
    assert "new in" not in run(world, "run", "my", "tool:1", status=7).stderr
    run(world, "scan", "my", "--accept")
    (world.workspace / ".envrc").write_text("true\nevil\nmore\n")
    said = run(world, "run", "my", "tool:1", status=7).stderr
    assert "since it was noted" in said
    assert [line for line in said.splitlines() if ".envrc" in line] == [
        "airlock:   .envrc:3: more (direnv runs it on entering the directory)"
    ]


def test_print_shows_the_line_and_needs_no_daemon(world: World, docker: StandIn) -> None:
    """A shell reads it as the words that `--json` lists, which are those that docker would get."""
    words = words_of(world, "tool", "a b")
    assert words[:3] == ["docker", "run", "-i"]
    assert words[-5:] == ["--pull=never", "tool", "--exec", "/entry", "a b"]
    said = run(world, "run", "--print", "--json", "my", "tool", "a b").stdout
    assert json.loads(said) == {"docker_run": words}


def test_options_stand_on_either_side_of_the_agent(world: World, docker: StandIn) -> None:
    """Words for docker come last before the image, so that they count more."""
    words = words_of(world, "--docker-arg", "--init", "--docker-arg=--env=A=b c", "tool", "--init")
    end = ["--pull=never", "tool", "--exec", "/entry"]
    assert words[-7:] == ["--init", "--env=A=b c", *end, "--init"]
    before = run(world, "run", "--docker-arg=--init", "--print", "my", "tool").stdout
    assert read_line(before)[-6:] == ["--init", *end, "serve"]
    assert f"{os.geteuid()}:{os.getegid()}" in words
    assert "--user" not in words_of(world, "--image-user", "tool")


def test_other_agents_bridges_matter_only_where_words_for_docker_may_mount_them(
    world: World, docker: StandIn
) -> None:
    """A note that cannot be read stops no other container."""
    notes = world.config / "state" / "bridges"
    notes.mkdir(parents=True)
    (notes / "other").touch()
    assert words_of(world, "tool")[-1] == "serve"
    said = run(world, "run", "my", "--print", "--docker-arg=--init", "tool", status=1).stderr
    assert "has no name of a volume" in said


def test_an_entrypoint_and_networks_of_the_caller_count_as_with_docker(
    world: World, docker: StandIn
) -> None:
    """The shim starts that entrypoint, without the image's command; --network names one, too."""
    words = words_of(world, "--docker-arg=--entrypoint=/mine", "tool")
    assert words[-3:] == ["tool", "--exec", "/mine"]
    assert "--network" not in words
    words = words_of(world, "--docker-arg=--net=a", "--network", "b", "tool")
    assert words[words.index("--network") :][:4] == ["--network", "b", "--network", "a"]
    said = run(world, "run", "my", "--print", "--docker-arg=--entrypoint=", "tool", status=1).stderr
    assert 'the image "tool" does not say what to run\n' in said
    docker.says(json.dumps([IMAGE | {"Config": {"Entrypoint": [""], "Cmd": ["serve"]}}]))
    assert words_of(world, "tool")[-3:] == ["tool", "--exec", "serve"]


def test_the_container_of_an_agent_with_an_api_reaches_it_by_the_broker_alone(
    world: World, docker: StandIn
) -> None:
    """It has a placeholder, a proxy, the certificates where the image has its own, no network."""
    docker.has("/etc/ssl/cert.pem", "")
    world.write_profile(API)
    done = run(world, "run", "my", "--print", "tool")
    words = read_line(done.stdout)
    assert "https_proxy=http://127.0.0.1:13128" in words
    (token,) = (word for word in words if word.startswith("FORGE_TOKEN=frg_"))
    assert len(token) == len("FORGE_TOKEN=frg_") + 36
    assert words[words.index("--network") :][:4] == ["--network", "none", "--entrypoint", SHIM]
    (store,) = (word for word in words if word.endswith("target=/etc/ssl/cert.pem,readonly"))
    assert f"source={world.config}/sockets/my/ca-bundle.pem," in store
    assert "airlock: network: none; reachable by HTTPS: forge.example.com; for" in done.stderr
    (file,) = (word for word in words if f"target={HOME}/.forge," in word)
    text = Path(file.split(",")[1].removeprefix("source=")).read_text()
    assert text == token.removeprefix("FORGE_TOKEN=")
    assert words_of(world, "--network", "none", "tool") == words


def test_a_container_waits_for_the_certificates_of_its_broker(
    world: World, docker: StandIn
) -> None:
    """Where the daemon that serves the agent has no broker, nothing is started."""
    with Daemon(world):
        world.write_profile(API)
        said = run(world, "run", "my", "tool", status=1).stderr
    assert "the HTTPS broker of agent my does not run, and has not made " in said
    assert said.endswith("airlock doctor\n")
    assert not Path(f"{docker.program}.calls").exists()


def test_an_image_without_a_path_has_that_of_docker(world: World, docker: StandIn) -> None:
    """`FROM scratch` sets none, and some engines leave the settings out; an empty one is none."""
    for settings in ({"Env": None}, {}, None, {"Env": ["PATH="]}):
        docker.says(json.dumps([IMAGE | {"Config": settings}]))
        (path,) = (word for word in words_of(world, "tool", "sh") if word.startswith("PATH="))
        assert path.startswith("PATH=/opt/airlock-commands:/usr/local/sbin:/usr/local/bin:")


def test_the_shim_is_for_the_processor_of_the_image(world: World, docker: StandIn) -> None:
    """One for which there is none is refused, and so is another system than Linux."""
    docker.says(json.dumps([IMAGE | {"Architecture": "arm64"}]))
    assert any("airlock-shim-linux-aarch64," in word for word in words_of(world, "tool"))
    for other, said in (
        ({"Architecture": "s390x"}, "no shim for the processor s390x\nairlock: hint: there is one"),
        ({"Os": "windows"}, 'the image "tool" is for "windows", and the shim for Linux\n'),
    ):
        docker.says(json.dumps([IMAGE | other]))
        assert said in run(world, "run", "my", "--print", "tool", status=1).stderr


def test_what_docker_does_not_tell_is_refused_with_a_remedy(
    world: World, docker: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An image that is not there is never fetched."""
    docker.says("Error response from daemon: No such image: tool:latest", status=1)
    said = run(world, "run", "my", "--print", "tool", status=1).stderr
    assert said.endswith(
        'airlock: there is no image "tool" on this machine\n'
        "airlock: hint: fetch or build it first: docker pull, or docker build -t\n"
    )
    docker.says("Error response from daemon: invalid reference format", status=1)
    said = run(world, "run", "my", "--print", "IMAGE", status=1).stderr
    assert 'airlock: "IMAGE" is no name of an image\n' in said
    assert said.endswith("one that this machine has: docker images\n")
    docker.says("Cannot connect to the \x1b[1mDocker daemon", status=1)
    said = run(world, "run", "my", "--print", "tool", status=1).stderr
    assert 'the image "tool": "Cannot connect to the \\u{1b}[1mDocker daemon"' in said
    assert said.endswith("airlock: hint: start it: sudo systemctl start docker\n")
    docker.says("permission denied while trying to connect to the Docker daemon socket", status=1)
    said = run(world, "run", "my", "--print", "tool", status=1).stderr
    assert "airlock: hint: sudo usermod -aG docker" in said
    docker.says("what it never said before", status=1)
    said = run(world, "run", "my", "--print", "tool", status=1).stderr
    assert said.endswith("whether it runs: docker info\n")
    docker.says("[]")
    assert (
        "something else than an image"
        in run(world, "run", "my", "--print", "tool", status=1).stderr
    )
    monkeypatch.setenv("PATH", "/nowhere")
    said = run(world, "run", "my", "--print", "tool", status=1).stderr
    assert "docker is not on your PATH" in said


def test_files_of_the_image_that_are_no_files_are_none(world: World, docker: StandIn) -> None:
    """A directory, a link that leads to itself, and what is too large."""
    user = User(uid=1003, gid=1003, name="ada", group="ada")
    for number, put in enumerate(("directory", "loop", "large")):
        docker.says(json.dumps([IMAGE | {"Id": f"sha256:{number}"}]))
        docker.forget("/etc/passwd")
        if put == "directory":
            docker.has("/etc/passwd/x", "")
        elif put == "loop":
            docker.links("/etc/passwd", "passwd")
        else:
            docker.has("/etc/passwd", "x" * ((1 << 20) + 1))
        image = inspect_image(str(docker.program), "tool")
        if put == "large":
            with pytest.raises(AirlockError, match="/etc/passwd is larger than"):
                read_image(str(docker.program), image, locations=world.locations, user=user)
            continue
        known = read_image(str(docker.program), image, locations=world.locations, user=user)
        assert known.accounts == add_user(user, passwd=None, group=None, login_shell="/bin/sh")


def test_the_container_that_files_are_read_from_never_runs(world: World, docker: StandIn) -> None:
    """It is removed with its volumes, and has no network. Where none can be made it is told why."""
    words_of(world, "tool")
    calls = Path(f"{docker.program}.calls").read_text().splitlines()
    assert [call.split()[0] for call in calls if not call.startswith("cp ")] == [
        *("image", "create", "rm"),
    ]
    assert calls[1] == "create --network=none --entrypoint=/airlock sha256:0123"
    assert calls[-1] == "rm --force --volumes made"
    Path(f"{docker.program}.fails").touch()
    docker.says(json.dumps([IMAGE | {"Id": "sha256:other"}]))
    said = run(world, "run", "my", "--print", "tool", status=1).stderr
    assert 'airlock: docker cannot copy files out of the image: "no space left"\n' in said


def test_an_image_without_git_is_told_where_its_own_is_granted(
    world: World, docker: StandIn
) -> None:
    """Refused where git is called, else a warning; where the host's git is granted it is none."""
    (world.config / "config.toml").write_text('[commands]\nenable = ["git-remote", "git"]\n')
    world.write_profile(commands='["git-remote"]')
    said = run(world, "run", "my", "--print", "tool", "git", "push", status=1).stderr
    assert 'airlock: the image "tool" has no git on its PATH' in said
    assert "airlock: hint: use an image that has git, or grant git" in said
    assert "warning: the image" in run(world, "run", "my", "--print", "tool", "sh").stderr
    docker.says(json.dumps([IMAGE | {"Id": "sha256:with"}]))
    docker.has("/own/git", "")
    assert "has no git" not in run(world, "run", "my", "--print", "tool", "git").stderr
    docker.says(json.dumps([IMAGE]))
    world.write_profile(commands='["git-remote", "git"]')
    assert "has no git" not in run(world, "run", "my", "--print", "tool", "git").stderr


def test_the_shim_is_told_what_was_looked_at(world: World, daemon: Daemon, docker: StandIn) -> None:
    """Of what is read-only, too, and of the directories on the way there."""
    deep = world.workspace / "deep"
    deep.mkdir()
    (deep / "file").write_text("")
    said = run(world, "run", "--read-only", f"{deep}/file", "my", "tool", status=7).stdout
    words = said.splitlines()
    expected = looked_at(str(world.workspace), str(deep), f"{deep}/file")
    expected[-1] = expected[-1].replace("--mounted", "--read-only")
    there = words.index("--exec") + 1
    assert words[there : there + 4] == expected


def test_a_health_check_does_not_run_before_the_comparison(
    world: World, daemon: Daemon, docker: StandIn
) -> None:
    """The engine would start it beside the shim; one that a person asks for is theirs."""
    checking = IMAGE | {"Config": {"Healthcheck": {"Test": ["CMD", "true"], "Interval": 1000000}}}
    assert "--no-healthcheck" not in run(world, "run", "my", "tool", "x", status=7).stdout
    docker.says(json.dumps([checking]))
    assert "--no-healthcheck" in run(world, "run", "my", "tool", "x", status=7).stdout.splitlines()
    own = "--docker-arg=--health-cmd=true"
    assert "--no-healthcheck" not in run(world, "run", own, "my", "tool", "x", status=7).stdout


def test_a_directory_that_is_no_workspace_is_told(
    world: World, docker: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It begins in the first workspace then."""
    world.write_profile(f'[workspace]\nsame_path = ["{world.workspace}"]\n')
    assert "in no workspace" not in run(world, "run", "my", "--print", "tool").stderr
    monkeypatch.chdir(world.root)
    said = run(world, "run", "my", "--print", "tool")
    assert f'airlock: warning: "{world.root}" is in no workspace of the agent' in said.stderr
    assert (
        str(world.workspace) in read_line(said.stdout)[read_line(said.stdout).index("--workdir") :]
    )


def test_without_a_daemon_it_says_how_to_start_one(world: World, docker: StandIn) -> None:
    """The very line; a running daemon that does not know the agent has to reload."""
    said = run(world, "run", "my", "tool", status=1).stderr
    assert f"airlock: no daemon serves agent my in {world.locations.sockets_dir}\n" in said
    start = f"start --config {world.config} --agents {world.agents_file}\n"
    assert said.endswith(start)
    with Daemon(world):
        other = world.root / "agents" / "other"
        other.mkdir()
        (other / "airlock.toml").write_text("commands = []\n")
        world.agents_file.write_text(f'{world.agents_file.read_text()}[other]\npath = "{other}"\n')
        said = run(world, "run", "other", "tool", status=1).stderr
        assert "the running daemon does not serve agent other\n" in said
        assert said.endswith("airlock reload\n")


def test_an_agent_that_is_none_or_may_run_nothing_is_refused(world: World, docker: StandIn) -> None:
    """By the name of its file."""
    assert "no agent nope is registered" in run(world, "run", "nope", "tool", status=1).stderr
    (world.agent / "airlock.toml").write_text('commands = ["ssh"]\n')
    said = run(world, "run", "my", "tool", status=1).stderr
    assert "agent my is granted no command that is enabled\n" in said
    assert f"{world.agent}/airlock.toml" in said


def test_the_workspace_is_that_of_the_profile_else_the_current_directory(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--workspace` counts more than both; a link leads to the directory that it stands for."""
    here, other = world.workspace, world.root / "other"
    other.mkdir()
    (world.root / "link").symlink_to(other)
    monkeypatch.chdir(here)
    same = Mount(source=str(here), target=str(here))
    assert choose(world) == (same,)
    world.write_profile(
        f'[workspace]\nsame_path = ["{here}"]\nmounts = {{ "/work" = "{other}" }}\n'
    )
    mapped = Mount(source=str(other), target="/work")
    assert choose(world) == (same, mapped)
    named = Mount(source=str(other), target=str(other))
    assert choose(world, f"{world.root}/link", str(other)) == (named,)


@pytest.mark.parametrize("named", ["{config}", "{root}", "/", "{workspace}/none"])
def test_what_holds_files_of_airlocks_own_is_no_workspace(
    named: str, world: World, docker: StandIn
) -> None:
    """Nor what holds the directories of PATH, or is none; a remedy is said."""
    path = named.format(config=world.config, root=world.root, workspace=world.workspace)
    said = run(world, "run", "my", "--print", "--workspace", path, "tool", status=1).stderr
    assert "is no directory" in said or "cannot be a workspace: it " in said
    assert said.endswith("name a directory with --workspace DIR\n")


@pytest.mark.parametrize(
    "target", ["/run", "/run/airlock", "/opt/airlock-commands/x", "/opt", HOME]
)
def test_a_workspace_that_would_cover_airlocks_mounts_is_refused(target: str, world: World) -> None:
    """Docker would make the places of those inside of it, as root's."""
    world.write_profile(f'[workspace]\nmounts = {{ "{target}" = "{world.workspace}" }}\n')
    with pytest.raises(AirlockError, match="would cover /"):
        choose(world)


@pytest.mark.parametrize(("prints", "told"), [("{}web nginx:1\nweb x", 2), ("", 0)])
def test_containers_that_an_agent_has_left_are_told(tmp_path: Path, prints: str, told: int) -> None:
    """Only its own, with the line that ends them."""
    program = tmp_path / "docker"
    state = State(str(tmp_path / "state"))
    prefix = f"airlock-my-{Secrets(state).find_installation()}-"
    program.write_text(f"#!/bin/sh\nprintf '%s' '{prints.format(prefix)}'\n")
    program.chmod(0o755)
    lines = list(list_running(str(program), "my", state))
    assert len(lines) == told
    assert "".join(lines[:1]) in ("", "agent my has left running: web (nginx:1)")
    assert "".join(lines[1:]) in ("", f"hint: to end them: docker rm -f {prefix}web")
