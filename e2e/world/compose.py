"""Compose projects of docker/, started by `docker compose` as by a user."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from .command import CommandFailed, Completed, run
from .container import Container
from .engine import docker


class Composition:
    """Compose files under their own project name; a context manager that removes all at the end.

    Each file is merged over the previous one, and `override`, written to `folder`, over all: it is
    the only difference from the files. `settings` are the variables that they read.
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
        """Build the project's images, without a network."""
        self.compose("build", "--quiet").succeeded()

    def up(self) -> None:
        """Start everything, and wait until every container is healthy or has succeeded.

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
        """Return the container of a running service."""
        listed = self.compose("ps", "--quiet", "--no-trunc", service).succeeded()
        return Container(id=listed.stdout)

    def volume(self, name: str) -> str:
        """Return the engine's name of a volume."""
        return f"{self.name}_{name}"

    def __enter__(self) -> Self:
        """Remove what a killed run left behind, and build."""
        self.remove()
        self.build()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove what was started."""
        self.remove()

    def remove(self) -> None:
        """Remove containers, networks and volumes."""
        self.compose("down", "--volumes", "--remove-orphans", "--timeout=5").succeeded()
