"""A broker before the docker engine of this host, for docker's own client."""

import io
import os
import shutil
import socket
import subprocess
import tarfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.lowlevel
from docker_world import Agent

from airlock_daemon.boundary.brokers.docker.broker import EngineBroker
from airlock_daemon.boundary.brokers.docker.departure import remove_own
from airlock_daemon.boundary.connection.descriptors import drop_unread
from airlock_daemon.boundary.fairness import Rounds
from airlock_daemon.setup.state import State
from airlock_modules.engine import DockerGrant, Root
from engines import has_engine

pytestmark = [
    pytest.mark.skipif(
        not os.environ.get("REQUIRE_DOCKER") and not has_engine(),
        reason="needs an engine of docker",
    ),
    pytest.mark.timeout(300),
]

# Of this process, so that nobody else takes away what is called so.
NAME = f"airlock-broker-{os.getpid()}"
ENGINE = "/var/run/docker.sock"
OWNER = "1000:1000"
_PROGRAMS = ("sh", "cat", "env", "grep", "httpd", "id", "sleep", "touch", "wget")


def pack() -> bytes:
    """An archive with a shell and some programs."""
    busybox = shutil.which("busybox")
    assert busybox is not None, "there is no busybox on PATH; install Debian's busybox-static"
    with io.BytesIO() as packed:
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for program in _PROGRAMS:
                archive.add(os.path.realpath(busybox), f"bin/{program}")
        return packed.getvalue()


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    """An image with a shell and some programs."""
    subprocess.run(("docker", "import", "-", NAME), input=pack(), check=True, capture_output=True)
    yield NAME
    subprocess.run(("docker", "rmi", "--force", NAME), check=True, capture_output=True)


class Scene:
    """A broker's socket for an agent that has one workspace, `/work` to it."""

    def __init__(self, path: Path, workspace: Path, broker: EngineBroker, agent: Agent) -> None:
        self.path = path
        self.workspace = workspace
        self.broker = broker
        self.agent = agent

    async def docker(self, *words: str, said: bytes = b"", **more: str) -> tuple[int, str]:
        """Run docker's client as the agent; its status, and what it says on both streams.

        `more` are further variables.
        """
        environment = {"PATH": os.environ["PATH"], "DOCKER_HOST": f"unix://{self.path}", **more}
        done = await trio.run_process(
            ("docker", *words),
            stdin=said,
            capture_stdout=True,
            stderr=subprocess.STDOUT,
            env={**environment, "HOME": str(self.path.parent)},
            check=False,
        )
        return done.returncode, done.stdout.decode()


@asynccontextmanager
async def scene(
    directory: Path,
    state: Path | None = None,
    images: tuple[str, ...] = (f"docker.io/library/{NAME}",),
    containers: int = 50,
    engine: str = ENGINE,
) -> AsyncIterator[Scene]:
    """A broker before an engine of this host; `state` is the daemon's state directory."""
    workspace = directory / "workspace"
    workspace.mkdir()
    if os.geteuid() == 0:
        os.chown(workspace, *map(int, OWNER.split(":")))
    status = workspace.stat()
    root = Root(inner="/work", outer=str(workspace), user=f"{status.st_uid}:{status.st_gid}")
    grant = DockerGrant(images=images, roots=(root,), containers=containers)
    path, rounds = directory / "docker.sock", Rounds()
    name = f"t{os.getpid()}"
    agent = Agent(engine, grant, rounds, name=name)
    broker = EngineBroker(State(str(state or directory / "state")), name)

    async def serve(stream: trio.SocketStream) -> None:
        connection = socket.socket(fileno=stream.socket.detach())
        connection.setblocking(False)
        with connection:
            await broker.serve(connection, agent)
            drop_unread(connection, agent.closer)

    listening = trio.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    await listening.bind(str(path))
    listening.listen(64)
    trio.lowlevel.add_instrument(rounds)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rounds.run)
            nursery.start_soon(trio.serve_listeners, serve, [trio.SocketListener(listening)])
            yield Scene(path, workspace, broker, agent)
            nursery.cancel_scope.cancel()
    finally:
        trio.lowlevel.remove_instrument(rounds)
        with trio.CancelScope(shield=True):
            left = await remove_own(engine, agent.ownership)
    assert left == []
