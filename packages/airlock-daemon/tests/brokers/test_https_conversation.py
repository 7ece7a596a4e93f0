"""Requests to an API through the HTTPS broker: real processes, and a real service behind TLS."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from api_server import ApiServer, Certificates, serving
from broker_world import SECRET, World, broker, make_api

from airlock_daemon.brokers.https.messages import Finished


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """The authority of the services."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def server(certificates: Certificates) -> Iterator[ApiServer]:
    """A service at localhost."""
    with serving(certificates.issue("localhost", "127.0.0.1")) as server:
        yield server


@pytest.fixture
async def world(
    tmp_path: Path, certificates: Certificates, server: ApiServer
) -> AsyncIterator[World]:
    """A broker that grants everything of it but one path."""
    variables = {"SSL_CERT_FILE": str(certificates.file), "HOME": str(tmp_path)}
    api = make_api(server.port, deny=("* /secrets/**",))
    async with broker(tmp_path, api, variables=variables) as world:
        yield world


async def test_the_placeholder_becomes_the_credential(world: World, server: ApiServer) -> None:
    """The service sees the credential and what was judged, the tool an answer without it."""
    tool = await world.open()
    status, _, body = await tool.ask("GET", "/repos/a/%62?page=2", ("X-Tool", "yes"))
    assert (status, body) == (200, b"ok")
    [seen] = server.seen
    assert (seen.method, seen.target) == ("GET", "/repos/a/b?page=2")
    assert seen.headers["authorization"] == f"Bearer {SECRET}"
    assert seen.headers["x-tool"] == "yes"
    finished = await world.wait_for(Finished)
    assert isinstance(finished, Finished)
    assert (finished.status, finished.received, finished.fault) == (200, 2, None)
