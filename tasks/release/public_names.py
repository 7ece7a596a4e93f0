"""Checking versions and lower bounds against the public names that packages use of each other.

Public names are those in a package's ``__all__``.
"""

import ast
import re
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

from e2e.upgrade.releases import Release, list_releases

from tasks.lock.declared import list_requirements, read_name
from tasks.places import ROOT
from tasks.release.history import read_at
from tasks.release.tag import Package, list_packages, order_version

_BOUND = re.compile(r">=([0-9.]+)")
_UPPER = re.compile(r"<([0-9.]+)")


def find_breaks(root: Path = ROOT) -> Iterator[str]:
    """Yield a line for each package that lost names since its last release of the same minor.

    Raises HistoryMissingError if the release's commit is not in the clone.
    """
    for package in list_packages(root):
        *_, last = list_releases(package.name)
        lost = sorted(_read_released(package, last, root) - _read_public(package))
        if lost and order_version(package.version)[:2] <= order_version(last.version)[:2]:
            yield (
                f"{package.name} {last.version} had {', '.join(lost)}: raise the minor version in "
                "_version.py, and the lower bounds of packages that use it"
            )


def find_loose_bounds(root: Path = ROOT) -> Iterator[str]:
    """Yield a line for each lower bound on a package whose release lacks an imported name.

    Raises HistoryMissingError if the release's commit is not in the clone.
    """
    for package, other in permutations(list_packages(root), 2):
        for requirement in list_requirements(package.folder):
            lowest = _find_lowest(other, requirement)
            if lowest is None:  # for another package, or the bound is not released yet
                continue
            lacking = sorted(_list_imported(package, other) - _read_released(other, lowest, root))
            if lacking:
                yield (
                    f"{package.name} imports {', '.join(lacking)}, which {other.name} "
                    f"{lowest.version} did not have: raise the bound of {requirement}"
                )


def find_open_bounds(root: Path = ROOT) -> Iterator[str]:
    """Yield a line for each requirement of another package with a wrong upper bound.

    The right one is the next minor version, which may remove any name.
    """
    for package, other in permutations(list_packages(root), 2):
        for requirement in list_requirements(package.folder):
            if read_name(requirement) != other.name:
                continue
            major, minor = order_version(other.version)[:2]
            upper = _UPPER.search(requirement)
            if upper is None or order_version(upper[1]) != (major, minor + 1):
                yield (
                    f"{package.name} requires {requirement}: it needs the upper bound "
                    f"<{major}.{minor + 1}, since {other.name} may take names away there"
                )


def _find_lowest(package: Package, requirement: str) -> Release | None:
    """Return the first release of the package that a requirement allows."""
    if read_name(requirement) != package.name:
        return None
    bound = _BOUND.search(requirement)
    wanted = order_version(bound[1]) if bound else (0,)
    for release in list_releases(package.name):
        if order_version(release.version)[: len(wanted)] >= wanted:
            return release
    return None


def _list_imported(package: Package, other: Package) -> set[str]:
    """Return the public names of ``other`` that the sources of ``package`` import."""
    return {
        alias.name
        for path in package.sources.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.ImportFrom) and node.module == other.sources.name
        for alias in node.names
    }


def _read_released(package: Package, release: Release, root: Path) -> set[str]:
    init = (package.sources / "__init__.py").relative_to(root)
    return _read_all(read_at(release.commit, init.as_posix(), root))


def _read_public(package: Package) -> set[str]:
    return _read_all((package.sources / "__init__.py").read_text())


def _read_all(source: str) -> set[str]:
    for node in ast.parse(source).body:
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=value):
                return set(ast.literal_eval(value))
    return set()
