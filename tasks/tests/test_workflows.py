"""The checks of the workflows: ours pass, and copies that are broken in one place do not."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tasks.environment import Environment
from tasks.places import ROOT
from tasks.workflows import list_workflow_checks

HERE = Environment("here", Path(sys.prefix))
OURS = ROOT / ".github"

pytestmark = pytest.mark.skipif(
    not (HERE.folder / "bin" / "zizmor").exists(), reason="zizmor is not installed here"
)


def _find_failures(folder: Path) -> dict[str, str]:
    """Run every check and return what those that failed have said."""
    failures = {}
    for name, command in list_workflow_checks(HERE, folder):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            failures[name] = done.stdout + done.stderr
    return failures


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of our workflows, to be broken."""
    return shutil.copytree(OURS, tmp_path / ".github")


def _change(path: Path, pattern: str, replacement: str) -> None:
    text, count = re.subn(pattern, replacement, path.read_text(), count=1)
    assert count == 1, f"{path.name} has nothing like {pattern}"
    path.write_text(text)


DANGEROUS = {
    "unpinned-uses": (r"(actions/checkout)@[0-9a-f]{40} # v[0-9.]+", r"\1@v6"),
    "artipacked": (r" +with:\n +persist-credentials: false\n", ""),
    "template-injection": (r'--tag "\$TAG"', "--tag ${{ github.ref_name }}"),
    "excessive-permissions": (r"permissions: \{\}", "permissions: write-all"),
}
"""What gives rights away, by the name of the finding."""


def test_dangerous_copy_fails(copy: Path) -> None:
    """Each of these changes is valid, and is found by zizmor alone."""
    release = copy / "workflows" / "release.yml"
    for pattern, replacement in DANGEROUS.values():
        _change(release, pattern, replacement)
    failures = _find_failures(copy)
    assert list(failures) == ["zizmor"]
    assert [name for name in DANGEROUS if name not in failures["zizmor"]] == []


def test_misspelt_copy_fails(copy: Path) -> None:
    """A key that does not exist is found, which would otherwise be passed over or stop the run."""
    misspelt = {
        "workflows/test.yml": "runs-on:",
        "workflows/e2e.yml": "timeout-minutes:",
        "dependabot.yml": "interval:",
    }
    for name, key in misspelt.items():
        _change(copy / name, key, f"x-{key}")
    failures = _find_failures(copy)
    assert "schema dependabot" in failures
    for name in ("test.yml", "e2e.yml"):
        assert name in failures["schema github-workflows"]


def test_actions_are_of_one_version() -> None:
    """Every use of an action is of the same commit, with the version beside it."""
    found: dict[str, set[str]] = {}
    for path in (OURS / "workflows").iterdir():
        for name, pin in re.findall(r"uses: ([^@\s]+)@(.*)", path.read_text()):
            assert re.fullmatch(r"[0-9a-f]{40} # v[0-9]+\.[0-9]+\.[0-9]+", pin), f"{path}: {name}"
            found.setdefault(name, set()).add(pin)
    assert found
    assert all(len(pins) == 1 for pins in found.values()), found
