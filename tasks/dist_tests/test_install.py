"""A clean place installs from what was built, without an index, and works."""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.world.command import Completed, run
from e2e.world.container import FOR_EVER, started

from tasks.dist_tests.world import CALL, INSTALL, serve
from tasks.release.tag import list_packages

VERSIONS = {package.name: package.version for package in list_packages()}
FOLDER = "/airlock"


@pytest.fixture
def container(clean_image: str, dist: Path) -> Iterator[str]:
    """A container without a network: ``dist/`` at /dist, a folder to share, a workspace."""
    volumes = [f"--volume={dist}:/dist:ro", f"--volume={FOLDER}", f"--volume={FOLDER}/work"]
    options = ["--network=none", *volumes, "--init"]
    with started(clean_image, *options, command=FOR_EVER) as container:
        yield container.id


def test_empty_environment_installs(dist: Path) -> None:
    """An empty virtual environment installs from the folder alone, and runs a command."""
    # Not pytest's own folder: the path of a socket has room for 107 bytes.
    with tempfile.TemporaryDirectory(prefix="d-") as folder:
        _judge(run(["sh", "-s", folder, str(dist)], stdin=INSTALL))
        with serve(folder):
            assert run(["sh", "-s", folder], stdin=CALL).succeeded().stdout == "true"


def test_clean_container_installs(container: str, clean_image: str) -> None:
    """A container installs from the folder alone, and runs a command for another container."""
    inside = ["docker", "exec", "--interactive", container]
    _judge(run([*inside, "sh", "-s", FOLDER, "/dist"], stdin=INSTALL))
    other = ["docker", "run", "--rm", "--interactive", "--network=none"]
    other += [f"--volumes-from={container}", clean_image]
    with serve(FOLDER, inside=inside):
        assert run([*other, "sh", "-s", FOLDER], stdin=CALL).succeeded().stdout == "true"


def _judge(installed: Completed) -> None:
    broken, daemon, shim = installed.succeeded().stdout.splitlines()
    assert broken == "No broken requirements found."
    assert daemon == f"airlock-daemon {VERSIONS['airlock-daemon']}"
    assert re.search(rf"\b{re.escape(VERSIONS['airlock-shim'])}\b", shim)
