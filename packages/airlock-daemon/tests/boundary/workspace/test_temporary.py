"""Tests of `boundary.workspace.temporary`: what is in use stays, what was left goes."""

import errno
import os
import tempfile
from pathlib import Path
from typing import NoReturn

import pytest

from airlock_daemon.boundary.workspace.temporary import PREFIX, Workspace, make_temporary
from airlock_daemon.errors import Failed
from running import Daemon, read_until, request
from worlds import World

NOBODY = 65534


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory for temporary files, which this process and its daemons use."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


def names(place: Path) -> list[str]:
    return sorted(os.listdir(place))


def leave_behind(place: Path, name: str = "left") -> Path:
    """A directory as a killed daemon has left it, with something in it."""
    left = place / f"{PREFIX}{name}"
    (left / "deep").mkdir(parents=True)
    (left / "deep" / "file").touch()
    return left


def test_what_was_left_behind_is_removed_and_what_is_in_use_stays(place: Path) -> None:
    """A directory is in use as long as its descriptor is open, whoever made it."""
    descriptor, path = make_temporary()
    leave_behind(place)
    Workspace.remove_stale()
    assert names(place) == [os.path.basename(path)]
    os.close(descriptor)
    Workspace.remove_stale()
    assert names(place) == []


def test_nothing_else_is_removed(place: Path, tmp_path: Path) -> None:
    """Neither what is called otherwise, nor what a link of that name leads to, nor files."""
    precious = tmp_path / "precious"
    (precious / "inside").mkdir(parents=True)
    (place / f"{PREFIX}link").symlink_to(precious)
    (place / f"{PREFIX}file").touch()
    (place / "airlock-other").mkdir()
    before = names(place)
    Workspace.remove_stale()
    assert names(place) == before
    assert (precious / "inside").is_dir()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives directories away")
def test_what_belongs_to_others_is_not_removed(place: Path) -> None:
    """Somebody else's daemon may have left it."""
    left = leave_behind(place)
    os.chown(left, NOBODY, NOBODY)
    Workspace.remove_stale()
    assert left.exists()


def test_a_tree_of_any_depth_is_removed(place: Path) -> None:
    """A tool may leave one in which Python's own recursion would end, with links in it."""
    left = leave_behind(place)
    directory = os.open(left, os.O_RDONLY)
    for number in range(1500):
        os.mkdir("d", dir_fd=directory)
        os.symlink("/", f"link{number}", dir_fd=directory)
        below = os.open("d", os.O_RDONLY, dir_fd=directory)
        os.close(directory)
        directory = below
    os.close(directory)
    Workspace.remove_stale()
    assert names(place) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may remove everything")
def test_what_cannot_be_removed_stays(place: Path) -> None:
    """The rest goes all the same."""
    left = leave_behind(place)
    (left / "closed").mkdir()
    (left / "closed" / "file").touch()
    (left / "closed").chmod(0o500)
    Workspace.remove_stale()
    ((kept,),) = [[*left.iterdir()]]
    assert [file.name for file in kept.iterdir()] == ["file"]


def test_a_directory_that_is_taken_away_at_once_is_made_again(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon that starts may find it before it is in use."""
    make, made = tempfile.mkdtemp, []

    def make_and_lose(*args: object, **options: object) -> str:
        path = make(*args, **options)  # type: ignore[call-overload]
        made.append(path)
        if len(made) == 1:
            Workspace.remove_stale()
        return str(path)

    monkeypatch.setattr(tempfile, "mkdtemp", make_and_lose)
    descriptor, path = make_temporary()
    os.close(descriptor)
    assert made[1:] == [path]


def test_a_place_that_cannot_be_looked_through_is_left_alone(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon starts all the same, where nobody may list TMPDIR or every disk is full."""
    monkeypatch.setattr(tempfile, "tempdir", str(place / "absent"))
    Workspace.remove_stale()


def test_a_directory_that_cannot_be_opened_is_not_left_behind(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the table of descriptors is full, each refused request would leave one."""

    def fail(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(Failed, match="Too many open files"):
        make_temporary()
    assert names(place) == []


def test_a_place_that_is_gone_or_full_is_no_fault_of_the_daemon(world: World, place: Path) -> None:
    """The refusal says where room is needed, and nothing has to be started again."""
    world.write_profile("")
    world.write_module("sh", "/bin/sh", '[deny]\nargs = []\n[exec]\nworkspace = "optional"\n')
    with Daemon(world) as daemon:
        assert daemon.shell("true").exit_code == 0
        moved = place.rename(place.with_name("moved"))
        error = daemon.shell("true").error
        assert error["message"].startswith("no empty directory can be made for the command: ")
        assert "TMPDIR" in error["data"]["hint"]
        moved.rename(place)
        assert daemon.shell("true").exit_code == 0
        assert "fault" not in daemon.messages()


def test_a_killed_daemons_directory_goes_at_the_next_start(world: World, place: Path) -> None:
    """And that of one that lives, which another daemon of the same user finds, stays."""
    world.write_profile("")
    world.write_module("sh", "/bin/sh", '[deny]\nargs = []\n[exec]\nworkspace = "optional"\n')
    with Daemon(world) as killed, killed.connect() as connection:
        connection.sendall(request("sh", "-c", "echo up; sleep 600"))
        read_until(connection, "up")
        (used,) = names(place)
        Workspace.remove_stale()
        assert names(place) == [used]
        killed.kill()
        assert names(place) == [used]
    with Daemon(world) as daemon:
        while used in names(place):
            assert daemon.shell("true").exit_code == 0


def test_what_a_tool_leaves_goes_with_it(world: World, place: Path) -> None:
    """Its client has the answer before."""
    world.write_profile("")
    world.write_module("sh", "/bin/sh", '[deny]\nargs = []\n[exec]\nworkspace = "optional"\n')
    with Daemon(world) as daemon:
        assert daemon.shell("mkdir -p a/b; touch a/b/c").exit_code == 0
        assert daemon.stop() == 0
        assert names(place) == []
