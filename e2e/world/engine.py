"""Finding a container engine that shares this machine's files and processes."""

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .command import TIMEOUT_S, Completed, run

_GOING = "is already in progress"
LABEL = "airlock.e2e"
"""The label of every container of these tests, but for those that an agent makes."""
MADE_LABEL = "e2e.airlock"
"""The label of those: an agent may set none of Airlock's own."""

WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
"""The number of this pytest worker, from 0: part of the names of per-worker resources on the
machine (accounts, addresses).
"""

_LOCKS = "/run/lock/airlock-e2e"
_PATIENCE_S = 20


@dataclass(frozen=True)
class Engine:
    """A working Docker engine on this machine."""

    cli: str
    """Absolute path of the ``docker`` program."""
    host: str
    """Its endpoint, ``unix://PATH``, valid as ``DOCKER_HOST``."""

    def variables(self) -> dict[str, str]:
        """Return the environment for the CLI, which selects this endpoint over any context."""
        variables = {name: value for name, value in os.environ.items() if name != "DOCKER_CONTEXT"}
        return variables | {"DOCKER_HOST": self.host}


def find_engine() -> Engine | str:
    """Return the docker CLI's engine, or a text why it cannot be used.

    It must run rootful on this kernel: a client in a virtual machine or a user namespace is not the
    process that the daemon sees on its socket.
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
    """Return why there is no engine to test with, or None."""
    found = find_engine()
    return found if isinstance(found, str) else None


def docker(*arguments: str, stdin: bytes = b"", longest_s: float = TIMEOUT_S) -> Completed:
    """Run the docker CLI with `arguments`."""
    return run(("docker", *arguments), stdin=stdin, longest_s=longest_s)


@contextmanager
def alone() -> Iterator[None]:
    """Lock the engine for this run, and remove what an earlier, killed run left there.

    The workers of a run share it: the process that starts them holds the lock.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        yield
        return
    with _locked(_LOCKS):
        for label in (LABEL, f"airlock.label.{MADE_LABEL}"):
            left = docker("ps", "--all", "--quiet", "--filter", f"label={label}").succeeded()
            remove(left.stdout.split())
        yield


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Keep other workers of the run, which need the same images, from building meanwhile."""
    with _locked(f"{_LOCKS}-images"):
        yield


def remove(containers: Sequence[str]) -> None:
    """Stop and remove `containers`, given by name or id, with their anonymous volumes.

    Containers that are gone, or that the engine is removing, are ignored.
    """
    if containers:
        done = docker("rm", "--force", "--volumes", *containers)
        if not all(_GOING in line for line in done.stderr.splitlines()):
            done.succeeded()


def remove_made(state: Path) -> None:
    """Remove the containers and networks of the agents of a daemon by its state directory.

    It has ended, and its agents stay registered: the engine would keep each agent's own
    network, of which it has addresses for some thirty.
    """
    installation = state / "docker/installation"
    if not installation.exists():
        return
    label = f"label=airlock.installation={installation.read_text().strip()}"
    remove(docker("ps", "--all", "--quiet", "--filter", label).succeeded().stdout.split())
    left = docker("network", "ls", "--quiet", "--filter", label).succeeded().stdout.split()
    if left:
        docker("network", "rm", *left).succeeded()


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
