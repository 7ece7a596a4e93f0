"""A host as an earlier release leaves it, made as its own `init` and a person made it."""

import os
import shutil
import socket
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e.world.account import BOX_USER
from e2e.world.command import Completed, run
from e2e.world.daemon import Daemon
from e2e.world.executables import Executables

_SHARE = ".local/share/airlock"
_CONFIG = ".config/airlock"
_UNIT = ".config/systemd/user/airlock.service"
_STARTER = '# What may run at all.\n# [commands]\n# enable = ["git"]\n'
_UNIT_TEXT = """\
[Unit]
Description=Airlock

[Service]
ExecStart=%h/.local/bin/airlock-daemon start{options}
Restart=always
RestartSec=5

[Install]
WantedBy=default.target
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Init:
    """What `init` of one release makes: directories of the configuration, and a starter file."""

    directories: tuple[str, ...]
    has_starter: bool


INITS: Mapping[str, Init] = {
    "v0.1": Init(directories=("hooks", "commands"), has_starter=False),
    "v0.2": Init(directories=("hooks", "commands", "profiles", "sockets"), has_starter=False),
    "v0.3": Init(directories=("hooks", "commands", "profiles", "sockets"), has_starter=True),
    "v0.4": Init(directories=("sockets",), has_starter=True),
}

Tree = dict[str, tuple[int, bytes]]


class Host:
    """A home directory, short enough for sockets, and the programs of today on it."""

    def __init__(self, home: Path, daemon: Path) -> None:
        self.home = home
        self.config = home / _CONFIG
        self.unit = home / _UNIT
        self._daemon = daemon
        self._environment = {
            "HOME": str(home),
            "PATH": os.environ["PATH"],
            # Not the developer's own service manager.
            "XDG_RUNTIME_DIR": str(home / "none"),
        }

    def init(self, release: str, *, options: str = "") -> None:
        """Do what `init` of a release does; `options` are what a person adds to the unit."""
        made = INITS[release]
        for directory in ("", *made.directories):
            (self.config / directory).mkdir(mode=0o755, parents=True, exist_ok=True)
        (self.home / _SHARE).mkdir(parents=True, exist_ok=True)
        if made.has_starter and not (self.config / "config.toml").exists():
            self.write("config.toml", _STARTER)
        self.unit.parent.mkdir(parents=True, exist_ok=True)
        self.unit.write_text(_UNIT_TEXT.format(options=options))

    def write(self, name: str, text: str, *, mode: int = 0o644) -> Path:
        """Write a file of the configuration, or of the home where `name` begins with ~/."""
        path = self.home / name[2:] if name.startswith("~/") else self.config / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path

    def leave_socket(self, agent: str) -> None:
        """Leave an agent's socket, as a daemon of a release that has ended by SIGTERM."""
        self.socket(agent).unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
            listening.bind(str(self.socket(agent)))
        self.socket(agent).chmod(0o600)

    def run(self, *words: str, before: Sequence[str] = ()) -> Completed:
        """Run `airlock-daemon` to its end, without a terminal; `before` are words in front."""
        return run([*before, str(self._daemon), *words], env=self._environment, cwd=str(self.home))

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """Start `airlock-daemon`, whose messages can be read from a pipe."""
        return subprocess.Popen(
            [str(self._daemon), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=self._environment,
            cwd=str(self.home),
        )

    def by_hand(self, script: str) -> None:
        """Run lines of a shell, each of which must succeed."""
        run(
            ["sh", "-eu"],
            stdin=f"umask 077\n{script}\n".encode(),
            env=self._environment,
            cwd=str(self.home),
        ).succeeded()

    def serving(self, *agents: str) -> Daemon:
        """Start the daemon, which serves these agents, as root in boxes of another user."""
        self._name_box_user()
        sockets = [self.socket(agent) for agent in agents]
        return Daemon(
            [str(self._daemon), "start", "--agents", str(self.config / "agents.toml")],
            said=self.home / "said",
            sockets=lambda: sockets,
            environment={**self._environment, "INHERITED": "secret"},
        )

    def _name_box_user(self) -> None:
        path = self.config / "config.toml"
        text = path.read_text()
        if os.geteuid() == 0 and "[sandbox]" not in text:
            path.write_text(f'{text}\n[sandbox]\nuser = "{BOX_USER}"\n')

    def socket(self, agent: str) -> Path:
        """The path that released shims' containers mount."""
        return self.config / "sockets" / f"{agent}.sock"

    def tree(self) -> Tree:
        """Everything below the home: mode and content of each, "" for directories."""
        found = {}
        for path in sorted(self.home.rglob("*")):
            info = path.lstat()
            content = path.read_bytes() if stat.S_ISREG(info.st_mode) else b""
            found[str(path.relative_to(self.home))] = (info.st_mode, content)
        return found

    def save(self, beside: Path) -> None:
        """Keep a copy of the home, in a place where nothing is."""
        run(["cp", "-a", str(self.home), str(beside)]).succeeded()

    def restore(self, beside: Path) -> None:
        """Make the home what it was when it was saved."""
        shutil.rmtree(self.home)
        run(["cp", "-a", str(beside), str(self.home)]).succeeded()


@contextmanager
def new_host(executables: Executables) -> Iterator[Host]:
    """Make a host in a directory whose path is short, and remove it afterwards."""
    mask = os.umask(0o022)
    try:
        with tempfile.TemporaryDirectory(prefix="up-") as folder:
            # Whatever a shell, a unit or TOML could mistake.
            home = Path(folder) / "m y's $x %h"
            home.mkdir()
            yield Host(home, executables.daemon)
    finally:
        os.umask(mask)
