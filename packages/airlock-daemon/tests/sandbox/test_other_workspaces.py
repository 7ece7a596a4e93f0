"""What a box shows beside the workspace in which its command runs, and what not."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from boxing import CLOSED, needs_bubblewrap, open_world, write_boxes
from running import Daemon
from worlds import World

pytestmark = needs_bubblewrap

SECRET = "canary-5b21"


@pytest.fixture
def world() -> Iterator[World]:
    """An agent whose `sh` runs in closed boxes, and a secret that everybody could read."""
    with open_world() as world:
        write_boxes(world)
        world.write_module("sh", "/bin/sh", CLOSED)
        for name in ("data", "private"):
            (world.root / name).mkdir()
            (world.root / name).chmod(0o777)
        (world.root / "data" / "file").write_text("data\n")
        (world.root / "private" / "file").write_text(f"{SECRET}\n")
        map_both(world)
        yield world


def map_both(world: World, data: str = "/data", more: str = "") -> None:
    """Map the workspace and the directory `data`; `more` are further lines of [workspace]."""
    mounts = f'"{data}" = "{world.root}/data", "/workspace" = "{world.workspace}"'
    world.write_profile(f"[workspace]\nmounts = {{ {mounts} }}\n{more}")


def see(world: World, script: str, cwd: str = "/workspace") -> str:
    """What a script in a box says."""
    with Daemon(world) as daemon:
        answer = daemon.shell(f"({script}) 2>&1", cwd=cwd)
    assert "result" in answer.last, answer.last
    return answer.text()


def test_a_second_directory_is_there_and_can_be_written(world: World) -> None:
    """From the first one, and from / and /tmp of the container."""
    assert see(world, "cat /data/file; echo new > /data/new; pwd") == "data\n/workspace\n"
    assert (world.root / "data" / "new").read_text() == "new\n"
    for cwd, own in (("/", "/"), ("/tmp", "/no-workspace")):
        assert see(world, "pwd; ls /workspace; cat /data/new", cwd=cwd) == f"{own}\nnew\n"


def test_what_the_profile_says_of_workspaces_holds_for_each(world: World) -> None:
    """A second one is read-only with the first, and none if it is hidden, by a part or whole."""
    map_both(world, more="read_only = true\n")
    assert "Read-only file system" in see(world, "echo no > /data/file")
    map_both(world, more='hide = ["/data/file"]\n')
    assert see(world, "cat /data/file") == ""
    map_both(world, more='hide = ["/data"]\n')
    assert "No such file" in see(world, "ls /data")
    map_both(world, data="/srv/data", more='hide = ["/srv"]\n')
    assert "No such file" in see(world, "ls /srv")


@pytest.mark.parametrize("data", ["/usr/local/data", "/etc/data", "/run/airlock", "/workspace/in"])
def test_one_at_a_place_of_the_boxs_own_or_inside_is_left_out(world: World, data: str) -> None:
    """What runs in the other one goes on doing so."""
    map_both(world, data=data)
    assert "No such file" in see(world, f"cat {data}/file")


def test_a_link_in_its_place_shows_nothing_of_the_host(world: World) -> None:
    """Who can write above a directory could put one there, before or after a daemon has started."""
    data, moved = world.root / "data", world.root / "moved"
    with Daemon(world) as daemon:
        for place in (world.root / "private", Path("/"), world.config):
            data.rename(moved)
            data.symlink_to(place)
            found = daemon.shell("ls /data; cat /data/file", cwd="/workspace")
            assert SECRET not in found.text()
            assert "config.toml" not in found.text()
            assert "No such file" in found.text("stderr")
            data.unlink()
            moved.rename(data)
        assert daemon.shell("cat /data/file", cwd="/workspace").text() == "data\n"


def test_one_that_the_user_of_boxes_cannot_enter_is_left_out(world: World) -> None:
    """As it would be on the host; the daemon, which could, does not lend its rights."""
    if os.geteuid() != 0:
        pytest.skip("only root has boxes of another user")
    hall = world.root / "hall"
    hall.mkdir(mode=0o700)
    (world.root / "data").rename(hall / "data")
    mounts = f'"/data" = "{hall}/data", "/workspace" = "{world.workspace}"'
    world.write_profile(f"[workspace]\nmounts = {{ {mounts} }}\n")
    assert "No such file" in see(world, "cat /data/file")
