"""What was built: complete, tagged for the platforms it runs on, and as its checksums say."""

import os
import re
import struct
import zipfile
from pathlib import Path

import pytest
from e2e.world.command import run
from e2e.world.engine import docker

from tasks.release.tag import list_packages

TAGS = (
    "any",
    "manylinux_2_17_x86_64.musllinux_1_1_x86_64",
    "manylinux_2_17_aarch64.musllinux_1_1_aarch64",
)
MACHINES = {"x86_64": 62, "aarch64": 183}
"""elf(5): e_machine."""


def test_each_package_is_complete(dist: Path) -> None:
    """Each package has a source distribution, and a wheel for each platform it has code for."""
    expected = set()
    for package in list_packages():
        expected.add(f"{package.file_stem}.tar.gz")
        native = (package.folder / "native").is_dir()
        expected |= {
            f"{package.file_stem}-py3-none-{tag}.whl" for tag in TAGS if native or tag == "any"
        }
    assert {path.name for path in dist.iterdir() if path.suffix in {".whl", ".gz"}} == expected


def test_checksums_hold(dist: Path) -> None:
    """SHA256SUMS is right, and covers everything but the images' build context."""
    checked = run(["sh", "-c", 'cd "$1" && sha256sum --check SHA256SUMS', "-", str(dist)])
    covered = {line.removesuffix(": OK") for line in checked.succeeded().stdout.splitlines()}
    there = {
        path.relative_to(dist).as_posix()
        for path in dist.rglob("*")
        if path.is_file() and path.relative_to(dist).parts[0] not in {"image", "release"}
    }
    assert covered == there - {"SHA256SUMS"}


def test_packages_ask_for_each_other_by_bounds(dist: Path) -> None:
    """No package pins another, or asks for one that is somebody else's on the index."""
    names = {package.name for package in list_packages()}
    for wheel in dist.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
            metadata = archive.read(name).decode()
        wanted = re.findall(r"^Requires-Dist: (airlock[a-z-]*)(.*)$", metadata, re.MULTILINE)
        assert {name for name, _ in wanted} <= names
        assert all(re.match(r"\s*(<[0-9.]+,)?>=[0-9.]+", bound) for _, bound in wanted)


@pytest.mark.parametrize("processor", sorted(MACHINES))
def test_binaries_are_of_their_processor(dist: Path, processor: str) -> None:
    """The shim beside the wheels is what they hold, static, and of the processor in its name."""
    name = f"airlock-shim-linux-{processor}"
    content = (dist / name).read_bytes()
    assert content == (dist / "image" / name).read_bytes()
    assert content[:4] == b"\x7fELF"
    assert struct.unpack_from("<H", content, 18)[0] == MACHINES[processor]
    assert b"ld-linux" not in content
    for wheel in dist.glob("airlock_shim-*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            assert archive.read(f"airlock_shim/_bin/{name}") == content


def test_binary_runs(dist: Path) -> None:
    """This machine's binary runs as it lies there."""
    said = run([str(dist / f"airlock-shim-linux-{os.uname().machine}"), "--version"])
    assert "airlock-shim" in said.succeeded().stdout


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("name", ["airlock-shim", "airlock-daemon"])
def test_image_loads_and_runs(dist: Path, name: str) -> None:
    """An engine takes the archive of an image, and its program says its version."""
    package = next(package for package in list_packages() if package.name == name)
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    archive = dist / "images" / f"{name}-{package.version}-linux-{architecture}.tar"
    image = f"{name}:{package.version}"
    if docker("image", "ls", "--quiet", image).succeeded().stdout:
        pytest.skip(f"the engine has an image {image}, which loading would replace")
    loaded = docker("load", "--quiet", "--input", str(archive)).succeeded()
    assert loaded.stdout.endswith(image)
    try:
        words = ["--version"] if name == "airlock-shim" else ["version"]
        printed = docker("run", "--rm", "--network=none", image, *words).succeeded().stdout
    finally:
        docker("image", "rm", image).succeeded()
    assert package.version in printed
