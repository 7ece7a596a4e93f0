"""A host as the documentation asks for, and the person who follows it."""

import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e.world.command import Completed
from e2e.world.engine import docker
from e2e.world.fresh_host import FreshHosts
from e2e.world.images import RECIPES, Images, bootstrap_debian
from e2e.world.running import Running
from e2e.world.systemd_host import PACKAGES, USER, SystemdHost, booted
from e2e.world.wheels import CHECKOUT

HOME = "/home/dev"
PROJECT = f"{HOME}/src/app"
AGENT = "airlock-e2e/guide-agent"
"""An image of the person's own, with a shell, git, and coding agents."""

_HOST = "airlock-e2e/guide-host"
_NO_MORE_ANSWERS = "^@"
"""How a container's terminal shows what script(1) sends it after the last answer."""
KEY = "the-key-of-ada"
"""The person's key for every API: what the servers in the image take."""
_NAMES = ("github.com", "notary", "api.anthropic.com", "tracker.example.com")
_OPTIONS = (
    "--tmpfs=/var/lib/docker:exec,suid,dev",
    *(f"--add-host={name}:127.0.0.1" for name in _NAMES),
)
_FURNISH = """
cd /home/dev && mkdir -p src .ssh && chmod 700 .ssh
ssh-keygen -q -t ed25519 -N '' -f .ssh/id_ed25519
for name in github.com notary; do
  echo "$name $(cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub)" >>.ssh/known_hosts
done
cp .ssh/id_ed25519.pub .ssh/authorized_keys
git config --global user.name 'Ada Example' && git config --global user.email ada@example.org
git config --global init.defaultBranch main
"""
_SERVE = """
install -d -o git -m 700 ~git/.ssh
install -o git /home/dev/.ssh/id_ed25519.pub ~git/.ssh/authorized_keys
su git -c 'git init --quiet --bare --initial-branch=main ~/acme/app.git'
"""
_BEGIN = """
git clone --quiet git@github.com:acme/app.git src/app && cd src/app
echo begin >notes.txt && git add . && git commit --quiet --message=begin && git push --quiet
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuideHost:
    """The host while it runs. At PROJECT is a checkout of git@github.com:acme/app.git."""

    machine: SystemdHost

    def try_typing(self, text: str, *, answers: str = "", cwd: str = HOME) -> Completed:
        """Type lines into a shell on a terminal, in which IMAGE is an image of the person's own.

        It ends at the first line that fails. `answers` is what is typed when they ask.
        """
        script = f"set -e\ncd {shlex.quote(cwd)}\n{text.replace('IMAGE', AGENT)}"
        words = ("script", "--quiet", "--return", "--command", shlex.join(self._shell(script)))
        return self.machine.container.run(
            *words, "/dev/null", cwd=HOME, user="dev", stdin=answers.encode()
        )

    def type(self, text: str, *, answers: str = "", cwd: str = HOME) -> str:
        """The same, and return what is on the screen; all lines must succeed."""
        shown = self.try_typing(text, answers=answers, cwd=cwd).succeeded().stdout
        return shown.replace(_NO_MORE_ANSWERS, "")

    def begin(self, line: str) -> Running:
        """Type a line that goes on until it is ended."""
        words = ("su", "dev", "--command", shlex.join(self._shell(f"echo pid $$\nexec {line}")))
        return self.machine.container.start(*words, cwd=HOME)

    def end(self, running: Running) -> None:
        """End what `begin` began."""
        pid = running.wait_for("pid ")[0].removeprefix("pid ")
        self.machine.do_as_root("kill", pid)
        running.wait()

    def write(self, path: str, text: str) -> None:
        """Write a file of the person's; `path` begins at the home."""
        self.machine.write(path, text)

    def commit(self) -> str:
        """Commit something in the project, and return the commit's id."""
        commit = "echo more >>notes.txt\ngit commit --quiet --all --message=more"
        return self.type(f"{commit}\ngit rev-parse HEAD", cwd=PROJECT)

    def has_arrived(self, branch: str, commit: str) -> bool:
        """Whether the server has the commit at the tip of a branch."""
        return self._at_server("rev-parse", branch) == commit

    def list_refs(self) -> list[str]:
        """The refs that the server has."""
        return self._at_server("for-each-ref", "--format=%(refname)").split()

    def _at_server(self, *words: str) -> str:
        git = ("git", "--git-dir=/home/git/acme/app.git", *words)
        return self.machine.container.run(*git, cwd="/", user="git").stdout

    def forget(self) -> None:
        """Make it a host on which Airlock is installed, and nothing else was done with it."""
        self.type(
            "airlock init --uninstall\n"
            "rm -rf ~/.config/airlock ~/.local/share/airlock/*.log\n"
            "airlock init"
        )

    def _shell(self, script: str) -> tuple[str, ...]:
        variables = (f"HOME={HOME}", "USER=dev", f"XDG_RUNTIME_DIR=/run/user/{USER}", "TERM=dumb")
        return ("env", *variables, "bash", "--login", "-c", script)


@contextmanager
def following(images: Images, fresh_hosts: FreshHosts, folder: Path) -> Iterator[GuideHost]:
    """Keep such a host; in ~/airlock are the installer and all wheels. `folder` is empty."""
    wheels, sockets = folder / "airlock", folder / "sockets"
    sockets.mkdir()
    shutil.copytree(fresh_hosts.wheels, wheels)
    shutil.copy(CHECKOUT / "install.sh", wheels)
    shutil.copytree(CHECKOUT / "docs/hooks", wheels / "docs/hooks")
    options = (*_OPTIONS, f"--volume={wheels}:{HOME}/airlock:ro")
    with booted(_build_host(), sockets, *options) as machine:
        host = GuideHost(machine=machine)
        machine.wait_until_lingering()
        machine.do_as_root("systemctl", "start", "ssh")
        machine.run("bash", "-ec", _FURNISH).succeeded()
        machine.do_as_root("bash", "-ec", _SERVE)
        machine.run("bash", "-ec", _BEGIN).succeeded()
        saved = docker("save", _build_agent(images)).succeeded().out
        machine.container.run("docker", "load", cwd="/", stdin=saved).succeeded()
        yield host


def _build_host() -> str:
    base = bootstrap_debian("airlock-e2e/systemd-base", packages=PACKAGES)
    context = str(RECIPES / "guide-host")
    words = (f"--build-arg=BASE={base}", f"--tag={_HOST}")
    docker("build", "--quiet", *words, context).succeeded()
    return _HOST


def _build_agent(images: Images) -> str:
    bases = {"BUSYBOX": images.busybox, "DEBIAN": images.debian, "GIT": images.git_alone}
    words = [f"--build-arg={name}={image}" for name, image in bases.items()]
    context = str(RECIPES / "guide-agent")
    docker("build", "--quiet", "--network=none", *words, f"--tag={AGENT}", context).succeeded()
    return AGENT
