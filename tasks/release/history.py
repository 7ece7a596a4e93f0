"""Reading the sources at an earlier commit."""

import subprocess
from pathlib import Path

from tasks.errors import TaskError
from tasks.places import ROOT


class HistoryMissingError(TaskError):
    """The commit is missing: this is a shallow clone, or no clone."""


def read_at(commit: str, path: str, root: Path = ROOT) -> str:
    """Return the text of a file at a commit.

    Raises HistoryMissingError without the commit, TaskError if it has no such file.
    """
    if _run_git(root, "cat-file", "-e", f"{commit}^{{commit}}").returncode:
        raise HistoryMissingError(f"commit {commit[:12]} is not in this clone (shallow, or none)")
    done = _run_git(root, "show", f"{commit}:{path}")
    if done.returncode:
        raise TaskError(f"commit {commit[:12]} has no {path}")
    return done.stdout


def _run_git(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["git", *words], cwd=root, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise HistoryMissingError("git is not on PATH") from None
