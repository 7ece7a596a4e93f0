"""git on a terminal, in the environment of its module: no pager, no editor, no question."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from repositories import GIT, make_repository, needs_git
from terminal import Ended, plant_programs, run_on_terminal

pytestmark = needs_git

Run = Callable[..., Ended]
NO_EDITOR = "airlock: there is no editor here; "


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """Return the mark that a pager, an editor or a viewer would leave."""
    (tmp_path / "programs").mkdir()
    return plant_programs(tmp_path / "programs")


@pytest.fixture
def git(tmp_path: Path, mark: Path) -> Run:
    """Return a function that runs git on a terminal in a repository with three commits."""
    repository = make_repository(tmp_path / "repository")
    environment = {
        "PATH": f"{mark.parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "TERM": "xterm",
        # What a person's session may have, and the environment must beat.
        "EDITOR": "vi",
        "VISUAL": "vi",
    } | dict(GIT.set)

    def run(*args: str, typed: str = "", **variables: str) -> Ended:
        return run_on_terminal(
            "git", *args, directory=repository, environment=environment | variables, typed=typed
        )

    assert run("commit", "-q", "--allow-empty", "-m", "second") == Ended("", 0)
    (repository / "file").write_text("one\n")
    assert run("add", "file") == Ended("", 0)
    assert run("commit", "-q", "-m", "third") == Ended("", 0)
    (repository / "file").write_text("two\n")
    return run


@pytest.mark.parametrize(
    "args",
    [
        ["log"],
        ["-p", "log"],
        ["--paginate", "status"],
        ["diff"],
        ["show"],
        ["grep", "two"],
        ["branch", "-a"],
        ["config", "get", "--all", "user.name"],
        ["help", "-a"],
        ["help", "-g"],
        ["bisect", "log"],
    ],
)
def test_no_pager_runs(git: Run, mark: Path, args: list[str]) -> None:
    """Neither the usual one nor one of the repository's settings."""
    for key in ("core.pager", "pager.log", "pager.status", "pager.diff"):
        assert git("config", key, "less") == Ended("", 0)
    assert git(*args).text != ""
    assert not mark.exists()


@pytest.mark.parametrize(
    "args",
    [
        ["commit", "--allow-empty"],
        ["commit", "-a", "-v"],
        ["commit", "-a", "-e"],
        ["tag", "-a", "v1"],
        ["tag", "-a", "-e", "-m", "text", "v1"],
        ["notes", "add"],
        ["notes", "append"],
        ["branch", "--edit-description"],
        ["add", "-e"],
        ["replace", "--edit", "HEAD"],
        ["rebase", "-i", "--autostash", "HEAD~1"],
        ["pull", "--rebase=interactive", "--autostash", ".", "older"],
    ],
)
def test_an_editor_is_refused_with_advice(git: Run, mark: Path, args: list[str]) -> None:
    """What would open one fails at once, says what to do, and waits for nobody."""
    assert git("config", "core.editor", "vi") == Ended("", 0)
    assert git("branch", "older", "HEAD~1") == Ended("", 0)
    ended = git(*args, typed=":q!\n", GIT_ALLOW_PROTOCOL="file")
    assert NO_EDITOR in ended.text
    assert ended.status != 0
    assert not mark.exists()


def test_a_note_that_is_there_is_not_taken_for_an_edited_one(git: Run) -> None:
    """Editing fails, also where there is a text that could be kept."""
    assert git("notes", "add", "-m", "text") == Ended("", 0)
    ended = git("notes", "edit")
    assert NO_EDITOR in ended.text
    assert ended.status != 0


@pytest.mark.parametrize(
    "args",
    [
        ["commit", "--amend"],
        ["commit", "--amend", "-v", "-a"],
        ["commit", "-e", "-a", "-m", "text"],
        ["revert", "HEAD"],
        ["cherry-pick", "-e", "--allow-empty", "HEAD~1"],
    ],
)
def test_the_message_of_a_commit_that_is_there_is_kept(
    git: Run, mark: Path, args: list[str]
) -> None:
    """git opens an editor with a text that is good as it is."""
    if args[0] == "revert":
        assert git("checkout", "-q", "file") == Ended("", 0)
    ended = git(*args)
    assert NO_EDITOR not in ended.text
    assert ended.status == 0
    assert not mark.exists()


def test_a_question_about_hunks_is_answered_on_the_terminal(git: Run, mark: Path) -> None:
    """Staging in pieces works; the answer that asks for an editor gets the refusal."""
    ended = git("add", "-p", typed="e\nn\nn\n")
    assert NO_EDITOR in ended.text
    assert git("add", "-p", typed="y\n").status == 0
    assert "M  file" in git("status", "--short").text.replace("\x1b[32m", "").replace("\x1b[m", "")
    assert not mark.exists()


def test_a_password_is_not_asked_for(git: Run) -> None:
    """The terminal is there, and git fails instead of asking on it."""
    ended = git("credential", "fill", typed="protocol=https\nhost=example.com\n\n")
    assert "terminal prompts disabled" in ended.text
    assert ended.status != 0


@pytest.fixture
def keyring(tmp_path: Path) -> Iterator[Path]:
    """Return the directory of a key for signatures for which a passphrase is needed."""
    directory = tmp_path / "gpg"
    directory.mkdir(mode=0o700)
    environment = os.environ | {"GNUPGHOME": str(directory)}
    make = ["gpg", "-q", "--batch", "--pinentry-mode", "loopback", "--passphrase", "passphrase"]
    subprocess.run([*make, "--quick-gen-key", "a", "ed25519", "sign"], env=environment, check=True)
    # What the agent knows of the passphrase ends with it.
    stop = ["gpgconf", "--kill", "gpg-agent"]
    subprocess.run(stop, env=environment, check=True)
    yield directory
    subprocess.run(stop, env=environment, check=True)


@pytest.mark.skipif(shutil.which("gpg") is None, reason="gpg is not installed")
def test_a_signature_that_needs_a_passphrase_fails(git: Run, keyring: Path) -> None:
    """The agent has no terminal to ask on."""
    assert git("config", "user.signingKey", "a") == Ended("", 0)
    ended = git(
        *("commit", "-q", "-a", "-S", "-m", "fourth"), typed="passphrase\n", GNUPGHOME=str(keyring)
    )
    assert "failed to sign" in ended.text
    assert ended.status == 128
