"""A daemon in a container of its own, and an agent's container beside it, with one workspace."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e.world.command import Completed
from e2e.world.container import Container, started
from e2e.world.engine import docker
from e2e.world.product import Product, write_agent

from .told import FILES, Told

PROFILE = 'commands = ["git"]\n[workspace]\nsame_path = ["/workspace"]\n'
"""Of an agent whose git runs in a box beside the daemon."""

RESTRICTED = ("--cap-drop=ALL", "--security-opt=no-new-privileges", "--user=1000:1000")
"""What Kubernetes' restricted profile leaves a container, but for its runtime's seccomp profile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """The daemon's container while it serves; `shim` is the image of its agent."""

    daemon: Container
    shim: str

    def git(self, *arguments: str) -> Completed:
        """Run git as the agent does."""
        options = ("--rm", "--user=1000", "--network=none", "--workdir=/workspace")
        words = ("run", *options, f"--volumes-from={self.daemon.id}:ro", self.shim, "/bin/git")
        return docker(*words, *arguments)

    def told(self) -> Told:
        """Return what doctor says in there."""
        return Told.ask(lambda *argv: self.daemon.run(*argv, cwd="/"), *FILES)

    def boxes(self) -> list[str | None]:
        """Return which box each command has had, as the audit log says."""
        lines = docker("logs", self.daemon.id).succeeded().stderr.splitlines()
        records: list[dict[str, Any]] = [json.loads(line) for line in lines if line[:1] == "{"]
        return [each["sandbox"] for each in records if each["event"] == "exec"]


@contextmanager
def served(product: Product, shim: str, folder: Path, *options: str) -> Iterator[Served]:
    """Keep a daemon in a container that has these `options`; its files are below `folder`."""
    folder.mkdir()
    files = write_agent(folder / "airlock", PROFILE)
    workspace = folder / "workspace"
    workspace.mkdir()
    workspace.chmod(0o777)
    health = ("--health-start-interval=1s", "--health-start-period=30s")
    hardened = ("--read-only", "--tmpfs=/tmp", "--network=none", *health)
    mounts = (*files, f"--volume={workspace}:/workspace")
    with started(product.daemon, *hardened, *mounts, *options) as daemon:
        daemon.wait_for_health("healthy")
        yield Served(daemon=daemon, shim=shim)
