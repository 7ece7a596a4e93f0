"""Checking a release's tag against its package."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from tasks.errors import TaskError
from tasks.places import ROOT
from tasks.release.changelog import read_sections

_TAG = re.compile(r"(?P<name>[a-z]+)-v(?P<version>[0-9][0-9A-Za-z.]*)")
_VERSION = re.compile(r'^__version__ = "([^"]+)"$', re.MULTILINE)


@dataclass(frozen=True)
class Package:
    """A package of the workspace, with the version in its sources."""

    name: str
    """The distribution's name, such as ``airlock-wire``."""
    version: str
    folder: Path

    @property
    def tag(self) -> str:
        """The tag that releases this version."""
        return f"{self.name.removeprefix('airlock-')}-v{self.version}"

    @property
    def sources(self) -> Path:
        """The folder of the importable package."""
        return self.folder / "src" / self.name.replace("-", "_")

    @property
    def file_stem(self) -> str:
        """The prefix of its distributions' file names."""
        return f"{self.name.replace('-', '_')}-{self.version}"


def list_packages(root: Path = ROOT) -> tuple[Package, ...]:
    """Return the packages of the workspace, sorted by folder."""
    return tuple(
        _read_package(path.parent) for path in sorted(root.glob("packages/*/pyproject.toml"))
    )


def find_release(tag: str, root: Path = ROOT) -> Package:
    """Return the package that ``tag`` releases.

    Raises TaskError if it names none, a version other than the sources', or one without a section
    in the changelog.
    """
    packages = {package.name.removeprefix("airlock-"): package for package in list_packages(root)}
    match = _TAG.fullmatch(tag)
    package = packages.get(match["name"]) if match else None
    if package is None:
        forms = ", ".join(f"{name}-vVERSION" for name in sorted(packages))
        raise TaskError(f"the tag {tag!r} releases no package; tags are {forms}")
    if package.tag != tag:
        raise TaskError(
            f"the tag {tag!r} does not fit: the sources of {package.name} say {package.version}. "
            f"Tag them {package.tag}, or change _version.py first"
        )
    read_notes(package)
    return package


def read_notes(package: Package) -> str:
    """Return the changelog's notes on the package's version; raises TaskError without any."""
    for section in read_sections((package.folder / "CHANGELOG.md").read_text()):
        if section.version == package.version and section.notes:
            return f"{section.notes}\n"
    raise TaskError(
        f"packages/{package.folder.name}/CHANGELOG.md says nothing of {package.version}: "
        f"write its section, '## {package.version} - YYYY-MM-DD', before the tag"
    )


def order_version(version: str) -> tuple[int, ...]:
    """Return the numbers of a version, as a sort key."""
    return tuple(map(int, version.split(".")))


def read_version(source: str) -> str:
    """Return the version in the text of a ``_version.py``; raises TaskError if there is none."""
    match = _VERSION.search(source)
    if match is None:
        raise TaskError('a _version.py has no line __version__ = "..."')
    return match[1]


def _read_package(folder: Path) -> Package:
    settings = tomllib.loads((folder / "pyproject.toml").read_text())
    source = folder / settings["tool"]["hatch"]["version"]["path"]
    return Package(settings["project"]["name"], read_version(source.read_text()), folder)
