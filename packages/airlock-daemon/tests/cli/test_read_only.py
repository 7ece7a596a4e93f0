"""Tests of `airlock_daemon.cli.read_only`; e2e/journeys/test_doors.py has real containers."""

import os
from pathlib import Path

import pytest

from airlock_daemon.cli.read_only import protect
from airlock_daemon.cli.wiring import Mount
from airlock_daemon.errors import AirlockError


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace with a file and a directory."""
    path = Path(os.path.realpath(tmp_path)) / "app"
    (path / "deep/er").mkdir(parents=True)
    (path / "deep/er/file").write_text("x")
    return path


def mount(workspace: Path) -> list[Mount]:
    return [Mount(source=str(workspace), target="/work")]


def test_each_directory_on_the_way_is_a_mount_of_its_own(workspace: Path) -> None:
    """To be written as before: as a mount it cannot be renamed, nor something put in its place."""
    protected = protect([f"{workspace}/deep/er/file"], mount(workspace), can_make=False)
    assert [(each.target, each.read_only) for each in protected.mounts] == [
        ("/work/deep", False),
        ("/work/deep/er", False),
        ("/work/deep/er/file", True),
    ]
    assert protected.placeholders == ()


def test_what_is_not_there_is_made_and_taken_away(workspace: Path) -> None:
    """With the directories above it, as a file or, with a slash at its end, as a directory."""
    paths = [f"{workspace}/.envrc", f"{workspace}/new/.vscode/"]
    protected = protect(paths, mount(workspace), can_make=True)
    assert (workspace / ".envrc").read_bytes() == b""
    assert (workspace / "new/.vscode").is_dir()
    assert list(protected.clean()) == []
    assert sorted(each.name for each in workspace.iterdir()) == ["deep"]


def test_what_somebody_has_written_stays(workspace: Path) -> None:
    """It takes away what it has made, while that is empty."""
    paths = [f"{workspace}/{name}" for name in ("a", "b", "c/")]
    protected = protect(paths, mount(workspace), can_make=True)
    (workspace / "a").write_text("mine")
    (workspace / "b").unlink()
    (workspace / "b").mkdir()
    (workspace / "c/mine").write_text("")
    list(protected.clean())
    assert sorted(each.name for each in workspace.iterdir()) == ["a", "b", "c", "deep"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../x", "lies in no workspace"),
        ("", "lies in no workspace"),
        ("link", "is a link"),
        ("linked/x", "is a link"),
        ("deep/er/file/", "is not a directory"),
        ("deep/fifo", "is not a file or directory"),
        ("absent", "is not there, and --print makes nothing"),
    ],
)
def test_what_cannot_be_protected_is_refused(name: str, said: str, workspace: Path) -> None:
    """A link could be pointed elsewhere, and the engine would follow it."""
    (workspace / "link").symlink_to("deep/er/file")
    (workspace / "linked").symlink_to("deep")
    os.mkfifo(workspace / "deep/fifo")
    with pytest.raises(AirlockError, match=said):
        protect([f"{workspace}/{name}"], mount(workspace), can_make=False)


def test_nothing_is_left_where_one_is_refused(workspace: Path) -> None:
    """What was made for another path goes again."""
    (workspace / "link").symlink_to("deep")
    with pytest.raises(AirlockError):
        protect([f"{workspace}/new/x", f"{workspace}/link"], mount(workspace), can_make=True)
    assert not (workspace / "new").exists()
