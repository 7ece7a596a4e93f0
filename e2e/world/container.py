"""Containers: creating, running and removing them, and running commands in them."""

import io
import json
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .command import TIMEOUT_S, Completed
from .engine import LABEL, docker, remove
from .errors import PATIENCE_S, NothingHappened
from .lines import make_request
from .running import Running
from .terminal import Terminal

LINKS = ("aws", "docker", "gh", "git", "kubectl", "linger", "npm", "ssh", "terraform")
"""The names of the shim in every container."""
SOCKET = "/run/airlock/airlock.sock"
"""The agent's socket in a container with its directory mounted."""

FOR_EVER = ("sleep", "infinity")
"""The command of a container in which others are run. Its image must have `sleep`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A running container; `id` is its full id."""

    id: str

    def run(
        self,
        *argv: str,
        cwd: str = "/workspace",
        user: str = "",
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        longest_s: float = TIMEOUT_S,
    ) -> Completed:
        """Run a command in the container to its end."""
        words = self._exec(argv, cwd=cwd, user=user, env=env or {})
        return docker(*words, stdin=stdin, longest_s=longest_s)

    def start(self, *argv: str, cwd: str = "/workspace") -> Running:
        """Start a command in the container, and read its output while it runs."""
        return Running(("docker", *self._exec(argv, cwd=cwd, user="", env={})))

    def sit_at(self, *argv: str, rows: int, cols: int, cwd: str = "/workspace") -> Terminal:
        """Start a command by `docker exec -it` on a terminal of this size."""
        words = self._exec(argv, cwd=cwd, user="", env={"TERM": "xterm"})
        return Terminal(("docker", words[0], "--tty", *words[1:]), rows=rows, cols=cols)

    def ask(self, command: str, *args: str, **params: Any) -> dict[str, Any]:
        """Send one raw request to the agent's socket and return the response, without output.

        The image must have socat.
        """
        # -t: the seconds that socat waits for the answer after the end of the request.
        relay = ("socat", "-t", "30", "-", f"UNIX-CONNECT:{SOCKET}")
        answer = self.run(*relay, cwd="/", stdin=make_request(command, *args, **params))
        response: dict[str, Any] = json.loads(answer.succeeded().out.splitlines()[-1])
        return response

    def export(self) -> bytes:
        """Return the container's whole file system as a tar archive."""
        return docker("export", self.id).succeeded().out

    def read_changes(self) -> bytes:
        """Return the files that the container has and its image has not, in a tar archive."""
        lines = docker("diff", self.id).succeeded().out.splitlines()
        changed = {line[2:].decode().lstrip("/") for line in lines}
        made = io.BytesIO()
        with (
            tarfile.open(fileobj=io.BytesIO(self.export())) as whole,
            tarfile.open(fileobj=made, mode="w") as archive,
        ):
            for entry in whole:
                if entry.name in changed:
                    archive.addfile(entry, whole.extractfile(entry) if entry.isreg() else None)
        return made.getvalue()

    def find_port(self, port: int) -> int:
        """Return the port of this host's loopback address that publishes the container's `port`."""
        return int(docker("port", self.id, str(port)).succeeded().stdout.rpartition(":")[2])

    def wait_until_it_says(self, text: str) -> None:
        """Wait until the container's own command has printed a line with `text`."""
        with Running(("docker", "logs", "--follow", self.id)) as log:
            log.wait_for(text)

    def wait_for_health(self, state: str) -> None:
        """Wait until the engine's health check reports `state`.

        The engine is asked again and again: it forgets its events when there are many.
        """
        until = time.monotonic() + PATIENCE_S
        while (health := self._read_health())["Status"] != state:
            if time.monotonic() > until:
                raise NothingHappened(f"not {state} after {PATIENCE_S} s: {health}")
            time.sleep(0.1)

    def _read_health(self) -> dict[str, Any]:
        said = docker("inspect", "--format={{json .State.Health}}", self.id).succeeded().out
        health: dict[str, Any] = json.loads(said)
        return health

    def _exec(
        self, argv: Sequence[str], *, cwd: str, user: str, env: Mapping[str, str]
    ) -> list[str]:
        options = ["exec", "--interactive", f"--workdir={cwd}"]
        if user:
            options.append(f"--user={user}")
        options += [f"--env={name}={value}" for name, value in env.items()]
        return [*options, self.id, *argv]


@contextmanager
def started(image: str, *options: str, command: Sequence[str] = ()) -> Iterator[Container]:
    """Run a container of `image` for the length of the context.

    `options` go to `docker run`; without a `command` the image's own runs. The container may be
    removed earlier.
    """
    words = ("run", "--detach", f"--label={LABEL}", *options, image, *command)
    container = Container(id=docker(*words).succeeded().stdout)
    try:
        yield container
    finally:
        remove([container.id])


@contextmanager
def serving(image: str, *ports: int, says: str) -> Iterator[Container]:
    """Run a container with `ports` published on 127.0.0.1, once it has printed `says`."""
    with started(image, *(f"--publish=127.0.0.1::{port}" for port in ports)) as container:
        container.wait_until_it_says(says)
        yield container


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """The settings of an agent's container.

    `mounts` maps a path in the container to a host path and "ro" or "rw". `user` and `options` are
    for `docker run`.
    """

    image: str
    mounts: Mapping[str, tuple[Path, str]]
    user: str = "0"
    options: Sequence[str] = ()

    def run(self, *argv: str, cwd: str = "/workspace") -> Completed:
        """Run a container for this one command, to its end."""
        words = ("run", "--rm", f"--label={LABEL}", *self.words(), f"--workdir={cwd}")
        return docker(*words, self.image, *argv)

    @contextmanager
    def running(self) -> Iterator[Container]:
        """Run a container for the length of the context. Its image must have `sleep`."""
        with started(self.image, *self.words(), command=FOR_EVER) as container:
            yield container

    def words(self) -> list[str]:
        """Return the options of `docker run` for these settings."""
        mounts = (
            f"--mount=type=bind,source={source},target={target}{',readonly' * (mode == 'ro')}"
            for target, (source, mode) in self.mounts.items()
        )
        return [*mounts, f"--user={self.user}", *self.options]


def shim_links(shim: Path) -> dict[str, tuple[Path, str]]:
    """Return the mounts that put the shim on PATH, before an image's own tools."""
    return {f"/usr/local/bin/{name}": (shim, "ro") for name in LINKS}
