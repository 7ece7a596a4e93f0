"""The list of releases against the history: each is there, is what it says, and none is missing."""

import subprocess
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from e2e.upgrade.releases import Release, list_releases
from tasks.places import ROOT
from tasks.release.history import read_at
from tasks.release.tag import Package, list_packages, order_version, read_version

PACKAGES = {package.name: package for package in list_packages()}


def _ask_git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"the history is not here: git says {done.stderr.strip()}")
    return done.stdout.strip()


def _read_version_at(commit: str, package: Package) -> str:
    return read_version(read_at(commit, f"{package.sources.relative_to(ROOT)}/_version.py"))


@pytest.fixture(scope="module")
def history() -> frozenset[str]:
    """All commits that lead to this one, or a skipped test where the clone has not got them."""
    if _ask_git("rev-parse", "--is-shallow-repository") == "true":
        pytest.skip("this clone is shallow: the history before its last commits is not here")
    return frozenset(_ask_git("rev-list", "HEAD").split())


@pytest.mark.parametrize("release", list_releases(), ids=lambda one: f"{one.package}-{one.version}")
def test_release_is_in_the_history(release: Release, history: frozenset[str]) -> None:
    """Its commit leads to this one and is of its day, and the package had its version there."""
    assert release.commit in history
    assert _read_version_at(release.commit, PACKAGES[release.package]) == release.version
    time = int(_ask_git("show", "--no-patch", "--format=%ct", release.commit))
    assert datetime.fromtimestamp(time, UTC).date() == release.date


@pytest.mark.parametrize("name", PACKAGES)
def test_no_release_is_missing(name: str, history: frozenset[str]) -> None:
    """Each version that a package ever had is listed, but the one that it has now may not be."""
    package = PACKAGES[name]
    file = package.sources / "_version.py"
    commits = _ask_git("log", "--format=%H", "--", str(file)).split()
    versions = {_read_version_at(commit, package) for commit in commits}
    assert versions
    assert versions - {package.version} <= {release.version for release in list_releases(name)}


@pytest.mark.parametrize("name", PACKAGES)
def test_releases_are_in_order(name: str) -> None:
    """A package has a release, and its releases stand from the oldest to the newest."""
    releases = list_releases(name)
    assert releases
    for older, newer in pairwise(releases):
        assert order_version(older.version) < order_version(newer.version)
        assert older.date <= newer.date
