"""What a box covers is what was found to be covered, whatever the container renames meanwhile."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio
from msgspec.structs import replace

from airlock_daemon.boundary.workspace.directory import HostPaths
from airlock_daemon.errors import Denied
from airlock_daemon.platform.linux.mountinfo import MountRow
from boxing import needs_bubblewrap
from container_hosts import Host, Runner, new_host, plan
from mounting import bound, small_disk, unserved
from worlds import World

if TYPE_CHECKING:
    from airlock_daemon.boundary.box.box import Box

pytestmark = needs_bubblewrap

SECRET = "canary-71d4"
LOOK = "grep -rs canary .; true"


@contextmanager
def vault(folder: Path) -> Iterator[None]:
    """A file system of the host's with a secret that every user may read."""
    folder.mkdir(parents=True, exist_ok=True)
    with small_disk(folder):
        folder.chmod(0o755)
        (folder / "file").write_text(SECRET)
        yield


async def run_in(runner: Runner, host: Host, box: "Box") -> str:
    """What a command says in a box that was planned before."""
    output = host.root / "output"
    with host.enter() as workspace, output.open("w") as file:
        await runner.run(workspace, LOOK, file.fileno(), box=box)
    return output.read_text()


def plan_now(host: Host) -> "Box":
    """The plan of the container's box."""
    with host.enter() as workspace:
        return plan(workspace)


@contextmanager
def swapped(host: Host, put: Callable[[Path], object] = Path.mkdir) -> Iterator[None]:
    """The directory in which the host has something mounted is moved, as a container can do."""
    above, moved = host.workspace / "above", host.workspace / "moved"
    above.rename(moved)
    try:
        above.mkdir()
        put(above / "own")
        yield
    finally:
        shutil.rmtree(above)
        moved.rename(above)


PUT: dict[str, Callable[[Path], object]] = {
    "directory": Path.mkdir,
    "file": Path.touch,
    "link": lambda place: place.symlink_to("../moved/own"),
    "nothing": lambda _: None,
}


def test_what_only_the_host_has_mounted_inside_is_covered(host: Host) -> None:
    """Directories and files, also below mounts of the container's."""
    for name in ("workspace/lib", "workspace/deep/lib"):
        host.make(name)
    lib = host.make("lib")
    host.mount(lib, "/workspace/lib")
    (host.workspace / "file").write_text("")
    key = host.make("private", SECRET) / "file"
    with (
        vault(host.workspace / "own"),
        vault(host.workspace / "deep" / "own"),
        vault(lib / "own"),
        bound(key, host.workspace / "file"),
    ):
        said = host.run(
            "ls -A own lib/own deep/own; grep -rs canary .; (echo x > own/x) 2>/dev/null || echo no"
        )
    assert said == "deep/own:\n\nlib/own:\n\nown:\nno\n"


def test_what_a_mount_of_the_containers_hides_needs_no_cover(host: Host) -> None:
    """Unless the container can move that away."""
    for name in ("lib", "deep/lib"):
        host.make(f"workspace/{name}")
    host.mount(host.make("lib", "lib"), "/workspace/lib")
    row = MountRow(1, "0:9", "/", f"{host.workspace}/lib/own", read_only=False, kind="ext4")
    host.only_of_the_host.append(row)
    assert host.run("cat lib/file") == "lib\n"
    host.mount(host.root / "lib", "/workspace/deep/lib")
    host.only_of_the_host.append(replace(row, point=f"{host.workspace}/deep/lib/own"))
    with pytest.raises(Denied, match="can be moved away"):
        host.run("cat lib/file")


@pytest.mark.parametrize("put", PUT)
async def test_what_takes_the_place_of_a_mount_is_not_covered_for_it(
    runner: Runner, host: Host, put: str
) -> None:
    """The mount has moved along with the directory above it, and would be seen there."""
    with vault(host.workspace / "above" / "own"):
        box = plan_now(host)
        with swapped(host, PUT[put]):
            with pytest.raises(Denied, match="was replaced") as caught:
                await run_in(runner, host, box)
            assert caught.value.hint.startswith("repeat the command")
            assert SECRET not in await run_in(runner, host, plan_now(host))


async def test_it_does_not_count_either_if_it_was_there_for_the_plan(
    runner: Runner, host: Host
) -> None:
    """The host's mounts were read before: of them it is none."""
    with vault(host.workspace / "above" / "own"), host.enter() as workspace:
        assert workspace.mounts is not None
        assert workspace.mounts.host_rows
        with swapped(host), pytest.raises(Denied, match="was replaced"):
            await run_in(runner, host, plan(workspace))


async def test_a_file_that_a_profile_hides_is_the_one_that_was_found(
    runner: Runner, world: World
) -> None:
    """Or there is no box."""
    world.write_profile("[workspace]\nhide = ['/workspace/.env']\n")
    with new_host(world) as host:
        env = host.workspace / ".env"
        env.write_text(SECRET)
        box = plan_now(host)
        env.rename(host.workspace / "env")
        env.write_text("")
        with pytest.raises(Denied, match="was replaced"):
            await run_in(runner, host, box)


async def test_a_box_made_ahead_of_something_else_is_left(runner: Runner, host: Host) -> None:
    """By the next command, which has one that is made for it."""
    with vault(host.workspace / "above" / "own"):
        assert await host.run_by(runner, LOOK) == ""
        with swapped(host):
            await runner.refill()
            assert runner.pool.count == 1
            while runner.pool._waiting[0].launch.is_waiting():
                await trio.lowlevel.checkpoint()
        assert await host.run_by(runner, LOOK) == ""


DEAD, ANOTHERS = "user_id=0,allow_other", "user_id=12345"


@pytest.mark.parametrize("options", [DEAD, ANOTHERS])
def test_a_mount_that_cannot_be_looked_at_is_named(host: Host, options: str) -> None:
    """To try again would not help."""
    with (
        unserved(host.make("workspace/own"), options=options),
        pytest.raises(Denied, match='/own" is a mount of the host') as caught,
    ):
        host.run(LOOK)
    assert "unmount it" in caught.value.hint
    assert "try again" not in caught.value.hint


async def test_of_a_dead_one_what_the_kernel_knows_is_enough(runner: Runner, host: Host) -> None:
    """A cover needs no answer of whoever has served it."""
    with unserved(host.make("workspace/own"), options=DEAD), host.enter() as workspace:
        assert workspace.mounts is not None
        workspace.mounts.host_paths = HostPaths(in_thread=True)
        box = await workspace.mounts.host_paths.settle(lambda: plan(workspace), runner.lookups)
        output = host.root / "output"
        with output.open("w") as file:
            await runner.run(workspace, "ls -A own; echo end", file.fileno(), box=box)
    assert output.read_text() == "end\n"


async def test_another_users_is_refused_wherever_it_is_looked_at(
    runner: Runner, host: Host
) -> None:
    """Its root can be opened, and nothing more."""
    with unserved(host.make("workspace/own"), options=ANOTHERS), host.enter() as workspace:
        assert workspace.mounts is not None
        workspace.mounts.host_paths = HostPaths(in_thread=True)
        with pytest.raises(Denied, match="cannot be looked at"):
            await workspace.mounts.host_paths.settle(lambda: plan(workspace), runner.lookups)


def test_a_link_that_a_profile_hides_is_named(world: World) -> None:
    """Nothing can be mounted over a link, and what it leads to is another path."""
    world.write_profile("[workspace]\nhide = ['/workspace/.env']\n")
    with new_host(world) as host:
        (host.workspace / "env").write_text(SECRET)
        (host.workspace / ".env").symlink_to("env")
        with pytest.raises(Denied, match='env" is a symlink') as caught:
            host.run(LOOK)
    assert "remove the link" in caught.value.hint
