"""An agent's container, and what is run in it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testcontainers.core.container import DockerContainer

from .command import Completed
from .engine import LABEL, docker, remove
from .running import Running
from .terminal import Terminal

LINKS = ("aws", "docker", "git", "linger", "ssh", "terraform")
"""Commands under which the shim stands in every container."""
SOCKET = "/run/airlock/airlock.sock"
"""Where the agent's socket is in a container that has its directory mounted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """How a container is made.

    `mounts` maps a path in the container to a host path and "ro" or "rw". `user` is what `docker
    run --user` takes. `options` go to the engine's client as they are.
    """

    image: str
    mounts: Mapping[str, tuple[Path, str]]
    user: str = "0"
    options: Mapping[str, Any] = field(default_factory=dict)

    def _container(self, argv: Sequence[str], *, cwd: str) -> DockerContainer:
        container = DockerContainer(self.image).with_command(list(argv))
        # In the engine's own words: testcontainers' volumes hold one target for a host path.
        mounts = [
            {"Type": "bind", "Source": str(source), "Target": target, "ReadOnly": mode == "ro"}
            for target, (source, mode) in self.mounts.items()
        ]
        return container.with_kwargs(
            labels={LABEL: "agent"}, user=self.user, working_dir=cwd, mounts=mounts, **self.options
        )

    def run(self, *argv: str, cwd: str = "/workspace") -> Completed:
        """Run a container for this one command, from its start to its end."""
        container = self._container(argv, cwd=cwd)
        with container:
            exit_code = container.wait()
            out, err = container.get_logs()
        return Completed(argv=tuple(argv), exit_code=exit_code, out=out, err=err)

    @contextmanager
    def running(self) -> Iterator["Client"]:
        """Keep a container for as long as the context lasts. Its image has to have `sleep`.

        The test may remove it before that.
        """
        container = self._container(("sleep", "infinity"), cwd="/").start()
        client = Client(container=container.get_container_id())
        try:
            yield client
        finally:
            remove([client.container])


def shim_links(shim: Path) -> dict[str, tuple[Path, str]]:
    """Return the mounts that put the shim on PATH, in front of an image's own tools."""
    return {f"/usr/local/bin/{name}": (shim, "ro") for name in LINKS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A container that runs; `container` is its full id."""

    container: str

    def run(
        self,
        *argv: str,
        cwd: str = "/workspace",
        user: str = "",
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
    ) -> Completed:
        """Run a command in the container to its end."""
        return docker(*self._exec(argv, cwd=cwd, user=user, env=env or {}), stdin=stdin)

    def start(self, *argv: str, cwd: str = "/workspace") -> Running:
        """Start a command in the container, to be listened to while it runs."""
        return Running(("docker", *self._exec(argv, cwd=cwd, user="", env={})))

    def sit_at(self, *argv: str, rows: int, cols: int, cwd: str = "/workspace") -> Terminal:
        """Start a command by `docker exec -it` on a terminal of this size."""
        words = self._exec(argv, cwd=cwd, user="", env={"TERM": "xterm"})
        return Terminal(("docker", words[0], "--tty", *words[1:]), rows=rows, cols=cols)

    def ask(self, method: str, **params: object) -> dict[str, Any]:
        """Send one request of our own making to the agent's socket and return the response.

        The image has to have socat. Output that comes before the response is left out.
        """
        request = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
        # socat waits so many seconds for the answer after the request has ended.
        relay = ("socat", "-t", "30", "-", f"UNIX-CONNECT:{SOCKET}")
        answer = self.run(*relay, cwd="/", stdin=json.dumps(request).encode() + b"\n")
        response: dict[str, Any] = json.loads(answer.succeeded().out.splitlines()[-1])
        return response

    def export(self) -> bytes:
        """Return the container's whole file system as a tar archive."""
        return docker("export", self.container).succeeded().out

    def _exec(
        self, argv: Sequence[str], *, cwd: str, user: str, env: Mapping[str, str]
    ) -> list[str]:
        options = ["exec", "--interactive", f"--workdir={cwd}"]
        if user:
            options.append(f"--user={user}")
        options += [f"--env={name}={value}" for name, value in env.items()]
        return [*options, self.container, *argv]
