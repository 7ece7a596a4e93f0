"""The client's side: the workspace, git and the shim, but no credential."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from demo.errors import DemoError
from demo.places import Places, build_variables

HELPERS = ("git-remote-http", "git-remote-https")
"""git's remote helpers (gitremote-helpers(7)) that the shim replaces."""
SHIM = "airlock/git"
"""The path, below git's own programs, of the shim under git's name."""
_COMMAND_S = 120


@dataclass(frozen=True)
class Answer:
    """The result of a client's command."""

    status: int
    output: str
    """Its stdout and stderr, interleaved as on a terminal."""


class Client(Protocol):
    """Runs ``git`` as the client: a process of this machine, or one in a container."""

    def git(self, *words: str) -> Answer:
        """Run the client's own git in the workspace and wait for it."""

    def host_git(self, *words: str) -> Answer:
        """Run the shim as git, which requests the host's git, and wait for it."""


@dataclass(frozen=True)
class ProcessClient:
    """A process with its own HOME, whose git reaches remotes through the shim."""

    places: Places

    def git(self, *words: str) -> Answer:
        """Run this machine's git with the client's own helper programs."""
        return self._run("git", *words)

    def host_git(self, *words: str) -> Answer:
        """Run the shim under git's name."""
        return self._run(str(self.places.client_programs / SHIM), *words)

    def _run(self, *command: str) -> Answer:
        variables = build_variables(self.places.client_home)
        variables["GIT_EXEC_PATH"] = str(self.places.client_programs)
        variables["AIRLOCK_SOCKET"] = str(self.places.socket)
        return run_command(command, variables, cwd=self.places.workspace)


def install_shim(places: Places, *, program: Path) -> None:
    """Give the client the programs of this machine's git, with the shim in place of HELPERS.

    In an image ``airlock-shim --install-git`` does that in git's own directory.
    """
    for path in find_programs().iterdir():
        if path.name not in HELPERS:
            (places.client_programs / path.name).symlink_to(path)
    (places.client_programs / SHIM).parent.mkdir()
    for name in (*HELPERS, SHIM):
        (places.client_programs / name).symlink_to(program)


def find_programs() -> Path:
    """Return the exec path of this machine's git; raises DemoError."""
    answer = run_command(["git", "--exec-path"], dict(os.environ), cwd=Path("/"))
    if answer.status:
        raise DemoError(f"git --exec-path failed: {answer.output.strip()}")
    return Path(answer.output.strip())


def push_directly(places: Places) -> Answer:
    """Push with this machine's git and the client's HOME, without Airlock."""
    variables = build_variables(places.client_home)
    return run_command(["git", "push", "origin", "main"], variables, cwd=places.workspace)


def run_command(command: Sequence[str], variables: dict[str, str], *, cwd: Path) -> Answer:
    """Run a command to its end; raises DemoError when it cannot be started or takes too long."""
    try:
        done = subprocess.run(
            command,
            env=variables,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_COMMAND_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DemoError(f"{' '.join(command)}: {error}") from error
    return Answer(done.returncode, done.stdout)
