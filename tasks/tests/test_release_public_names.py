"""Names that go while the version stays, and bounds that let older versions in, are found."""

import os
import subprocess
from datetime import date
from pathlib import Path

import pytest
from e2e.upgrade.releases import Release
from tasks.errors import TaskError
from tasks.release import public_names
from tasks.release.history import HistoryMissingError, read_at
from tasks.release.public_names import find_breaks, find_loose_bounds, find_open_bounds

NAMES = '__all__ = ["Old", "Same", "__version__"]\n'
VERSION = '__version__ = "0.4.0"\n'
METADATA = """\
project.name = "{name}"
project.dependencies = [{needs}]
tool.hatch.version.path = "src/{module}/_version.py"
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose commit is release 0.4.0 of airlock-wire, and of a daemon that needs it."""
    for name, needs in (("airlock-wire", ""), ("airlock-daemon", '"trio", "airlock-wire>=0.4"')):
        module = name.replace("-", "_")
        sources = tmp_path / "packages" / name / "src" / module
        sources.mkdir(parents=True)
        (sources / "__init__.py").write_text(NAMES)
        (sources / "_version.py").write_text(VERSION)
        text = METADATA.format(name=name, needs=needs, module=module)
        (tmp_path / "packages" / name / "pyproject.toml").write_text(text)
    for variable in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(variable, os.devnull)
    _ask_git(tmp_path, "init", "--quiet")
    _ask_git(tmp_path, "add", ".")
    own = ("-c", "user.name=a", "-c", "user.email=a")
    _ask_git(tmp_path, *own, "commit", "--quiet", "--message=release")
    commit = _ask_git(tmp_path, "rev-parse", "HEAD")
    day = date(2001, 2, 3)
    monkeypatch.setattr(
        public_names, "list_releases", lambda name: (Release(name, "0.4.0", commit, day),)
    )
    return tmp_path


def _ask_git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def _change(root: Path, path: str, old: str, new: str) -> None:
    file = root / "packages" / path
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_added_name_is_no_break(root: Path) -> None:
    """A package may offer more under the same version."""
    _change(root, "airlock-wire/src/airlock_wire/__init__.py", '["Old"', '["New", "Old"')
    assert list(find_breaks(root)) == []


@pytest.mark.parametrize(
    ("version", "count"), [("0.4.0", 1), ("0.4.7", 1), ("0.5.0", 0), ("1.0.0", 0)]
)
def test_lost_name_needs_a_minor_version(root: Path, version: str, count: int) -> None:
    """A name that is gone is told until the minor version is another than the release's."""
    _change(root, "airlock-wire/src/airlock_wire/__init__.py", '"Old", ', "")
    _change(root, "airlock-wire/src/airlock_wire/_version.py", "0.4.0", version)
    found = list(find_breaks(root))
    assert len(found) == count
    assert all(line.startswith("airlock-wire 0.4.0 had Old: raise the minor") for line in found)


def test_name_that_the_lowest_release_lacks_needs_a_bound(root: Path) -> None:
    """To import a newer name is to ask for a newer version."""
    (root / "packages/airlock-daemon/src/airlock_daemon/use.py").write_text(
        "from airlock_wire import New, Same\n"
    )
    (fault,) = find_loose_bounds(root)
    assert fault == (
        "airlock-daemon imports New, which airlock-wire 0.4.0 did not have: "
        "raise the bound of airlock-wire>=0.4"
    )
    _change(root, "airlock-daemon/pyproject.toml", ">=0.4", ">=0.5")
    assert list(find_loose_bounds(root)) == []


@pytest.mark.parametrize(
    ("bounds", "is_right"),
    [(">=0.4,<0.5", True), (">=0.4", False), (">=0.4,<1", False), (">=0.3,<0.4", False)],
)
def test_a_minor_version_that_may_lack_names_is_kept_out(
    root: Path, bounds: str, is_right: bool
) -> None:
    """An index would otherwise put it beside a daemon that was released before."""
    _change(root, "airlock-daemon/pyproject.toml", ">=0.4", bounds)
    faults = list(find_open_bounds(root))
    assert len(faults) == (not is_right)
    assert all("it needs the upper bound <0.5" in fault for fault in faults)


def test_missing_history_is_told_apart(root: Path) -> None:
    """A commit that the clone has not got is another error than a file that the commit lacks."""
    with pytest.raises(HistoryMissingError):
        read_at("0" * 40, "README.md", root)
    with pytest.raises(TaskError, match=r"has no README\.md") as caught:
        read_at(_ask_git(root, "rev-parse", "HEAD"), "README.md", root)
    assert not isinstance(caught.value, HistoryMissingError)
