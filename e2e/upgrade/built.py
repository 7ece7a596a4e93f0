"""Wheels of each release, and of the checkout, built from their sources."""

import io
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from email.parser import BytesParser
from pathlib import Path

from packaging.requirements import Requirement
from tasks.hatch import hold_lock
from tasks.places import HATCH

from e2e.world.command import run
from e2e.world.wheels import CHECKOUT, build_wheel

from .releases import Release, list_releases

KEPT = HATCH / "released"
"""Wheels of releases, in a folder for each commit. They are kept from run to run."""
FOLDERS = {
    "airlock-wire": "airlock-protocol",
    "airlock-modules": "airlock-modules",
    "airlock-daemon": "airlock-daemon",
    "airlock-shim": "airlock-shim",
}
"""Where in `packages` the sources of each distribution are."""


class HistoryMissing(Exception):
    """The commit of a release is not in this clone."""


@dataclass(frozen=True, slots=True)
class Built:
    """A wheel; `label` tells it from others, also of the same version."""

    package: str
    version: str
    label: str
    wheel: Path
    fails_with: tuple[Requirement, ...] = ()

    def list_requirements(self) -> tuple[Requirement, ...]:
        """Return what it requires of other packages here, without extras."""
        with zipfile.ZipFile(self.wheel) as archive:
            (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
            metadata = BytesParser().parsebytes(archive.read(name))
        wanted = map(Requirement, metadata.get_all("Requires-Dist", ()))
        return tuple(one for one in wanted if one.name in FOLDERS and not one.marker)

    def takes(self, *others: "Built") -> bool:
        """Whether its version ranges allow these beside it."""
        return all(_fits(one, others) for one in self.list_requirements())

    def fails(self, *others: "Built") -> bool:
        """Whether it is known not to start beside these."""
        return any(_fits(one, others) for one in self.fails_with)


def _fits(wanted: Requirement, others: tuple[Built, ...]) -> bool:
    return any(
        wanted.specifier.contains(other.version) for other in others if other.package == wanted.name
    )


def build_all(folder: Path) -> dict[str, tuple[Built, ...]]:
    """Build each release of each package, and the checkout's own, the oldest first.

    Raises HistoryMissing.
    """
    with hold_lock():
        return {
            package: (
                *(_build_release(release) for release in list_releases(package)),
                _build_here(package, folder),
            )
            for package in FOLDERS
        }


def _build_here(package: str, folder: Path) -> Built:
    return _describe(build_wheel(FOLDERS[package], folder / package), "here", ())


def _build_release(release: Release) -> Built:
    kept = KEPT / release.commit / release.package
    if not kept.is_dir():
        kept.parent.mkdir(parents=True, exist_ok=True)
        sources = KEPT / release.commit / "sources"
        if not sources.is_dir():
            _unpack(release.commit, sources)
        made = kept.with_name(f"{kept.name}.{os.getpid()}")
        build_wheel(FOLDERS[release.package], made, checkout=sources)
        # Whole or not at all, whatever ends this.
        made.rename(kept)
    (wheel,) = kept.iterdir()
    return _describe(wheel, "released", release.fails_with)


def _unpack(commit: str, folder: Path) -> None:
    done = subprocess.run(
        ["git", "archive", commit, "packages"], cwd=CHECKOUT, capture_output=True, check=False
    )
    if done.returncode:
        raise HistoryMissing(done.stderr.decode(errors="replace").strip())
    made = folder.with_name(f"{folder.name}.{os.getpid()}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(made, filter="data")
    made.rename(folder)


def _describe(wheel: Path, what: str, fails_with: Iterable[str]) -> Built:
    name, version, _ = wheel.name.split("-", 2)
    return Built(
        package=name.replace("_", "-"),
        version=version,
        label=f"{version} {what}",
        wheel=wheel,
        fails_with=tuple(map(Requirement, fails_with)),
    )


def install(environment: Path, wheels: tuple[Built, ...]) -> Path:
    """Make an environment with these packages, and all else from that of the tests; its programs.

    What is installed here to be edited is not among the latter: only a directory of Python's own
    has its .pth files read.
    """
    python = sys.executable
    run((python, "-m", "venv", "--without-pip", str(environment))).succeeded()
    (packages,) = environment.glob("lib/python*/site-packages")
    (theirs,) = Path(python).parent.parent.glob("lib/python*/site-packages")
    (packages / "others.pth").write_text(f"{theirs}\n")
    words = (python, "-m", "pip", "--quiet", "--python", str(environment / "bin/python"))
    files = [str(each.wheel) for each in wheels]
    run((*words, "install", "--no-deps", "--no-index", "--no-compile", *files)).succeeded()
    return environment / "bin"
