"""git, run without user settings."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def run_git(directory: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run git in a directory, which is also its home; return the completed process."""
    names = ("AUTHOR_NAME", "AUTHOR_EMAIL", "COMMITTER_NAME", "COMMITTER_EMAIL")
    return subprocess.run(
        ["git", *args],
        cwd=directory,
        env={"PATH": os.environ["PATH"], "HOME": str(directory)} | {f"GIT_{n}": "a" for n in names},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
