"""docker's own client through the broker, before a real engine."""

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
from airlock_daemon.boundary.fairness.turns import Rounds
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
SECRET = "canary-of-the-host"
OWNER = "1000:1000"
_PROGRAMS = ("sh", "cat", "id", "sleep", "touch")


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    """An image with a shell and some programs."""
    busybox = shutil.which("busybox")
    assert busybox is not None, "there is no busybox on PATH; install Debian's busybox-static"
    with io.BytesIO() as packed:
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for program in _PROGRAMS:
                archive.add(os.path.realpath(busybox), f"bin/{program}")
        content = packed.getvalue()
    subprocess.run(("docker", "import", "-", NAME), input=content, check=True, capture_output=True)
    yield NAME
    subprocess.run(("docker", "rmi", "--force", NAME), check=True, capture_output=True)


class Scene:
    """A broker's socket for an agent that has one workspace, `/work` to it."""

    def __init__(self, path: Path, workspace: Path) -> None:
        self.path = path
        self.workspace = workspace

    async def docker(self, *words: str, said: bytes = b"") -> tuple[int, str]:
        """Run docker's client as the agent; its status, and what it says on both streams."""
        environment = {"PATH": os.environ["PATH"], "DOCKER_HOST": f"unix://{self.path}"}
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
async def scene(directory: Path) -> AsyncIterator[Scene]:
    """A broker before the engine of this host."""
    workspace = directory / "workspace"
    workspace.mkdir()
    if os.geteuid() == 0:
        os.chown(workspace, *map(int, OWNER.split(":")))
    status = workspace.stat()
    root = Root(inner="/work", outer=str(workspace), user=f"{status.st_uid}:{status.st_gid}")
    grant = DockerGrant(images=(f"docker.io/library/{NAME}",), roots=(root,))
    path, rounds, broker = directory / "docker.sock", Rounds(), EngineBroker()
    agent = Agent(ENGINE, grant, rounds, name=f"t{os.getpid()}")

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
            yield Scene(path, workspace)
            nursery.cancel_scope.cancel()
    finally:
        trio.lowlevel.remove_instrument(rounds)
        with trio.CancelScope(shield=True):
            removed = await remove_own(ENGINE, agent.name)
    assert removed.left == ()


async def test_containers_are_run_as_on_any_engine(tmp_path: Path, image: str) -> None:
    """Output, status, stdin, names, logs, exec and copies are as docker has them."""
    async with scene(tmp_path) as here:
        said = await here.docker("run", "--rm", image, "sh", "-c", "echo hello; exit 3")
        assert said == (3, "hello\n")
        assert await here.docker("run", "--rm", "-i", image, "cat", said=b"of stdin") == (
            0,
            "of stdin",
        )
        status, text = await here.docker(
            "run", "-d", "--name", "web", image, "sh", "-c", "echo up; sleep 100"
        )
        assert status == 0, text
        assert await here.docker("ps", "--format", "{{.Names}} {{.Image}}") == (0, f"web {image}\n")
        assert await here.docker("logs", "web") == (0, "up\n")
        assert await here.docker("exec", "web", "sh", "-c", "echo in; exit 4") == (4, "in\n")
        (tmp_path / "file").write_text("copied")
        status, text = await here.docker("cp", str(tmp_path / "file"), "web:/file")
        assert status == 0, text
        assert await here.docker("exec", "web", "cat", "/file") == (0, "copied")
        status, text = await here.docker("rm", "-f", "web")
        assert (status, text) == (0, "web\n")
        assert await here.docker("ps", "-aq") == (0, "")


async def test_a_workspace_is_mounted_for_its_owner(tmp_path: Path, image: str) -> None:
    """What a container makes there is the owner's, also by exec and by another user of its own."""
    async with scene(tmp_path) as here:
        run = ("run", "-d", "--name", "web", "--user", "0", "-v", "/work:/src")
        status, text = await here.docker(*run, image, "sleep", "100")
        assert status == 0, text
        for words in (("exec", "web"), ("exec", "--user", "0", "web")):
            owner = here.workspace.stat()
            status, text = await here.docker(*words, "id")
            assert text.startswith(f"uid={owner.st_uid}"), text
        assert (await here.docker("exec", "web", "touch", "/src/made"))[0] == 0
        assert (here.workspace / "made").stat().st_uid == here.workspace.stat().st_uid
        status, text = await here.docker("cp", str(tmp_path / "workspace"), "web:/src")
        assert status != 0


@pytest.mark.parametrize(
    "words",
    [
        ("--privileged",),
        ("-v", "/:/host"),
        ("-v", "/work/../../etc:/x"),
        ("--network", "host"),
        ("--pid", "host"),
        ("--cap-add", "SYS_ADMIN"),
        ("--device", "/dev/null"),
        ("--security-opt", "seccomp=unconfined"),
        ("--restart", "always"),
        ("--label", "airlock.agent=other"),
    ],
)
async def test_what_reaches_the_host_is_refused(
    tmp_path: Path, image: str, words: tuple[str, ...]
) -> None:
    """The client shows the reason, and no container is made."""
    async with scene(tmp_path) as here:
        status, text = await here.docker("run", *words, image, "id")
        assert status == 125
        assert "airlock: " in text
        assert await here.docker("ps", "-aq") == (0, "")


async def test_a_persons_container_is_not_there(tmp_path: Path, image: str) -> None:
    """Not even one that has the agent's label from its image."""
    label = f"airlock.agent=t{os.getpid()}"
    create = ("docker", "create", "--name", NAME, "--label", label, image, "sleep", "100")
    await trio.run_process(create, capture_stdout=True)
    try:
        async with scene(tmp_path) as here:
            assert await here.docker("ps", "-aq") == (0, "")
            for word in ("container inspect", "start", "logs", "stop", "rm"):
                assert (await here.docker(*word.split(), NAME))[0] != 0, word
            assert (await here.docker("rename", NAME, "mine"))[0] != 0
            assert (await here.docker("container", "prune", "-f"))[0] == 0
        await trio.run_process(("docker", "inspect", NAME), capture_stdout=True)
    finally:
        with trio.CancelScope(shield=True):
            await trio.run_process(("docker", "rm", "-f", NAME), capture_stdout=True)


async def test_a_directory_that_becomes_a_link_never_leads_to_the_host(
    tmp_path: Path, image: str
) -> None:
    """While it is swapped 2,000 times and more, no container sees what the link names."""
    async with scene(tmp_path) as here:
        secret = tmp_path / "secret"
        secret.mkdir()
        (secret / "file").write_text(SECRET)
        place, other = here.workspace / "sub", here.workspace / "other"
        place.mkdir()
        (place / "file").write_text("harmless")
        link = here.workspace / "link"
        link.symlink_to(secret)
        swaps, seen = 0, list[str]()

        async def swap() -> None:
            nonlocal swaps
            while True:
                place.rename(other)
                link.rename(place)
                place.rename(link)
                other.rename(place)
                swaps += 2
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(swap)
            while swaps < 2000 or len(seen) < 20:
                _, text = await here.docker(
                    "run", "--rm", "-v", "/work/sub:/s", image, "cat", "/s/file"
                )
                seen.append(text)
            nursery.cancel_scope.cancel()
        assert not any(SECRET in text for text in seen)
        assert any(text == "harmless" for text in seen)
