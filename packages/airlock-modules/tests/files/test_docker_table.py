import pytest
from msgspec.structs import replace

from airlock_modules import Fault, TableReader
from airlock_modules.engine import DockerGrant, read_image_name
from airlock_modules.files.docker_table import read_docker_grant


def _read(text: str) -> tuple[DockerGrant, list[Fault]]:
    faults: list[Fault] = []
    table = TableReader.parse(f"[docker]\n{text}", source="airlock.toml", faults=faults)
    assert table is not None
    return read_docker_grant(table.table("docker")), faults


def test_an_empty_table_grants_public_images_without_logins() -> None:
    """No login, no push, no container of a person, no way out of the agent's network."""
    grant, faults = _read("")
    assert faults == []
    alpine = read_image_name("alpine")
    assert grant.may_pull(alpine)
    assert not grant.may_use(alpine)
    assert not grant.may_pull(read_image_name("ghcr.io/acme/x"))
    assert not grant.is_bridged
    assert not grant.is_isolated
    assert _read('network = "isolated"')[0] == replace(grant, is_isolated=True)
    assert not grant.publishes_on_host
    assert not grant.root_binds
    assert not grant.has_login(alpine)
    assert not grant.may_read("web")


def test_a_table_names_what_is_granted() -> None:
    """A table with registries or images has no others; a pattern of images names no tag."""
    grant, faults = _read(
        """
        registries = ["ghcr.io"]
        push = ["ghcr.io/acme/*"]
        read = ["web", "db-*"]
        network = "bridge"
        host_ports = true
        root_binds = true
        containers = 3
        engine = "unix:///run/user/1000/docker.sock"
        builder = "moby/buildkit:rootless"
        """
    )
    assert faults == []
    assert (grant.images, grant.registries) == ((), ("ghcr.io",))
    assert grant.has_login(read_image_name("ghcr.io/other/x"))
    assert not grant.may_pull(read_image_name("alpine"))
    assert [grant.may_read(each) for each in ("/web", "/db-1", "/web2")] == [True, True, False]
    assert (grant.is_bridged, grant.publishes_on_host, grant.root_binds) == (True, True, True)
    assert (grant.containers, grant.engine) == (3, "/run/user/1000/docker.sock")
    assert grant.builder == "docker.io/moby/buildkit:rootless"


@pytest.mark.parametrize(
    "line",
    [
        'images = ["alpine"]',
        'images = ["docker.io/***"]',
        'push = ["ghcr.io/a@sha256:0"]',
        'registries = ["ghcr.io/acme"]',
        'registries = ["*.io"]',
        'read = ["[ab]"]',
        'network = "host"',
        "host_ports = true",
        "containers = 0",
        'engine = "tcp://127.0.0.1:2375"',
        'engine = "ssh://host"',
        'builder = "Moby/buildkit"',
        "privileged = true",
    ],
)
def test_a_fault_has_a_remedy(line: str) -> None:
    """What is no pattern, no registry, no network or no unix socket is a fault."""
    _, faults = _read(line)
    assert len(faults) == 1
    assert faults[0].remedy
