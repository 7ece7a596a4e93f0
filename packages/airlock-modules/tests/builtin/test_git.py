import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from repositories import make_repository, needs_git, run_git

Run = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = needs_git


@pytest.fixture
def git(tmp_path: Path) -> Run:
    """Return a function that runs git in a new repository, in the environment of the module."""
    return partial(run_git, make_repository(tmp_path / "repository"))


def test_a_commit_without_a_message_says_what_to_do(git: Run) -> None:
    """There is no editor, and the answer comes from Airlock and fails."""
    result = git("commit", "--allow-empty")
    assert result.returncode != 0
    assert "airlock: there is no editor here; give the message with -m" in result.stderr


def test_a_message_that_is_there_is_kept(git: Run) -> None:
    """Amending works without an editor."""
    assert git("commit", "--allow-empty", "--amend").returncode == 0
    assert git("log", "--format=%s").stdout == "first\n"


def test_an_interactive_rebase_says_that_it_cannot_be_run(git: Run) -> None:
    """The list of steps has no editor either."""
    assert git("commit", "--allow-empty", "-m", "second").returncode == 0
    result = git("rebase", "-i", "HEAD~1")
    assert result.returncode != 0
    assert "airlock: there is no editor here; an interactive rebase" in result.stderr


def test_a_hook_of_the_repository_does_not_run(git: Run, tmp_path: Path) -> None:
    """A hook that the container wrote is left alone."""
    marker = tmp_path / "marker"
    hook = tmp_path / "repository/.git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {marker}\n")
    hook.chmod(0o755)
    assert git("commit", "--allow-empty", "-m", "second").returncode == 0
    assert not marker.exists()


@pytest.mark.parametrize("key", ["core.fsmonitor", "core.sshCommand", "core.askPass", "core.pager"])
def test_programs_of_common_keys_do_not_run(git: Run, tmp_path: Path, key: str) -> None:
    """Settings of the repository for which the environment has an answer name no program."""
    marker = tmp_path / "marker"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {marker}\n")
    program.chmod(0o755)
    assert git("config", key, str(program)).returncode == 0
    git("status")
    git("log")
    git("ls-remote", "ssh://127.0.0.1:1/x")
    git("ls-remote", "https://127.0.0.1:1/x")
    assert not marker.exists()


@pytest.mark.parametrize("url", ["ext::sh -c id", "git://127.0.0.1/x", "/tmp", "file:///tmp"])
def test_only_ssh_and_https_are_spoken(git: Run, url: str) -> None:
    """A transport that runs a command, reads a local path or is not encrypted is refused by git."""
    result = git("ls-remote", url)
    assert result.returncode != 0
    assert "not allowed" in result.stderr


def test_a_mistyped_subcommand_is_not_corrected(git: Run) -> None:
    """The repository cannot have git run another subcommand than the one that was judged."""
    assert git("config", "help.autoCorrect", "immediate").returncode == 0
    result = git("statu")
    assert result.returncode != 0
    assert "On branch" not in result.stdout
