"""Arrangements of docker/, brought up by `docker compose` as a person would."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from .command import CommandFailed, Completed, run
from .container import Container
from .engine import docker


class Composition:
    """Compose files under a project name of their own; as a context manager it is gone at last.

    Each is merged over the one before. `settings` are the variables that they read. `override` is
    merged over all, and is written to `folder`: what it says is all that differs from the files.
    """

    def __init__(
        self,
        *files: Path,
        name: str,
        folder: Path,
        settings: Mapping[str, str],
        override: Mapping[str, Any],
    ) -> None:
        self.name = f"airlock-e2e-{name}"
        extra = folder / f"{self.name}.json"
        extra.write_text(json.dumps(override))
        named = (f"--file={file}" for file in (*files, extra))
        self._command = ("docker", "compose", f"--project-name={self.name}", *named)
        self._environment = {**os.environ, **settings}

    def build(self) -> None:
        """Build the images of its own, without a network."""
        self.compose("build", "--quiet").succeeded()

    def up(self) -> None:
        """Start everything, and return when all of it is healthy or has ended well.

        Raises CommandFailed with the states and logs of all containers.
        """
        words = ("--detach", "--wait", "--no-build", "--pull=never")
        started = self.compose("up", *words)
        if started.exit_code != 0:
            found = self.compose("ps", "--all", "--quiet").stdout.split()
            states = docker("inspect", "--format={{.Name}} {{json .State}}", *found).stdout
            raise CommandFailed(f"{started}\n{states}\n{self.compose('logs').stdout}")

    def compose(self, *arguments: str) -> Completed:
        """Run `docker compose` with these arguments."""
        return run((*self._command, *arguments), env=self._environment)

    def client(self, service: str) -> Container:
        """Return the container of a service that runs."""
        listed = self.compose("ps", "--quiet", "--no-trunc", service).succeeded()
        return Container(id=listed.stdout)

    def volume(self, name: str) -> str:
        """Return the engine's name of a volume."""
        return f"{self.name}_{name}"

    def __enter__(self) -> Self:
        """Remove what a run that was killed left behind, and build."""
        self._remove()
        self.build()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove containers, networks and volumes."""
        self._remove()

    def _remove(self) -> None:
        self.compose("down", "--volumes", "--remove-orphans", "--timeout=5").succeeded()
