"""Tests of `airlock_daemon.setup.client`: what a container gets to use its agent's APIs."""

import os
import stat
from pathlib import Path

from airlock_daemon.setup.agents import AgentApis
from airlock_daemon.setup.client import ContainerClient
from airlock_daemon.setup.state import State
from airlock_modules.apis import Api, Client, Credential, Source

TOKEN = Credential(
    kind="header", source=Source(kind="stored", words=("forge",)), placeholder="tok_{36}"
)
APIS = AgentApis(
    apis=(
        Api(name="forge", module="forge", hosts=("files.example.com",)),
        Api(name="forge.2", module="forge", hosts=("api.example.com",), credential=TOKEN),
    ),
    clients=(
        (
            ("forge", "forge.2"),
            Client(
                env={"FORGE_TOKEN": "{placeholder}", "FORGE_CA": "{ca}"},
                files={"~/.forge": "token={placeholder}\nca={bundle}\n"},
            ),
        ),
    ),
    network=(),
)


def test_a_placeholder_lasts_as_long_as_the_agent_and_is_of_one_agent_alone(tmp_path: Path) -> None:
    """It has the form that the tool looks for. An API without a credential has none."""
    state = State(str(tmp_path / "state"))
    found = ContainerClient.describe(state, "my", APIS).placeholders
    (placeholder,) = found.values()
    assert list(found) == ["forge.2"]
    assert placeholder.startswith("tok_")
    assert len(placeholder) == 40
    assert ContainerClient.describe(state, "my", APIS).placeholders == found
    assert ContainerClient.describe(state, "other", APIS).placeholders != found


def test_a_module_tells_its_tool_the_placeholder_and_where_the_certificates_are(
    tmp_path: Path,
) -> None:
    """In variables and in files; the variables of every such container are there too."""
    client = ContainerClient.describe(State(str(tmp_path / "state")), "my", APIS)
    made = client.placeholders["forge.2"]
    assert client.environment["FORGE_TOKEN"] == made
    assert client.environment["FORGE_CA"] == "/run/airlock/ca.pem"
    assert client.environment["https_proxy"] == "http://127.0.0.1:13128"
    assert client.environment["SSL_CERT_FILE"] == "/run/airlock/ca-bundle.pem"
    assert "HTTP_PROXY" not in client.environment
    assert client.files == {"~/.forge": f"token={made}\nca=/run/airlock/ca-bundle.pem\n"}


def test_the_variables_are_published_where_every_user_of_a_container_reads_them(
    tmp_path: Path,
) -> None:
    """A line each, and replaced as a whole: whoever reads meanwhile has the lines of before."""
    files = {"/run/airlock/kubeconfig": "here", "/run/airlock/ca.pem": "no", "~/.rc": "no"}
    client = ContainerClient(environment={"B": "two words", "A": "1"}, files=files)
    client.publish(str(tmp_path))
    assert (tmp_path / "kubeconfig").read_text() == "here"
    file = tmp_path / "client.env"
    with file.open() as before:
        ContainerClient(environment={"A": "2"}, files={}).publish(str(tmp_path))
        assert before.read() == "A=1\nB=two words\n"
    assert file.read_text() == "A=2\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert sorted(os.listdir(tmp_path)) == ["client.env", "kubeconfig"]


def test_what_is_published_can_be_listed() -> None:
    """By its names: those of every agent, and those of the modules."""
    client = Client(files={"/run/airlock/kubeconfig": "here", "~/.rc": "no"})
    own = ContainerClient.list_published(AgentApis(clients=((("forge",), client),)))
    assert own == ("ca.pem", "ca-bundle.pem", "truststore.p12", "client.env", "kubeconfig")


def test_a_link_in_the_place_of_what_is_published_leads_nowhere(tmp_path: Path) -> None:
    """A container may write there, if it mounts the directory so."""
    file, published = tmp_path / "of-the-host", tmp_path / "my"
    file.write_text("kept")
    published.mkdir()
    for name in ("client.env", "kubeconfig"):
        (published / name).symlink_to(file)
    files = {"/run/airlock/kubeconfig": "here"}
    ContainerClient(environment={"A": "1"}, files=files).publish(str(published))
    assert file.read_text() == "kept"
    assert (published / "client.env").read_text() == "A=1\n"
    assert (published / "kubeconfig").read_text() == "here"
