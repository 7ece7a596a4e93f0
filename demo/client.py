"""The client's side: somebody who has the workspace and the shim, and no credential."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from demo.errors import DemoError
from demo.places import Places, build_variables

_COMMAND_S = 120


@dataclass(frozen=True)
class Answer:
    """What a command of the client came to."""

    status: int
    output: str
    """Its stdout and stderr, as a terminal would show them."""


class Client(Protocol):
    """Runs ``git`` as the client: a process of this machine, or one in a container."""

    def git(self, *words: str) -> Answer:
        """Run the shim under the name ``git`` in the workspace and wait for it."""


@dataclass(frozen=True)
class ProcessClient:
    """A process with a HOME of its own whose ``git`` is the shim."""

    places: Places

    def git(self, *words: str) -> Answer:
        """Run the shim as a shell of the client would find it, first on its PATH."""
        variables = build_variables(self.places.client_home)
        variables["PATH"] = f"{self.places.client_bin}{os.pathsep}{variables['PATH']}"
        variables["AIRLOCK_SOCKET"] = str(self.places.socket)
        program = self.places.client_bin / "git"
        return run_command([str(program), *words], variables, cwd=self.places.workspace)


def install_shim(places: Places, *, program: Path) -> None:
    """Link the shim as ``git`` into the client's own directory, as an image's build would."""
    command = [str(program), "--install", str(places.client_bin), "git"]
    answer = run_command(command, build_variables(places.client_home), cwd=places.root)
    if answer.status:
        raise DemoError(f"installing the shim failed: {answer.output.strip()}")


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
