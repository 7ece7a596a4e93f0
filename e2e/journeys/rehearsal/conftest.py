"""Both releases, which take minutes to make, and what channels take from."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.world.executables import Executables
from e2e.world.fresh_host import FreshHosts
from e2e.world.git_server import GitServer
from e2e.world.images import Images
from e2e.world.registry import Registry, running_registry
from e2e.world.scene import Stage

from .channels import World
from .releases import Release, make_releases


@pytest.fixture(scope="session")
def releases(ground: Path) -> tuple[Release, Release]:
    """Return this checkout's release, and the next."""
    folder = ground / "releases"
    folder.mkdir()
    return make_releases(folder)


@pytest.fixture(scope="session")
def registry(images: Images) -> Iterator[Registry]:
    """Serve images and features."""
    with running_registry(images.registry, user="me", password="a-password") as registry:
        yield registry


@pytest.fixture
def world(
    fresh_hosts: FreshHosts,
    server: GitServer,
    stages: dict[str, Stage],
    images: Images,
    executables: Executables,
    devcontainer: str,
    registry: Registry,
    ground: Path,
    request: pytest.FixtureRequest,
) -> World:
    """Return it, with a folder for this test."""
    folder = ground / request.node.callspec.id
    folder.mkdir()
    return World(
        hosts=fresh_hosts,
        server=server,
        stage=stages["user"],
        images=images,
        executables=executables,
        devcontainer=devcontainer,
        registry=registry,
        releases=ground / "releases",
        folder=folder,
    )
