"""Where everything of one run of the demo stands: a temporary directory with two sides."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

AGENT = "demo"
"""The name under which the client is registered."""


@dataclass(frozen=True)
class Places:
    """The host's side, which the client must not see, and the client's."""

    root: Path

    @property
    def host_home(self) -> Path:
        """HOME of the daemon; the password stands in it."""
        return self.root / "host" / "home"

    @property
    def airlock(self) -> Path:
        """Airlock's configuration: what may run, the agent's directory, the audit log."""
        return self.root / "host" / "airlock"

    @property
    def agent(self) -> Path:
        """The agent's directory with its profile."""
        return self.airlock / "agents" / AGENT

    @property
    def registration(self) -> Path:
        """The file that names the agent's directory."""
        return self.airlock / "agents.toml"

    @property
    def log(self) -> Path:
        """The audit log."""
        return self.airlock / "airlock.log"

    @property
    def sockets(self) -> Path:
        """The daemon's sockets directory."""
        return self.root / "host" / "sockets"

    @property
    def agent_sockets(self) -> Path:
        """The directory to mount into the client's container."""
        return self.sockets / AGENT

    @property
    def server(self) -> Path:
        """The git server's repositories."""
        return self.root / "server"

    @property
    def client_home(self) -> Path:
        """HOME of the client; nothing is in it."""
        return self.root / "client" / "home"

    @property
    def client_bin(self) -> Path:
        """The client's only own programs: the shim under the name ``git``."""
        return self.root / "client" / "bin"

    @property
    def workspace(self) -> Path:
        """The client's repository, which the host sees too."""
        return self.root / "client" / "workspace"


def make_places(root: Path) -> Places:
    """Make the directories below an empty ``root``."""
    places = Places(root)
    for folder in (
        places.host_home,
        places.agent,
        places.server,
        places.client_home,
        places.client_bin,
        places.workspace,
    ):
        folder.mkdir(parents=True)
    return places


def build_variables(home: Path) -> dict[str, str]:
    """Return an environment with its own HOME and nothing of the person who runs the demo but PATH.

    No ssh-agent, no proxy (the server is on 127.0.0.1), no settings of git's.
    """
    return {
        "HOME": str(home),
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
    }


def make_commit(places: Places, *, url: str) -> str:
    """Make the workspace a repository with one commit and a remote ``origin``; return its id."""
    (places.workspace / "README").write_text(
        f"Written in {places.root.name}, pushed through Airlock.\n"
    )
    for words in (
        ["init", "--quiet", "--initial-branch=main"],
        ["remote", "add", "origin", url],
        ["add", "README"],
        [
            "-c",
            "user.name=Agent",
            "-c",
            "user.email=agent@example.com",
            "commit",
            "--quiet",
            "--message=Try Airlock",
        ],
    ):
        _run_git(places, *words)
    return _run_git(places, "rev-parse", "HEAD")


def _run_git(places: Places, *words: str) -> str:
    command = ["git", "-C", str(places.workspace), *words]
    done = subprocess.run(
        command, env=build_variables(places.client_home), capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
