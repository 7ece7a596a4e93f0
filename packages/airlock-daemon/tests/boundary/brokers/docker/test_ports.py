"""Ports of an agent's containers: docker's own client, a real engine, and the shim."""

import errno
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
from docker_scene import Scene, image, pytestmark, scene
from msgspec.structs import replace

from airlock_daemon.setup.shim_program import find_shim
from airlock_modules.engine import Egress

__all__ = ["image", "pytestmark"]

_SERVE = ("httpd", "-f", "-p", "80", "-h", "/bin")


@asynccontextmanager
async def listening(directory: Path) -> AsyncIterator[Scene]:
    """A broker, and the shim beside a command, as in the agent's own container."""
    async with scene(directory) as here:
        environment = {"AIRLOCK_SOCKET": str(directory / "airlock.sock"), "PATH": "/usr/bin:/bin"}
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            environment["AIRLOCK_PROXY_PORT"] = str(probe.getsockname()[1])
        words = (find_shim(), "--exec", "sleep", "1000")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(trio.run_process, words, env=environment, check=False))
            while not here.broker.ports.has_listener:
                await trio.lowlevel.checkpoint()
            yield here
            nursery.cancel_scope.cancel()


async def _fetch(port: int) -> bytes:
    """What a server at a port of the loopback says, once it is there. Raises OSError."""
    while True:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        async with stream:
            await stream.send_all(b"GET /id HTTP/1.0\r\n\r\n")
            found = b"".join([piece async for piece in stream])
        if found:
            return found


async def test_a_port_that_is_in_use_is_refused_as_by_docker(tmp_path: Path, image: str) -> None:
    """By a program of the agent's container, or by another container; it is free afterwards."""
    async with listening(tmp_path) as here:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            run = ("run", "-d", "-p", f"{port}:80")
            status, text = await here.docker(*run, "--name", "web", image, *_SERVE)
            assert status == 125
            assert f"Bind for 127.0.0.1:{port} failed: port is already allocated" in text
        status, text = await here.docker("start", "web")
        assert status == 0, text
        assert b"\x7fELF" in await _fetch(port)
        status, text = await here.docker(*run, image, *_SERVE)
        assert (status, "port is already allocated" in text) == (125, True)
        assert (await here.docker("restart", "-t", "0", "web"))[0] == 0
        assert b"\x7fELF" in await _fetch(port)


async def test_a_port_is_reached_from_within_where_its_address_is_none_of_this_host(
    tmp_path: Path, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a rootless engine: by the shim in the container, byte for byte."""

    async def open_elsewhere(*_: object) -> trio.SocketStream:
        raise OSError(errno.ENODEV, "No such device")

    monkeypatch.setattr("airlock_daemon.boundary.brokers.docker.ports._open", open_elsewhere)
    busybox = shutil.which("busybox")
    assert busybox is not None
    async with listening(tmp_path) as here:
        here.agent.egress = Egress(shim=find_shim())
        status, text = await here.docker(
            *("run", "-d", "--rm", "--name", "web", "-p", "80", image, *_SERVE)
        )
        assert status == 0, text
        _, text = await here.docker("port", "web", "80/tcp")
        found = await _fetch(int(text.partition(":")[2]))
        assert found.partition(b"\r\n\r\n")[2] == Path(busybox).read_bytes()
        _, text = await here.docker("inspect", "--format", "{{.Path}} {{.Mounts}}", "web")
        assert text == "httpd []\n"
        # Without the shim, and without a server, nothing is said to the client.
        for egress, words in ((None, _SERVE), (here.agent.egress, ("sleep", "100"))):
            here.agent.egress = egress
            status, text = await here.docker("run", "-d", "-p", "80", image, *words)
            assert status == 0, text
            _, text = await here.docker("port", text.strip(), "80/tcp")
            stream = await trio.open_tcp_stream("127.0.0.1", int(text.partition(":")[2]))
            async with stream:
                assert await stream.receive_some() == b""


@pytest.mark.parametrize("is_isolated", [False, True])
async def test_the_host_is_reached_but_from_an_isolated_network(
    tmp_path: Path, image: str, is_isolated: bool
) -> None:
    """Whose ports are published all the same."""
    with socket.create_server(("", 0)) as host:
        async with listening(tmp_path) as here:
            here.agent.egress = Egress(shim=find_shim())
            here.agent.grant = replace(here.agent.grant, is_isolated=is_isolated)
            run = ("run", "-d", "--rm", "--name", "web", "-p", "80", image, *_SERVE)
            status, text = await here.docker(*run)
            assert status == 0, text
            _, text = await here.docker("port", "web", "80/tcp")
            assert b"\x7fELF" in await _fetch(int(text.partition(":")[2]))
            network = f"{here.agent.ownership.prefix}default"
            form = "{{(index .IPAM.Config 0).Gateway}}"
            words = ("docker", "network", "inspect", "--format", form, network)
            found = await trio.run_process(words, capture_stdout=True)
            address = f"{found.stdout.decode().strip()}:{host.getsockname()[1]}"
            await here.docker("exec", "web", "wget", "-T", "2", "-qO-", f"http://{address}/")
        host.settimeout(0)
        try:
            host.accept()[0].close()
        except BlockingIOError:
            assert is_isolated
        else:
            assert not is_isolated


async def test_without_a_shim_the_client_is_warned(tmp_path: Path, image: str) -> None:
    """The container is made, and says what its port is."""
    async with scene(tmp_path) as here:
        status, text = await here.docker("create", "-P", "--expose", "80", image, "sleep", "1")
        assert (status, "airlock: port 80/tcp is published nowhere" in text) == (0, True)


async def test_no_client_names_an_address(tmp_path: Path, image: str) -> None:
    """A connection leads to a port of the agent's own containers alone, and else is closed."""
    async with listening(tmp_path) as here:
        with socket.create_server(("127.0.0.1", 0)) as host:
            port = host.getsockname()[1]
            for query in (f"port={port}", f"port={port}&address=127.0.0.1", "port=0", ""):
                stream = await trio.open_unix_socket(str(here.path))
                async with stream:
                    head = f"POST /airlock/connect?{query} HTTP/1.1\r\nHost: docker\r\n\r\n"
                    await stream.send_all(head.encode())
                    assert await stream.receive_some() == b"", query
            host.settimeout(0)
            try:
                host.accept()
            except BlockingIOError:
                return
            raise AssertionError
