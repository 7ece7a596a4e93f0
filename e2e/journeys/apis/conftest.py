"""One person and one daemon for all tests of APIs."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.world.executables import Executables
from e2e.world.need import need
from e2e.world.scene import Stage

from .place import Place, running_place

PROJECTS = ("anthropic", "awscli", "boto3", "twine", "uv")


@pytest.fixture(scope="package")
def place(
    stages: dict[str, Stage], executables: Executables, ground: Path, tools: list[Path]
) -> Iterator[Place]:
    """Return the person, while the daemon and the services run."""
    with running_place(stages["user"], executables, ground / "apis", tools=tools) as place:
        yield place


@pytest.fixture(scope="package")
def wheels(place: Place, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What tests install in containers, and what it needs, is in the indexes."""
    version = place.run("python3 -c 'import sys; print(*sys.version_info[:2], sep=\".\")'")
    folder = tmp_path_factory.mktemp("wheels")
    tags = [f"cp{version.replace('.', '')}", "abi3", "none"]
    machine = place.run("uname -m")
    platforms = [f"manylinux{each}_{machine}" for each in ("_2_28", "2014", "_2_17")]
    words = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:"]
    words += [f"--python-version={version}", "--implementation=cp", f"--dest={folder}"]
    words += [*(f"--abi={tag}" for tag in tags), *(f"--platform={each}" for each in platforms)]
    done = subprocess.run([*words, *PROJECTS], capture_output=True, text=True, check=False)
    need(f"pip fetches no {' '.join(PROJECTS)}: {done.stderr}" if done.returncode else None)
    place.services.wheels |= {each.name: each.read_bytes() for each in folder.iterdir()}
