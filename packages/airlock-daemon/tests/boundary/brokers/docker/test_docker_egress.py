"""The way out of an agent's containers: docker's own client, a real engine, and the shim."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from docker_scene import Scene, image, pytestmark, scene

from airlock_daemon.setup.client import ContainerClient
from airlock_daemon.setup.paths import SOCKET_DIRECTORY
from airlock_daemon.setup.shim_program import find_shim
from airlock_modules.engine import Egress
from airlock_modules.engine.egress import DIRECTORY

__all__ = ["image", "pytestmark"]

_ANSWER = b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nthe proxy"
_ASK = ("wget", "-q", "-O", "-", f"http://127.0.0.1:{ContainerClient.PROXY_PORT}/")


@asynccontextmanager
async def leading(directory: Path) -> AsyncIterator[Scene]:
    """A broker whose agent's containers reach a server in the place of the HTTPS broker."""
    folder = directory / "egress"
    folder.mkdir()

    async def answer(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            await stream.send_all(_ANSWER)

    listening = trio.socket.socket(trio.socket.AF_UNIX)
    await listening.bind(str(folder / "https.sock"))
    os.chmod(folder / "https.sock", 0o666)
    listening.listen()
    async with scene(directory) as here, trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, answer, [trio.SocketListener(listening)])
        environment = {**ContainerClient.VARIABLES, "HTTPS_PROXY": "http://127.0.0.1:1"}
        here.agent.egress = Egress(directory=str(folder), shim=find_shim(), environment=environment)
        yield here
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "options", [(), ("--user", "1234:1234"), ("--read-only",), ("--init",), ("-v", "/work:/w")]
)
async def test_a_container_reaches_the_proxy_at_its_loopback(
    tmp_path: Path, image: str, options: tuple[str, ...]
) -> None:
    """Whoever runs in it, from its first moment."""
    async with leading(tmp_path) as here:
        assert await here.docker("run", "--rm", *options, image, *_ASK) == (0, "the proxy")


async def test_the_command_is_the_containers_own(tmp_path: Path, image: str) -> None:
    """It has pid 1, its status, the words that docker shows, and exec has the variables."""
    async with leading(tmp_path) as here:
        status, _ = await here.docker("run", "--name", "x", image, "sh", "-c", "exit $(($$ + 6))")
        assert status == 7
        run = ("run", "-d", "--name", "web", "-e", "no_proxy=mine", "--entrypoint", "sleep")
        status, text = await here.docker(*run, image, "100")
        assert status == 0, text
        _, text = await here.docker("inspect", "web")
        [found] = json.loads(text)
        assert (found["Path"], found["Args"]) == ("sleep", ["100"])
        assert found["Config"]["Entrypoint"] == ["sleep"]
        assert found["Mounts"] == []
        assert str(tmp_path) not in text
        _, text = await here.docker("ps", "--format", "{{.Command}}", "--no-trunc")
        assert text == '"sleep 100"\n'
        _, text = await here.docker("exec", "web", "env")
        assert {"HTTPS_PROXY=http://127.0.0.1:1", "no_proxy=mine"} <= set(text.splitlines())
        assert "NO_PROXY=" not in text
        assert await here.docker("exec", "web", *_ASK) == (0, "the proxy")
        assert await here.docker("run", "--rm", "--network", "container:web", image, *_ASK) == (
            0,
            "the proxy",
        )


async def test_an_image_of_a_container_has_its_own_words(tmp_path: Path, image: str) -> None:
    """One that is committed begins as the container did, and reaches the proxy in turn."""
    async with leading(tmp_path) as here:
        assert (await here.docker("run", "--name", "box", image, *_ASK))[0] == 0
        status, text = await here.docker("commit", "box", "made:1")
        assert status == 0, text
        form = "{{json .Config.Entrypoint}} {{json .Config.Cmd}}"
        _, text = await here.docker("image", "inspect", "--format", form, "made:1")
        assert "airlock" not in text
        assert await here.docker("run", "--rm", "made:1") == (0, "the proxy")


async def test_an_engine_that_does_not_see_them_makes_containers_without(
    tmp_path: Path, image: str
) -> None:
    """As one of another user: the client is warned of what they lack."""
    async with scene(tmp_path) as here:
        here.agent.egress = Egress(shim=find_shim(), directory="/nowhere/of/the/host")
        status, text = await here.docker("run", "--rm", image, "sh", "-c", "echo made; ls -d /opt")
        assert "made\n" in text
        assert "airlock: the engine does not see the agent's sockets" in text
        here.agent.egress = Egress(shim="/nowhere/either", directory="/nowhere/of/the/host")
        status, text = await here.docker("run", "--rm", image, "sh", "-c", "echo made")
        assert (status, "made\n" in text) == (0, True)
        assert "airlock: the engine does not see the shim" in text
        status, text = await here.docker("run", "--rm", "-w", "not/absolute", image, "id")
        assert (status, "not/absolute" in text) == (125, True)


async def test_a_container_without_a_network_has_no_way_out(tmp_path: Path, image: str) -> None:
    """As its client wants it."""
    async with leading(tmp_path) as here:
        status, text = await here.docker("run", "--rm", "--network", "none", image, *_ASK)
        assert (status, "refused" in text) == (1, True)


def test_both_have_one_directory() -> None:
    """The variables name files where they are mounted."""
    assert DIRECTORY == SOCKET_DIRECTORY
