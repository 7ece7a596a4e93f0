"""Repositories, and git run in them in the environment of its module."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from airlock_modules import load_builtin

GIT = load_builtin("git")
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def run_git(repository: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run git with the directory above the repository as its home; return what it printed."""
    return subprocess.run(
        ["git", *args],
        cwd=repository,
        env={"PATH": os.environ["PATH"], "HOME": str(repository.parent)} | dict(GIT.set),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )


def make_repository(path: Path) -> Path:
    """Make a repository with a branch `main` of one empty commit, `first`."""
    path.mkdir()
    for words in (
        ["init", "-b", "main"],
        ["config", "user.name", "A"],
        ["config", "user.email", "a"],
        ["commit", "--allow-empty", "-m", "first"],
    ):
        assert run_git(path, *words).returncode == 0
    return path
