"""The releases of this checkout's version and of the next patch version, by ``./dev release``."""

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from e2e.world.command import run
from tasks.places import HATCH, ROOT
from tasks.release.changelog import UNRELEASED, cut_release
from tasks.release.channels import fill_versions
from tasks.release.tag import list_packages

_REPOSITORY = "https://example.test/airlock/airlock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What is published, in `dist`, and the commit that is tagged, in `checkout`."""

    dist: Path
    checkout: Path
    versions: Mapping[str, str]
    """By package."""

    @property
    def version(self) -> str:
        """The daemon's, which is that of the channels."""
        return self.versions["airlock-daemon"]


def make_releases(folder: Path) -> tuple[Release, Release]:
    """Make both in a clone of the checkout's commit; in `folder` each has one of its own."""
    clone = folder / "clone"
    _git(folder, "clone", "--quiet", str(ROOT), str(clone))
    # What the clone would otherwise download again.
    shutil.copytree(HATCH / "cache" / "wheels", clone / ".hatch/cache/wheels")
    key = folder / "key"
    run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))).succeeded()
    first, second = _make_each(clone, folder, key)
    shutil.rmtree(clone)
    return first, second


def _make_each(clone: Path, folder: Path, key: Path) -> Iterator[Release]:
    yield _release(clone, folder / "0", key)
    _raise_versions(clone)
    yield _release(clone, folder / "1", key)


def _release(clone: Path, folder: Path, key: Path) -> Release:
    packages = list_packages(clone)
    words = ("release", "--rehearse", "--repository", _REPOSITORY, "--sign", str(key))
    # The clone has an environment of its own to make.
    variables = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    run((str(clone / "dev"), *words), cwd=str(clone), env=variables, longest_s=1800).succeeded()
    folder.mkdir()
    (clone / "dist").rename(folder / "dist")
    _git(clone, "clone", "--quiet", ".", str(folder / "checkout"))
    versions = {package.name: package.version for package in packages}
    return Release(dist=folder / "dist", checkout=folder / "checkout", versions=versions)


def _raise_versions(clone: Path) -> None:
    """Commit the next patch version of each package, with a change to release."""
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    raised = {}
    for package in list_packages(clone):
        log = package.folder / "CHANGELOG.md"
        text = cut_release(log.read_text(), package.version, today)
        head = f"## {UNRELEASED}\n"
        log.write_text(text.replace(head, f"{head}\n- Rehearsed.\n", 1))
        start, _, patch = package.version.rpartition(".")
        raised[package.name] = f"{start}.{int(patch) + 1}"
        source = package.sources / "_version.py"
        line = re.escape(f'__version__ = "{package.version}"')
        source.write_text(
            re.sub(line, f'__version__ = "{raised[package.name]}"', source.read_text())
        )
    for path, text in fill_versions(raised, clone).items():
        path.write_text(text)
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    _git(clone, *identity, "commit", "--quiet", "--all", "--message=Raise the versions")


def _git(folder: Path, *words: str) -> None:
    run(("git", *words), cwd=str(folder)).succeeded()
