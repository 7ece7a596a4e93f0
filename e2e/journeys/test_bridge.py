"""Containers of an engine that only its command reaches, and that shares the workspace alone."""

import json
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from e2e.world.command import run
from e2e.world.daemon import Daemon
from e2e.world.engine import WORKER
from e2e.world.executables import Executables
from e2e.world.github_api import answer_github
from e2e.world.hidden_engine import HiddenEngine, running_hidden_engine
from e2e.world.images import Images
from e2e.world.need import need
from e2e.world.person import Person, newcomer
from e2e.world.project import Project
from e2e.world.running import Running
from e2e.world.scene import Stage
from e2e.world.web_server import Answer, Asked, running_web

from .errands.git import GitOverHttps
from .errands.ssh import Ssh

COMMANDS = ("git-remote", "docker", "ssh", "gh")
TOKEN = "forge-token-of-ada"
FORGE = "forge.airlock.test"
GITHUB = "api.github.com"
ADDRESS = f"127.77.{WORKER}.3"
"""Of both, as the daemon resolves their names."""
SOCKETS = ("airlock", "https")
SEE = ("unshare", "--mount", "--propagation=slave", "sh", "-euc")
PROFILE = """
[bridge]

[docker]
engine = {engine}
images = ["docker.io/airlock-e2e/*"]

[gh]
repositories = ["acme/app"]
credential = {{ stored = "gh" }}

[api.forge]
hosts = ["{forge}"]
credential = {{ as = "header", stored = "forge", placeholder = "frg_{{36}}" }}
allow = ["GET /hello"]
env = {{ FORGE_TOKEN = "{{placeholder}}" }}
files = {{ "~/.config/forge/token" = "{{placeholder}}" }}
"""
BOXED = '[command]\nbin = "true"\n[deny]\nargs = []\n[sandbox]\nbox = "closed"\n'
ROOT = Path(__file__).parents[2]
ASK = f"openssl s_client -quiet -verify_return_error -verify_quiet -servername {FORGE}"
ENGINE = "socat -t 30 - UNIX-CONNECT:/run/airlock/docker.sock"
CROWD = """
for each in $(seq 50); do
    (printf '{}\\n' | socat -t 30 - UNIX-CONNECT:/run/airlock/airlock.sock | grep -q jsonrpc ||
        echo failed) &
done
wait
"""


@dataclass(slots=True, kw_only=True)
class Place:
    """A person with an engine in a virtual machine, and a container of `run` that goes on."""

    person: Person
    project: Project
    engine: HiddenEngine
    image: str
    log: Path
    hosts: Path
    """The daemon's /etc/hosts."""
    authority: Path
    daemon: Daemon = field(init=False)

    def run(self, line: str) -> str:
        """The output of a shell line in a new container of the agent."""
        words = f"airlock-daemon run my {self.image} sh -euc {shlex.quote(line)}"
        return self.person.run(words, cwd=self.project.path)

    def ask(self, line: str, *, container: str = "kept") -> str:
        """The output of a shell line in the container that stays."""
        return self.engine.docker("exec", container, "sh", "-euc", line).succeeded().stdout

    def push(self, name: str, url: str, *, container: str = "kept") -> None:
        """Push a commit from the container that goes on, as soon as its bridge is there."""
        head = self.project.commit(name)
        push = f"git push {url} HEAD:refs/heads/agent/{name}"
        self.ask(
            f"for i in $(seq 60); do {push} && exit; sleep 1; done; exit 1", container=container
        )
        assert self.project.repository.commit(f"agent/{name}") == head

    def find_bridge(self) -> str:
        """The id of the bridge's container."""
        words = ("ps", "--quiet", "--no-trunc", "--filter", "label=airlock.bridge=my")
        return self.engine.docker(*words).succeeded().stdout

    def stop(self) -> None:
        """Stop the daemon."""
        self.daemon.stop()

    def start(self, *, executables: Executables | None = None) -> None:
        """Start the daemon, the person's own or another one."""
        person = replace(self.person, executables=executables or self.person.executables)
        line = f"exec airlock-daemon start --agents {person.files}/agents.toml"
        sockets = [person.files / f"sockets/my/{each}.sock" for each in SOCKETS]
        self.daemon = Daemon(
            (*SEE, 'mount --bind "$0" /etc/hosts; exec "$@"', str(self.hosts), *person.shell(line)),
            said=self.log,
            sockets=lambda: sockets,
            environment={**person.environment, "SSL_CERT_FILE": str(self.authority)},
        )


def answer(asked: Asked) -> Answer:
    """Be GitHub, and a forge that says hello to whoever has the token."""
    if asked.host == GITHUB:
        return answer_github(asked, token=TOKEN)
    return (200, "hello") if asked.account == f"Bearer {TOKEN}" else (401, "no such token")


@pytest.fixture(scope="module")
def place(
    stages: dict[str, Stage],
    git_https_errand: GitOverHttps,
    ssh_errand: Ssh,
    executables: Executables,
    images: Images,
    ground: Path,
) -> Iterator[Place]:
    """Return the place; the account has no way to this host's own engine."""
    stage = stages["user"]
    account = replace(stage.account, groups=(stage.account.gid,))
    project = Project.make(account, ground / "bridged", stage.server.make_repository("bridged"))
    project.git("remote", "add", "web", project.repository.web_url).succeeded()
    with ExitStack() as stack:
        folder = ground / "forge-bridged"
        folder.mkdir()
        names = [f"DNS:{each}" for each in (FORGE, GITHUB)]
        forge = stack.enter_context(
            running_web(folder, answer, names=names, address=ADDRESS, port=443)
        )
        hosts = folder / "hosts"
        hosts.write_text(f"{Path('/etc/hosts').read_text()}{ADDRESS} {FORGE} {GITHUB}\n")
        engine = stack.enter_context(running_hidden_engine(ground / "hidden", account))
        engine.load(images.debian)
        person = stack.enter_context(newcomer(account, executables, programs=engine.programs))
        granted = " ".join(f"--command {each}" for each in COMMANDS)
        person.run(f"airlock-daemon agent add my --workspace . {granted} --yes", cwd=project.path)
        profile = person.files / "agents/my/airlock.toml"
        own = PROFILE.format(engine=json.dumps(engine.host), forge=FORGE)
        written = profile.read_text()
        assert "\n[docker]" not in written
        assert "\nhosts = []" in written
        machine = f'hosts = ["{ssh_errand.call[-1]}:{stage.server.port}"]'
        account.write(profile, written.replace("hosts = []", machine) + own, mode=0o600)
        made = Place(
            person=person,
            project=project,
            engine=engine,
            image=images.debian,
            log=ground / "bridged.log",
            hosts=hosts,
            authority=forge.authority,
        )
        made.start()
        stack.callback(made.stop)
        for name in ("forge", "gh"):
            line = f"airlock-daemon login {name}"
            person.try_line(line, cwd=project.path, stdin=f"{TOKEN}\n".encode()).succeeded()
        option = "--docker-arg=--name=kept"
        line = f"exec airlock-daemon run my {option} {images.debian} sh -c 'echo up; sleep 3600'"
        with Running(("env", f"--chdir={project.path}", *_as_person(person, line))) as running:
            running.wait_for("up")
            yield made


def _as_person(person: Person, line: str) -> tuple[str, ...]:
    variables = (f"{name}={value}" for name, value in person.environment.items())
    return ("env", "-i", *variables, *person.shell(line))


@pytest.mark.parametrize("transport", ["ssh", "https"])
def test_git_pushes(place: Place, transport: str) -> None:
    """The container's own git, by the credentials of a host that its engine does not see."""
    repository = place.project.repository
    place.push(transport, repository.url if transport == "ssh" else repository.web_url)


def test_the_machine_has_an_account_and_a_home_that_lasts(place: Place) -> None:
    """Though no file of the person's home is shared with it."""
    assert (
        place.run("id -un; touch ~/mine; stat -c %U ~/mine").split()
        == [place.person.account.name] * 2
    )
    assert place.run("ls ~/mine; git config --global user.name")
    assert not list((place.person.account.home / ".local/share").glob("**/mine"))


def test_an_api_has_its_credential_behind_the_container(place: Place) -> None:
    """By https.sock; the placeholder is in the variable and in the file of the home."""
    head = f"GET /hello HTTP/1.1\\r\\nHost: {FORGE}\\r\\n"
    request = f'"$(cat ~/.config/forge/token)" | {ASK} -proxy ${{https_proxy#http://}}'
    end = "Authorization: Bearer %s\\r\\nConnection: close\\r\\n\\r\\n"
    said = place.run(f"printf '{head}{end}' {request} -connect {FORGE}:443")
    assert said.startswith("HTTP/1.1 200 ")
    assert place.run('[ "$(cat ~/.config/forge/token)" = "$FORGE_TOKEN" ] && echo same') == "same"


def test_gh_works_by_the_placeholder(place: Place) -> None:
    """The image's own, which reads and proposes as the person, and merges nothing."""
    program = shutil.which("gh")
    need(None if program else "there is no gh; install Debian's gh")
    place.engine.add_program(place.image, str(program), name="with-gh")
    line = "airlock-daemon run my with-gh sh -euc {}"

    def run_gh(words: str) -> str:
        return place.person.run(line.format(shlex.quote(words)), cwd=place.project.path)

    assert run_gh("gh api user --jq .login") == "ada"
    create = "gh pr create -R acme/app -H agent/mend -B main -t Mend -b It"
    assert run_gh(create).endswith("/acme/app/pull/8")
    said = run_gh("gh api -X PUT repos/acme/app/pulls/8/merge 2>&1 || echo failed")
    assert "airlock: " in said
    assert said.endswith("failed")
    said = run_gh("command -v gh; gh auth token; env")
    assert re.match(r"/usr/local/bin/gh\nghp_[A-Za-z0-9]{36}\n", said)
    assert TOKEN not in said


def test_ssh_runs_a_command_on_another_machine(place: Place, ssh_errand: Ssh) -> None:
    """By a key of the person, which the container's engine does not see; and goes nowhere else."""
    call = shlex.join(ssh_errand.call)
    said = place.run(
        f"{call} 'cat; hostname; id -un' </etc/debian_version; {call} exit 7 || echo $?"
    )
    version, machine, user, status = said.splitlines()
    assert version == place.run("cat /etc/debian_version")
    assert machine == ssh_errand.machine[:12]
    assert (user, status) == ("guest", "7")
    other = shlex.join((*ssh_errand.call[:-1], "root@127.0.0.1", "id"))
    assert place.run(f"{other} 2>/dev/null || echo $?") == "126"


def test_docker_lists_the_agents_containers_alone(place: Place) -> None:
    """By docker.sock: neither the bridge nor the container that asks."""
    said = place.ask(_call("GET", "/containers/json?all=1"))
    assert " 200 " in said
    assert said.endswith("[]")


@pytest.mark.parametrize("mode", ["", ":ro"])
def test_no_container_of_an_agent_mounts_its_bridges_volume(place: Place, mode: str) -> None:
    """Whose name it reads in its mounts: it would put a socket of its own in the place."""
    mounts = place.ask("cat /proc/self/mountinfo")
    said = place.person.run("airlock-daemon --json bridge my", cwd=place.project.path)
    name = json.loads(said)["volume"]
    assert name in mounts
    for volume in (name, f"{name}-home"):
        body = {"Image": place.image, "HostConfig": {"Binds": [f"{volume}:/mnt{mode}"]}}
        place.ask(_call("POST", "/containers/create", json.dumps(body)))
        place.ask(_call("DELETE", f"/volumes/{volume}?force=1"))
    bridge = place.find_bridge()
    for method, path in (
        ("GET", f"/containers/{bridge}/json"),
        ("POST", f"/containers/{bridge}/exec"),
        ("POST", f"/containers/{bridge}/kill"),
        ("POST", f"/containers/{bridge}/attach?stream=1&stdin=1"),
        ("DELETE", f"/containers/{bridge}?force=1"),
    ):
        said = place.ask(_call(method, path, "{}" if path.endswith("exec") else ""))
        assert said.startswith(("HTTP/1.1 403 ", "HTTP/1.1 404 ")), said
    assert place.find_bridge() == bridge
    words = ("ps", "--all", "--quiet", "--no-trunc", "--filter", f"volume={name}")
    mounting = place.engine.docker(*words).succeeded().stdout.split()
    assert len(mounting) == 2
    assert bridge in mounting


def test_a_container_changes_nothing_in_the_volume(place: Place) -> None:
    """It cannot put a socket of its own in the place of the daemon's, as root neither."""
    words = ("exec", "--user=0", "kept", "rm", "/run/airlock/airlock.sock")
    refused = place.engine.docker(*words)
    assert refused.exit_code != 0
    assert "Read-only file system" in refused.stderr


def test_the_step_of_mac_check_passes_here() -> None:
    """A container of the bridge's own image runs a program of this host, and nothing is left."""
    done = run((sys.executable, "-m", "tasks.mac_bridge"), cwd=str(ROOT)).succeeded()
    assert done.stdout.startswith("THE WORD")


def test_fifty_at_once_are_answered_twenty_times(place: Place) -> None:
    """None fails."""
    for _ in range(20):
        assert place.ask(CROWD) == ""


@pytest.mark.linux_only("boxes")
def test_a_daemon_without_boxes_refuses_a_closed_one_by_name(place: Place, ground: Path) -> None:
    """As on a Mac, where it serves all that is not boxed; on Linux the same command runs."""
    person = place.person
    for name in ("config.toml", "agents/my/airlock.toml"):
        file = person.files / name
        text = file.read_text().replace('"git-remote"', '"git-remote", "boxed"')
        person.account.write(file, text, mode=0o600)
    commands = person.account.make_directory(person.files / "agents/my/commands")
    person.account.write(commands / "boxed.toml", BOXED, mode=0o600)
    person.run("airlock-daemon reload", cwd=place.project.path)
    ask = "boxed 2>&1 || echo failed $?"
    assert place.run(ask) == ""
    place.stop()
    place.start(executables=person.executables.without_linux(ground / "elsewhere"))
    said = place.run(ask)
    assert "this command runs in a box" in said
    assert said.endswith("failed 126")
    log = "airlock-daemon log tail -n 1 --command boxed --json"
    assert json.loads(person.run(log, cwd=place.project.path))["rule"] == "no-box"
    place.push("without-boxes", place.project.repository.url)
    place.stop()
    place.start()
    place.push("boxes-again", place.project.repository.url)


def test_the_same_container_works_after_whatever_ends_the_bridge(place: Place) -> None:
    """Killed, removed, paused; the daemon killed and started, the engine started again."""
    url = place.project.repository.url
    place.engine.docker("kill", place.find_bridge()).succeeded()
    place.push("killed", url)
    place.engine.docker("rm", "--force", place.find_bridge()).succeeded()
    place.push("removed", url)
    place.engine.docker("pause", place.find_bridge()).succeeded()
    place.push("paused", url)
    place.stop()
    place.start()
    place.push("daemon-stopped", url)
    place.daemon.kill()
    place.start()
    place.push("daemon-killed", url)
    # The engine removes that of `run` when it ends.
    line = f"airlock-daemon --json run --print my {place.image} sleep 3600"
    words = json.loads(place.person.run(line, cwd=place.project.path))["docker_run"]
    words[words.index("--rm")] = "--name=again"
    place.person.run(shlex.join((*words[:2], "--detach", *words[2:])), cwd=place.project.path)
    place.engine.stop()
    place.engine.start()
    place.engine.docker("start", "again").succeeded()
    place.push("engine", url, container="again")


def test_the_volume_goes_with_the_agent(place: Place) -> None:
    """Also if no daemon runs meanwhile: the next one removes it."""
    place.engine.docker("rm", "--force", "kept", "again").succeeded()
    place.stop()
    assert len(place.engine.docker("volume", "ls", "--quiet").stdout.split()) == 2
    place.person.run("airlock-daemon agent remove my --yes", cwd=place.project.path)
    words = place.person.shell(
        f"exec airlock-daemon start --agents {place.person.files}/agents.toml"
    )
    place.daemon = Daemon(
        words, said=place.log, says="airlock: ready", environment=place.person.environment
    )
    words = ("volume", "ls", "--quiet")
    for _ in range(600):
        if not place.engine.docker(*words).succeeded().stdout:
            break
    assert place.engine.docker(*words).succeeded().stdout == ""


def _call(method: str, path: str, body: str = "") -> str:
    """A line that calls the engine, and prints the answer."""
    head = f"{method} /v1.43{path} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"printf %s {shlex.quote(head + chr(13) + chr(10) + body)} | {ENGINE}"
