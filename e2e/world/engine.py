"""The container engine: whether one answers that shares this machine's files and processes."""

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from .command import LONGEST_S, Completed, run

_GOING = "is already in progress"
LABEL = "airlock.e2e"
"""Every container of these tests carries this label."""

WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
"""The number of this process among those of one pytest, from 0: what is on the machine once for
each of them (accounts, addresses) has it in its name.
"""

_LOCKS = "/run/lock/airlock-e2e"
_PATIENCE_S = 20


@dataclass(frozen=True)
class Engine:
    """A Docker engine that answers on this machine."""

    cli: str
    """Absolute path of the ``docker`` program."""
    host: str
    """Its endpoint, ``unix://PATH``, good as ``DOCKER_HOST``."""

    def variables(self) -> dict[str, str]:
        """Return the environment for the CLI: this endpoint, whatever the current context."""
        variables = {name: value for name, value in os.environ.items() if name != "DOCKER_CONTEXT"}
        return variables | {"DOCKER_HOST": self.host}


def find_engine() -> Engine | str:
    """Return the engine that the docker CLI talks to, or in words why there is none to use.

    Only one that runs rootful on this very kernel will do: a client in a virtual machine or a
    user namespace is not the process that the daemon sees on its socket.
    """
    cli = shutil.which("docker")
    if cli is None:
        return "there is no docker command"
    try:
        host = os.environ.get("DOCKER_HOST") or _ask(
            [cli, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]
        )
        about = json.loads(_ask([cli, "info", "--format", "{{json .}}"]))
    except (subprocess.SubprocessError, OSError, ValueError):
        return "no Docker engine answers"
    if about.get("ServerErrors") or not about.get("ServerVersion"):
        return "no Docker engine answers"
    if not host.startswith("unix://"):
        return f"the Docker engine is not on this machine ({host})"
    options = ",".join(about.get("SecurityOptions") or ())
    if (
        "rootless" in options
        or "userns" in options
        or "Docker Desktop" in about.get("OperatingSystem", "")
    ):
        return "the Docker engine runs rootless, with user namespaces or in a virtual machine"
    return Engine(cli, host)


def why_not() -> str | None:
    """Say why there is no engine to test with, or None if one answers."""
    found = find_engine()
    return found if isinstance(found, str) else None


def docker(*arguments: str, stdin: bytes = b"", longest_s: float = LONGEST_S) -> Completed:
    """Run the docker CLI with `arguments`."""
    return run(("docker", *arguments), stdin=stdin, longest_s=longest_s)


@contextmanager
def alone() -> Iterator[None]:
    """Take the engine for this run, and remove what an earlier, killed run left there.

    The workers of a run share it: the process that starts them has taken it.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        yield
        return
    with _locked(_LOCKS):
        left = docker("ps", "--all", "--quiet", "--filter", f"label={LABEL}").succeeded()
        remove(left.stdout.split())
        yield


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Make images while no other worker of the run does, who would make the same."""
    with _locked(f"{_LOCKS}-images"):
        yield


def remove(containers: Sequence[str]) -> None:
    """End and remove `containers`, given by name or id, with their anonymous volumes.

    One that is gone already is none too many, nor one that the engine is about to remove by itself.
    """
    if containers:
        done = docker("rm", "--force", "--volumes", *containers)
        if not all(_GOING in line for line in done.stderr.splitlines()):
            done.succeeded()


@contextmanager
def _locked(path: str) -> Iterator[None]:
    with open(path, "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _ask(command: list[str]) -> str:
    answer = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=_PATIENCE_S
    )
    return answer.stdout.strip()
