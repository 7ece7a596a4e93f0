"""Tests of `airlock_daemon.admin.cli.api_access`: how a container reaches the APIs of its agent."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from airlock_daemon.admin.cli.api_access import (
    await_authority,
    describe_reach,
    prepare_access,
)
from airlock_daemon.admin.cli.image import Image
from airlock_daemon.errors import AirlockError
from airlock_daemon.setup.agents import AgentApis
from airlock_daemon.setup.paths import Locations
from airlock_daemon.setup.state import State
from airlock_modules.apis import Api

API = Api(name="forge", module="forge", hosts=("api.example.com",))
APIS = AgentApis(apis=(API,))
CERTIFICATES = ("ca-bundle.pem", "ca.pem", "truststore.p12")


def image(*entrypoint: str, command: tuple[str, ...] = ()) -> Image:
    return Image(
        identity="sha256:1",
        architecture="amd64",
        search_path="/bin",
        entrypoint=entrypoint,
        command=command,
    )


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[socket.socket]:
    """A listener at https.sock of the directory."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "https.sock"))
        listening.listen()
        yield listening


def test_what_a_container_reaches_is_said_in_one_line() -> None:
    """Each host once, the first few of many."""
    apis = AgentApis(apis=(API, API), network=("a.example.com:443", "b:8443"))
    (said,) = describe_reach("my", apis, ("none",))
    reached = "api.example.com, a.example.com, b:8443"
    assert said.startswith(f"network: none; reachable by HTTPS: {reached}; for another")
    assert list(describe_reach("my", AgentApis(), ())) == []
    many = AgentApis(apis=(API,), network=("a:1", "b:1", "c:1", "d:1", "e:1"))
    (said,) = describe_reach("my", many, ("bridge",))
    assert "api.example.com, a:1, b:1, c:1 and 2 more (airlock profile show my)" in said
    assert "and no other host" in said


def test_no_container_chooses_what_another_one_has_as_certificates(tmp_path: Path) -> None:
    """If it may write to its socket directory: an engine follows a link to a file of the host."""
    locations = Locations.find(config=str(tmp_path), sockets=str(tmp_path / "sockets"), agents=None)
    bundle = tmp_path / "sockets" / "my" / "ca-bundle.pem"
    bundle.parent.mkdir(parents=True)
    bundle.write_text("certificates")
    state = State(str(tmp_path / "state"))

    def find() -> Path:
        access = prepare_access(locations, state, "my", APIS, is_run=True)
        (mount,) = access.mounts
        return Path(mount.source)

    copy = find()
    assert copy.read_text() == "certificates"
    assert bundle.parent not in copy.parents
    (tmp_path / "key").write_text("secret")
    bundle.unlink()
    bundle.symlink_to(tmp_path / "key")
    with pytest.raises(AirlockError, match="is not the file that the HTTPS broker wrote"):
        find()
    assert copy.read_text() == "certificates"


def test_the_certificates_of_a_broker_that_makes_them_are_waited_for(
    tmp_path: Path, broker: socket.socket
) -> None:
    """A connection has it begin."""

    def serve() -> None:
        broker.accept()[0].close()
        for name in CERTIFICATES:
            (tmp_path / name).touch()

    serving = threading.Thread(target=serve)
    serving.start()
    await_authority(str(tmp_path), "my", APIS)
    serving.join()
    assert all((tmp_path / name).exists() for name in CERTIFICATES)


def test_certificates_that_nobody_makes_are_told_with_a_remedy(
    tmp_path: Path, broker: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a broker that does not get them made, and of one that does not run."""
    monkeypatch.setattr("airlock_daemon.admin.cli.api_access._WAIT_S", 0.0)
    (tmp_path / "ca.pem").touch()
    with pytest.raises(AirlockError, match=r"agent my has not made .*/ca-bundle\.pem") as caught:
        await_authority(str(tmp_path), "my", APIS)
    await_authority(str(tmp_path), "my", AgentApis())
    assert "airlock doctor" in str(caught.value.hint)
    broker.close()
    with pytest.raises(AirlockError, match="agent my does not run, and has not made"):
        await_authority(str(tmp_path), "my", APIS)
