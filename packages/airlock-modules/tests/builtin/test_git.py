import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from asking import ask
from repositories import make_repository, needs_git, run_git

Run = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = needs_git


@pytest.fixture
def git(tmp_path: Path) -> Run:
    """Return a function that runs git in a new repository, in the environment of the module."""
    return partial(run_git, make_repository(tmp_path / "repository"))


def test_an_option_of_a_strategy_is_a_flag_of_its_program(git: Run, tmp_path: Path) -> None:
    """The reason of the rule is still true: with such an option a merge writes anywhere."""
    file, written = tmp_path / "repository/file", tmp_path / "written"
    for branch in ("other", "another"):
        assert git("checkout", "-b", branch, "main").returncode == 0
        file.write_text(branch)
        assert git("add", "file").returncode == 0
        assert git("commit", "-m", branch).returncode == 0
    args = ["merge", "-s", "resolve", "-X", f"index-output={written}", "other"]
    git(*args)
    assert written.exists()
    assert not ask("git", *args).allowed


def test_a_strategy_is_the_path_of_a_program(git: Run, tmp_path: Path) -> None:
    """The reason of the rule is still true, also for one that begins as git's own."""
    repository, mark = tmp_path / "repository", tmp_path / "mark"
    assert git("checkout", "-b", "other").returncode == 0
    assert git("commit", "--allow-empty", "-m", "second").returncode == 0
    (repository / "git-merge-ours").mkdir()
    (repository / "evil").write_text(f"#!/bin/sh\ntouch {mark}\n")
    (repository / "evil").chmod(0o755)
    args = ["cherry-pick", "--strategy=ours/../evil", "--allow-empty", "main"]
    git(*args)
    assert mark.exists()
    assert not ask("git", *args).allowed


@pytest.mark.skipif(shutil.which("man") is None, reason="man is not installed")
def test_a_page_of_the_manual_can_be_a_file(git: Run, tmp_path: Path) -> None:
    """The reason of the rule is still true: such a page has any other file printed."""
    (tmp_path / "secret").write_text("planted\n")
    pages = tmp_path / "repository/git"
    pages.mkdir()
    (pages / "page.1").write_text(f".TH PAGE 1\n.SH NAME\n.so {tmp_path}/secret\n")
    assert "planted" in git("help", "git/page.1").stdout
    assert not ask("git", "help", "git/page.1").allowed
