"""git, run without user settings."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def run_git(
    directory: Path, *args: str, more: Mapping[str, str] = {}
) -> subprocess.CompletedProcess[str]:
    """Run git in a directory, which is also its home, with `more` variables."""
    names = ("AUTHOR_NAME", "AUTHOR_EMAIL", "COMMITTER_NAME", "COMMITTER_EMAIL")
    return subprocess.run(
        ["git", *args],
        cwd=directory,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            **{f"GIT_{name}": "a" for name in names},
            **more,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
