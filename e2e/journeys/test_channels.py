"""Ways to install the daemon that README.md names in one line: each ends in a push."""

import platform
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.world.command import run
from e2e.world.fresh_host import FreshHost, FreshHosts
from e2e.world.git_server import GitServer
from e2e.world.keys import KeyPair
from e2e.world.need import need
from e2e.world.wheels import CHECKOUT
from tasks.environment import Environment
from tasks.release.deb import Deb, build_deb
from tasks.release.sources import read_epoch

HOME = "/home/dev"
INDEX = "http://127.0.0.1:8000/simple/"
DEB = "/deb"
README = (CHECKOUT / "README.md").read_text()
VARIABLES = {"UV_DEFAULT_INDEX": INDEX, "PIP_INDEX_URL": INDEX, "GIT_SSH_VARIANT": "ssh"}
CHANNELS = {
    "uvx": ("uv", "uvx 'airlock-daemon[run]'", "uvx 'airlock-daemon[run]' {}"),
    "pipx": ("pipx", "pipx install 'airlock-daemon[run]'", "~/.local/bin/airlock {}"),
    "deb": ("", "apt install ./airlock_*.deb", "airlock {}"),
}
"""What has to be there, the line of the README, and how a command is typed then."""
SLOW = ("pipx", "deb")
PROFILE = """
commands = ["git-remote", "ssh"]
[git]
push = ["git@{server}/srv/*"]
refs = ["refs/heads/agent/**"]
[ssh]
hosts = ["guest@{server}"]
[workspace]
same_path = ["{home}/app"]
"""
# The index of wheels, by PEP 503; pip is in it since pipx wants it.
_SERVE = """
for wheel in /wheels/*.whl /usr/share/python-wheels/pip-*.whl; do
  name=$(basename "$wheel" | cut -d- -f1 | tr _A-Z. -a-z-)
  mkdir -p "/index/simple/$name" && ln -s "$wheel" "/index/simple/$name/"
done
exec python3 -u -m http.server --bind 127.0.0.1 --directory /index 8000
"""
_BEGIN = """
set -e
git init -q app && cd app && git remote add origin "$1"
git -c user.name=Ada -c user.email=ada@example.org commit -q --allow-empty -m begin
"""
# The shim is the client of this machine itself, in the place of ssh.
_PUSH = """
cd ~/app && AIRLOCK_SOCKET=~/.config/airlock/sockets/my/airlock.sock
export AIRLOCK_SOCKET GIT_SSH_COMMAND=~/bin/git-ssh
git push -q origin HEAD:agent/x && git rev-parse HEAD
"""


@pytest.fixture
def host(fresh_hosts: FreshHosts, server: GitServer, tmp_path: Path) -> Iterator[FreshHost]:
    """Return a machine that reaches the git server, and has a key for it."""
    folder = tmp_path / "deb"
    folder.mkdir(mode=0o755)
    with fresh_hosts.running(f"--volume={folder}:{DEB}", network="bridge") as host:
        key = KeyPair.make(tmp_path / "key")
        server.authorize(key)
        host.write(f"{HOME}/.ssh/id_ed25519", key.private.decode())
        host.write(f"{HOME}/.ssh/known_hosts", f"{server.address} {server.host_key}\n")
        host.run("chmod", "-R", "go=", ".ssh").succeeded()
        yield host


@pytest.mark.parametrize(
    "channel",
    [pytest.param(each, marks=[pytest.mark.nightly] * (each in SLOW)) for each in CHANNELS],
)
def test_a_line_leads_to_a_push(
    channel: str, host: FreshHost, fresh_hosts: FreshHosts, server: GitServer, tmp_path: Path
) -> None:
    """From a machine without Airlock; the package of Debian takes all of itself away again."""
    has, line, command = CHANNELS[channel]
    assert f"`{line}`" in README
    repository = server.make_repository(f"by-{channel}")

    def type_line(line: str, *words: str, user: str = "dev") -> str:
        argv = ("sh", "-c", line, "sh", *words)
        return host.run(*argv, has=has, user=user, env=VARIABLES).succeeded().stdout

    with host.container.start("sh", "-c", _SERVE, cwd="/") as index:
        index.wait_for("Serving HTTP")
        if channel == "deb":
            made = make_deb(fresh_hosts.wheels, tmp_path / "deb")
            need(None if shutil.which("lintian") else "there is no lintian")
            run(("lintian", "--fail-on=error", "--allow-root", str(made))).succeeded()
            # What it depends on is there, and apt has no index here.
            type_line(f"dpkg --install {DEB}/airlock_*.deb", user="root")
        elif channel == "pipx":
            type_line(line)
        type_line(_BEGIN, repository.url_from_containers)
        add = "agent add my --workspace ~/app --command git-remote --yes"
        for words in ("init", add, "shim ~/bin/airlock-shim"):
            type_line(f"mkdir -p ~/bin && {command.format(words)}")
        type_line("~/bin/airlock-shim --install ~/bin git-ssh")
        start = command.format("start --agents ~/.config/airlock/agents.toml")
        path = f"export PATH=/opt/{has}:$PATH UV_DEFAULT_INDEX={INDEX}"
        with host.container.start("su", "dev", "-c", f"{path}; exec {start}", cwd=HOME) as daemon:
            daemon.wait_for("airlock: ready")
            assert repository.commit("agent/x") is None
            pushed = type_line(_PUSH)
            assert repository.commit("agent/x") == pushed
    if channel == "deb":
        type_line("dpkg --purge airlock", user="root")
        find = "find / -xdev -path '*airlock*' -not -path '/home/*' -not -path '/index/*'"
        assert type_line(find, user="root") == ""


def test_the_action_gives_a_job_a_daemon_and_its_steps_no_key(
    host: FreshHost, fresh_hosts: FreshHosts, server: GitServer
) -> None:
    """By the script of action.yml: later steps push and log in, and find the key in no file."""
    repository = server.make_repository("by-action")
    key = host.run("cat", ".ssh/id_ed25519").succeeded().stdout
    host.run("rm", ".ssh/id_ed25519").succeeded()
    deploy = f"guest@{server.address}"
    manifest = (CHECKOUT / "channels/action/action.yml").read_text()
    inputs = {
        "AGENT": "my",
        "GRANT": "--command git-remote --command ssh",
        "KNOWN_HOSTS": "",
        "PACKAGE": "airlock-daemon[run]",
        "PROFILE": PROFILE.format(server=server.address, home=HOME),
        "SSH_KEY": key,
    }
    assert set(re.findall(r"AIRLOCK_(\w+):", manifest)) == set(inputs)
    job = {
        "RUNNER_TEMP": f"{HOME}/temp",
        "GITHUB_PATH": f"{HOME}/temp/path",
        "GITHUB_WORKSPACE": f"{HOME}/app",
    }
    with host.container.start("sh", "-c", _SERVE, cwd="/") as index:
        index.wait_for("Serving HTTP")
        begin = f"mkdir temp; {_BEGIN}"
        words = ("sh", "-c", begin, "sh", repository.url_from_containers)
        host.run(*words).succeeded()
        host.write(f"{HOME}/start", (CHECKOUT / "channels/action/start").read_text())
        variables = {f"AIRLOCK_{name}": value for name, value in inputs.items()}
        host.run("sh", f"{HOME}/start", env=VARIABLES | job | variables).succeeded()
        bin_directory = host.run("cat", "temp/path").succeeded().stdout
        install = "mkdir bin && airlock shim bin/airlock-shim && bin/airlock-shim --install bin"
        line = f"{install} git-ssh ssh"
        host.run("sh", "-c", line, path=bin_directory).succeeded()
        pushed = host.run("sh", "-c", _PUSH, env=VARIABLES).succeeded().stdout
        assert repository.commit("agent/x") == pushed
        step = f"AIRLOCK_SOCKET=~/.config/airlock/sockets/my/airlock.sock ~/bin/ssh {deploy} id -un"
        assert host.run("sh", "-c", f"cd app && {step}").succeeded().stdout == "guest"
        secret = key.splitlines()[1]
        assert host.run("grep", "-rlF", secret, HOME, "/tmp").stdout == ""


def make_deb(wheels: Path, folder: Path) -> Path:
    """Build the package of Debian from wheels."""
    (daemon,) = wheels.glob("airlock_daemon-*.whl")
    version = daemon.name.split("-")[1]
    deb = Deb(wheels=[wheels], version=version, epoch=read_epoch(), processor=platform.machine())
    return build_deb(deb, folder, environment=Environment("here", Path(sys.prefix)))
