"""Tests of `airlock_daemon.admin.cli.read_only`; e2e/journeys/test_doors.py has real containers."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from airlock_daemon.admin.cli.read_only import protect
from airlock_daemon.admin.cli.wiring import Mount
from airlock_daemon.boundary.identity.neighbours import Mounted
from airlock_daemon.errors import AirlockError
from boxing import boxed_world, needs_bubblewrap
from mounting import container
from running import Daemon, read_until, request


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


def test_nothing_is_taken_away_through_a_link(workspace: Path) -> None:
    """A container could turn it to another directory, with a file of that name, at that moment."""
    protected = protect([f"{workspace}/deep/config"], mount(workspace), can_make=True)
    (workspace / "deep").rename(workspace / "other")
    (workspace / "deep").symlink_to("other")
    assert list(protected.clean()) == []
    assert (workspace / "other/config").exists()


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


@needs_bubblewrap
def test_what_runs_in_a_box_could_replace_it(workspace: Path) -> None:
    """A client's command in a box is no container for the engine, and can rename all the same."""
    box = ("--bind", str(workspace), "/work")
    deep = ("--bind", str(workspace / "deep"), "/work/deep")
    file = [f"{workspace}/deep/x"]
    with container(*box), pytest.raises(AirlockError, match="a boxed command that runs"):
        protect(file, mount(workspace), can_make=True)
    assert not (workspace / "deep/x").exists()
    with container(*box, *deep), pytest.raises(AirlockError, match="a boxed command that runs"):
        protect(file, mount(workspace), can_make=True)
    (workspace / "deep/x").touch()
    inner = ("--bind", str(workspace / "deep/x"), "/work/deep/x")
    with container(*box, *deep, *inner):
        protect(file, mount(workspace), can_make=True)
    with container("--ro-bind", str(workspace), "/work"):
        protect(file, mount(workspace), can_make=True)
    protect(file, mount(workspace), can_make=True)


@needs_bubblewrap
def test_a_box_that_waits_for_a_command_could_not() -> None:
    """The daemon has one ready for minutes after each command. A client's command in one counts."""
    with boxed_world() as world:
        world.write_profile(f'[workspace]\nmounts = {{ "/workspace" = "{world.workspace}" }}\n')
        with Daemon(world) as daemon:
            with daemon.connect() as client:
                client.sendall(request("sh", "-c", "echo up; sleep 1000", cwd="/workspace"))
                read_until(client, "up")
                assert is_refused(world.workspace)
            # The command of the client that has gone is being ended, and then the last one.
            daemon.wait_until(lambda: not is_refused(world.workspace))

            def waits() -> bool:
                return any(has(each, world.workspace) for each in Mounted.list_all())

            def waits_unnoticed() -> bool:
                # What others mount on this host closes the one that waits.
                daemon.shell("true", cwd="/workspace")
                return waits() and not is_refused(world.workspace) and waits()

            daemon.wait_until(waits_unnoticed)


def has(mounted: Mapping[str, Mounted], workspace: Path) -> bool:
    """Whether it is mounted there, to be written."""
    return any(str(workspace) in each.paths and each.is_writable for each in mounted.values())


def is_refused(workspace: Path) -> bool:
    """Whether something in it cannot be protected, since it could be replaced."""
    try:
        protect([f"{workspace}/new"], mount(workspace), can_make=True)
    except AirlockError:
        return True
    return False
