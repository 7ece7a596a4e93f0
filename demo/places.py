"""The paths of one run of the demo: a temporary directory with two sides."""

import os
import subprocess
from pathlib import Path

from e2e.world.installation import Installation

AGENT = "demo"
"""The client's registered name."""


class Places:
    """The host's side below ``root``, which the client must not see, and the client's.

    ``airlock`` are the daemon's files, ``host_home`` is its HOME with the password, ``server`` has
    the git server's repositories. The client has an empty HOME, ``client_home``, git's programs and
    the shim among them in ``client_programs``, and its repository ``workspace``.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.airlock = Installation(root / "host" / "airlock")
        self.host_home = root / "host" / "home"
        self.server = root / "server"
        self.client_home = root / "client" / "home"
        self.client_programs = root / "client" / "programs"
        self.workspace = root / "client" / "workspace"
        sides = (self.client_home, self.client_programs, self.workspace)
        for folder in (self.host_home, self.server, *sides):
            folder.mkdir(parents=True)

    @property
    def credential(self) -> Path:
        """The file of git-credential-store(1) with the password."""
        return self.host_home / ".git-credentials"

    @property
    def socket(self) -> Path:
        """The client's socket; a container mounts its directory."""
        return self.airlock.socket(AGENT)


def build_variables(home: Path) -> dict[str, str]:
    """Return an environment with its own HOME and, of the user's own, only PATH.

    No ssh-agent, no proxy (the server is on 127.0.0.1), no git settings.
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
        ["config", "user.name", "Agent"],
        ["config", "user.email", "agent@example.com"],
        ["remote", "add", "origin", url],
        ["add", "README"],
        ["commit", "--quiet", "--message=Try Airlock"],
    ):
        _run_git(places, *words)
    return _run_git(places, "rev-parse", "HEAD")


def _run_git(places: Places, *words: str) -> str:
    command = ["git", "-C", str(places.workspace), *words]
    done = subprocess.run(
        command, env=build_variables(places.client_home), capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
