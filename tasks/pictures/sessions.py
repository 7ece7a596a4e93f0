"""The sessions shown: real commands in a home created for them."""

import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e.world.command import run
from e2e.world.daemon import Daemon
from e2e.world.questions import Questions
from e2e.world.running import Running
from e2e.world.sshd import configuration, running_sshd
from e2e.world.terminal import Terminal

from tasks.pictures.drawing import WIDTH
from tasks.places import ROOT

SHOWN_HOME = "/home/me"
"""The home's path in pictures."""

_ASKED = (
    ("git", "status", "--short"),
    ("git", "commit", "--all", "--message=Fix"),
    ("git", "push", "--force", "origin", "main"),
    ("git", "log", "--oneline", "-1"),
    ("git", "credential", "fill"),
)
_APPROVE = """\
commands = ["git-remote"]
[workspace]
host = true
[env]
set = {{ GIT_SSH_COMMAND = "ssh -F {ssh} -i {key}" }}
[git]
push = ["github.com/acme/app"]
refs = ["refs/heads/**"]
[approve]
require = ["git push * refs/heads/release/**"]
"""
SHOWN_ID = "K7M2PQ"
"""The id of each question in pictures."""
_OVERRIDE = '[command]\nbin = "git"\n\n[deny]\nargs = ["push & --force"]\n'


@dataclass(frozen=True, slots=True)
class _Home:
    path: Path
    programs: Path

    @property
    def config(self) -> Path:
        return self.path / ".config" / "airlock"

    @property
    def project(self) -> Path:
        return self.path / "src" / "app"

    @property
    def socket(self) -> Path:
        return self.config / "sockets/my/airlock.sock"

    @property
    def variables(self) -> dict[str, str]:
        return {
            "HOME": str(self.path),
            "PATH": f"{self.programs}:{os.defpath}",
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
            "COLUMNS": str(WIDTH),
            # Not the service manager of the user who makes the pictures.
            "XDG_RUNTIME_DIR": str(self.path / "none"),
        }

    def look_at(self, line: str, *, cwd: Path) -> str:
        """Return a line's terminal output, ignoring its exit status."""
        variables = [f"{name}={value}" for name, value in self.variables.items()]
        script = f"cd {shlex.quote(str(cwd))} && {line}"
        words = ["env", "-i", *variables, "sh", "-c", script]
        with Terminal(words, rows=200, cols=WIDTH) as terminal:
            terminal.wait()
            return terminal.heard.replace(str(self.path), SHOWN_HOME)


def show_all() -> Mapping[str, tuple[str, str]]:
    """Run all sessions; return the typed line and the output by name of the picture."""
    with tempfile.TemporaryDirectory(prefix="al-") as folder, _furnished(Path(folder)) as home:
        found = {"demo": ("./dev demo --no-docker", home.look_at(_DEMO, cwd=ROOT))}
        with _serving(home):
            for words in _ASKED:
                link = home.path / "container" / words[0]
                asking = {"AIRLOCK_SOCKET": str(home.socket), "LANG": "C.UTF-8"}
                run((str(link), *words[1:]), cwd=str(home.project), env=asking)
            found["log-tail"] = _type(home, "airlock-daemon log tail")
            override = home.config / "agents/my/commands/git.toml"
            override.parent.mkdir()
            override.write_text(_OVERRIDE)
            found["check"] = _type(home, "airlock-daemon check")
    return found | _show_approval()


def _show_approval() -> dict[str, tuple[str, str]]:
    """A push to a real sshd that waits, the question about it, and the person's answer."""
    with tempfile.TemporaryDirectory(prefix="al-") as folder, _furnished(Path(folder)) as home:
        server = Path(folder) / "server"
        (server / "acme").mkdir(parents=True)
        upstream = str(server / "acme/app")
        run(("git", "clone", "--quiet", "--bare", str(home.project), upstream)).succeeded()
        run(("git", "-C", upstream, "branch", "release/next")).succeeded()
        profile = home.config / "agents/my/airlock.toml"
        key = server / "client-key"
        profile.write_text(_APPROVE.format(ssh=configuration(server), key=key))
        settings = home.config / "config.toml"
        enabled = settings.read_text().replace('enable = ["git"]', 'enable = ["git-remote"]')
        settings.write_text(enabled)
        (home.path / "container/git-ssh").symlink_to(home.programs / "airlock-shim")
        script = (
            "git remote set-url origin ssh://github.com/acme/app && "
            "git commit --quiet --all --message=Release"
        )
        run(("sh", "-ec", script), cwd=str(home.project), env=home.variables).succeeded()
        # A forge's paths begin at its repositories.
        command = """$(printf %s "$SSH_ORIGINAL_COMMAND" | sed "s|'/|'|")"""
        session = f'ForceCommand cd {server} && exec sh -c "{command}"\n'
        with running_sshd(server, more=session), _serving(home):
            return _await_answer(home)


def _await_answer(home: _Home) -> dict[str, tuple[str, str]]:
    questions = Questions(
        lambda *words: run(
            (str(home.programs / "airlock-daemon"), *words), cwd="/", env=home.variables
        )
    )
    push = "git push origin HEAD:release/next"
    variables = {
        "GIT_SSH_COMMAND": str(home.path / "container/git-ssh"),
        "GIT_SSH_VARIANT": "ssh",
        "AIRLOCK_SOCKET": str(home.socket),
    }
    known = [f"{name}={value}" for name, value in (home.variables | variables).items()]
    words = ("env", "-i", *known, "sh", "-c", f"cd {shlex.quote(str(home.project))} && {push}")
    # Without a terminal git shows no progress, which differs each time.
    with Running(words) as running:
        (question,) = questions.wait_for()
        found = {"pending": _type(home, "airlock pending")}
        questions.approve(question)
        running.wait()
        found["push-waits"] = (push, running.heard)
    return {
        name: (typed, re.sub(question["id"], SHOWN_ID, shown))
        for name, (typed, shown) in found.items()
    }


_DEMO = f"{shlex.quote(sys.executable)} -m demo --no-docker"


def _type(home: _Home, line: str) -> tuple[str, str]:
    return line, home.look_at(line, cwd=home.path)


@contextmanager
def _furnished(folder: Path) -> Iterator[_Home]:
    home = _Home(path=folder / "me", programs=Path(sys.executable).parent)
    home.project.mkdir(parents=True)
    links = home.path / "container"
    links.mkdir()
    (links / "git").symlink_to(home.programs / "airlock-shim")
    settings = "[user]\n\tname = Ada\n\temail = ada@example.org\n[init]\n\tdefaultBranch = main\n"
    (home.path / ".gitconfig").write_text(settings)
    (home.project / "notes.txt").write_text("begin\n")
    script = (
        "git init --quiet && git add . && git commit --quiet --message=begin\n"
        "git remote add origin git@github.com:acme/app.git\n"
        "echo more >>notes.txt\n"
        "airlock-daemon agent add my --workspace . --command git --yes"
    )
    words = ("sh", "-ec", script)
    run(words, cwd=str(home.project), env=home.variables).succeeded()
    if os.geteuid() == 0:
        _open_to_boxes(home)
    profile = home.config / "agents/my/airlock.toml"
    profile.write_text(
        profile.read_text().replace("\n[workspace]\n", "\n[workspace]\nhost = true\n")
    )
    yield home


def _open_to_boxes(home: _Home) -> None:
    """Give the boxes' user write access to the project: no box runs as root."""
    for folder in (home.path.parent, home.path, home.project.parent):
        folder.chmod(0o711)
    run(("chmod", "-R", "a+rwX", str(home.project))).succeeded()
    with (home.config / "config.toml").open("a") as config:
        config.write('\n[sandbox]\nuser = "nobody"\n')


@contextmanager
def _serving(home: _Home) -> Iterator[None]:
    registration = str(home.config / "agents.toml")
    with Daemon(
        [str(home.programs / "airlock-daemon"), "start", "--agents", registration],
        said=home.path.parent / "said",
        sockets=lambda: [home.socket],
        environment=home.variables,
    ):
        yield
