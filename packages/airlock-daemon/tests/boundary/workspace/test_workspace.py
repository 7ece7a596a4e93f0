"""Tests of `boundary.workspace.directory`: what a client may claim, and where it gets."""

import os
from pathlib import Path
from typing import Literal
from unittest.mock import Mock

import msgspec
import pytest
import trio

from airlock_daemon.boundary.identity.containers import Containers
from airlock_daemon.boundary.identity.peer import Peer
from airlock_daemon.boundary.workspace import beneath
from airlock_daemon.boundary.workspace import directory as workspace
from airlock_daemon.boundary.workspace.beneath import open_unlinked, real_path
from airlock_daemon.boundary.workspace.directory import open_below, open_root
from airlock_daemon.boundary.workspace.mapping import Mounts, Source
from airlock_daemon.errors import Denied
from airlock_daemon.platform import system
from airlock_daemon.platform.linux.mountinfo import MountTable, read_own_mounts
from airlock_daemon.setup.generation import Setup
from airlock_daemon.setup.paths import Reserved
from airlock_daemon.setup.profile import Mount
from airlock_modules import parse_module
from strangers import start_stranger
from worlds import World

UNSEEN = Peer(pid=0, uid=0, kind="unseen")


def mapped(world: World) -> Setup:
    """The world's workspace, mounted at /workspace."""
    world.write_profile(f'[workspace]\nmounts = {{ "/workspace" = "{world.workspace}" }}\n')
    return world.load()


async def enter(
    setup: Setup,
    claimed: str | None,
    *,
    peer: Peer = UNSEEN,
    needs: Literal["required", "optional"] = "required",
) -> str:
    """Enter, and return the real path of where that was."""
    module = parse_module(
        f'[command]\nbin = "x"\n[deny]\nargs = []\n[exec]\nworkspace = "{needs}"\n',
        name="x",
        source="test",
    )
    directory = await workspace.enter(
        claimed,
        peer=peer,
        generation=setup.generations["my"],
        module=module,
        containers=Containers(os.defpath),
        lookups=trio.CapacityLimiter(1),
    )
    path = os.readlink(f"/proc/self/fd/{directory.descriptor}")
    directory.close()
    return path


async def test_a_path_of_the_container_becomes_one_of_the_host(world: World) -> None:
    """The mount's target is replaced by its source, also for what lies below."""
    (world.workspace / "a" / "b").mkdir(parents=True)
    setup = mapped(world)
    assert await enter(setup, "/workspace") == str(world.workspace)
    assert await enter(setup, "/workspace/a//b/.") == str(world.workspace / "a" / "b")


async def test_the_longest_mount_answers(world: World) -> None:
    """A mount below another one is used for what lies in it."""
    inner = world.root / "inner"
    inner.mkdir()
    world.write_profile(
        f'[workspace]\nmounts = {{ "/w" = "{world.workspace}", "/w/in" = "{inner}" }}\n'
    )
    assert await enter(world.load(), "/w/in") == str(inner)


@pytest.mark.parametrize("claimed", ["workspace", "/workspace/../etc", "/workspace/..", ""])
async def test_a_path_that_is_not_plain_is_refused(world: World, claimed: str) -> None:
    """The kernel never reports such a directory, so that nobody honest sends one."""
    with pytest.raises(Denied, match="plain absolute path"):
        await enter(mapped(world), claimed)


async def test_what_is_not_mapped_is_refused_with_the_line_to_add(world: World) -> None:
    """The hint names the file and the line, with the client's own path in it."""
    with pytest.raises(Denied, match="/elsewhere") as caught:
        await enter(mapped(world), "/elsewhere")
    assert str(world.agent / "airlock.toml") in (caught.value.hint or "")
    assert 'mounts = { "/elsewhere" = ' in (caught.value.hint or "")


async def test_a_name_that_continues_the_mounts_is_outside(world: World) -> None:
    """/workspaces is not below /workspace."""
    with pytest.raises(Denied, match="no directory of the host"):
        await enter(mapped(world), "/workspaces")


async def test_a_link_inside_the_workspace_is_followed(world: World) -> None:
    """A link that stays inside is an ordinary part of a project."""
    (world.workspace / "real").mkdir()
    (world.workspace / "link").symlink_to("real")
    assert await enter(mapped(world), "/workspace/link") == str(world.workspace / "real")


@pytest.mark.parametrize("target", ["/etc", "..", "../config", "/proc/self/root"])
async def test_a_link_out_of_the_workspace_is_refused(world: World, target: str) -> None:
    """However the link is written, it does not lead out."""
    (world.workspace / "link").symlink_to(target)
    with pytest.raises(Denied, match=r"leads out of the workspace|cannot be a workspace"):
        await enter(mapped(world), "/workspace/link")


async def test_a_mount_whose_source_became_a_link_is_refused(world: World) -> None:
    """Who can write above the source cannot swap it for a link after the daemon has looked."""
    outer = world.root / "outer"
    (outer / "sub").mkdir(parents=True)
    world.write_profile(f'[workspace]\nmounts = {{ "/w" = "{outer}/sub" }}\n')
    setup = world.load()
    assert await enter(setup, "/w") == str(outer / "sub")
    (outer / "sub").rmdir()
    (outer / "sub").symlink_to("/etc")
    with pytest.raises(Denied):
        await enter(setup, "/w")


async def test_a_missing_directory_a_file_and_a_fifo_are_refused(world: World) -> None:
    """Only a directory is entered, and nothing is opened that could hang."""
    (world.workspace / "file").touch()
    os.mkfifo(world.workspace / "fifo")
    setup = mapped(world)
    for name in ("missing", "file", "fifo"):
        with pytest.raises(Denied, match="has no directory"):
            await enter(setup, f"/workspace/{name}")


async def test_airlocks_own_files_are_refused_at_request_time_too(world: World) -> None:
    """A workspace that holds or lies in a reserved place is refused when it is entered."""
    (world.workspace / "a" / "b").mkdir(parents=True)
    setup = mapped(world)
    place = Reserved((("the configuration", str(world.workspace / "a")),))
    generation = msgspec.structs.replace(setup.generations["my"], reserved=place)
    reserved = msgspec.structs.replace(setup, generations={"my": generation})
    for claimed in ("/workspace", "/workspace/a/b"):
        with pytest.raises(Denied, match="cannot be a workspace"):
            await enter(reserved, claimed)


async def test_without_a_mapping_an_optional_workspace_is_fresh_and_empty(world: World) -> None:
    """Each command gets a directory of its own, which is gone afterwards."""
    setup = mapped(world)
    path = await enter(setup, "/", needs="optional")
    assert not Path(path).exists()
    assert path != await enter(setup, None, needs="optional")


async def test_an_optional_workspace_does_not_excuse_a_refused_one(world: World) -> None:
    """A command that needs no directory is still refused one that leads out."""
    (world.workspace / "link").symlink_to("/etc")
    with pytest.raises(Denied, match="leads out"):
        await enter(mapped(world), "/workspace/link", needs="optional")


async def test_the_same_path_is_used_when_nothing_else_answers(world: World) -> None:
    """same_path maps a directory to itself."""
    world.write_profile(f'[workspace]\nsame_path = ["{world.workspace}"]\n')
    assert await enter(world.load(), str(world.workspace)) == str(world.workspace)


async def test_a_process_of_the_host_uses_the_directory_it_stands_in(world: World) -> None:
    """With host = true the kernel's word counts, and a claim that contradicts it is refused."""
    stranger = start_stranger(world.workspace)
    try:
        peer = Peer(pid=stranger, uid=os.geteuid(), kind="local")
        for claimed in (None, str(world.workspace)):
            assert await enter(world.load(), claimed, peer=peer) == str(world.workspace)
        with pytest.raises(Denied, match='claims to be in "/etc"'):
            await enter(world.load(), "/etc", peer=peer)
    finally:
        os.kill(stranger, 9)


async def test_another_user_of_the_host_is_refused(world: World) -> None:
    """host = true is for the daemon's own user, and for nobody in a container."""
    me = os.geteuid()
    for peer in (
        Peer(pid=os.getpid(), uid=me + 1, kind="local"),
        Peer(pid=os.getpid(), uid=me, kind="local", container="a" * 64),
    ):
        with pytest.raises(Denied, match="own user"):
            await enter(world.load(), None, peer=peer)


async def test_a_process_of_the_host_that_stands_in_airlocks_files_is_refused(world: World) -> None:
    """They are no workspace of anybody's."""
    stranger = start_stranger(world.config)
    try:
        with pytest.raises(Denied) as caught:
            await enter(world.load(), None, peer=Peer(pid=stranger, uid=os.geteuid(), kind="local"))
    finally:
        os.kill(stranger, 9)
    assert caught.value.rule == "reserved"


@pytest.mark.parametrize("has_openat2", [True, False])
def test_no_component_of_a_path_may_be_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_openat2: bool
) -> None:
    """A link anywhere in the path is refused, not only at its end, on old kernels too."""
    if not has_openat2:
        monkeypatch.setattr(system, "openat2", Mock(side_effect=NotImplementedError))
    (tmp_path / "real" / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    inner = tmp_path / "real" / "inner"
    descriptor, path = open_unlinked(f"{inner}/")
    os.close(descriptor)
    assert path == str(inner)
    (inner / "end").symlink_to("..")
    for linked in (tmp_path / "link" / "inner", tmp_path / "link", inner / "end"):
        with pytest.raises(Denied, match="cannot be entered"):
            open_unlinked(str(linked))


def test_a_removed_directory_is_told_from_one_that_is_called_so(tmp_path: Path) -> None:
    """The kernel adds a word to the path of what was removed, which a name may end with too."""
    for name, is_there in (("gone", False), ("here (deleted)", True)):
        (tmp_path / name).mkdir()
        descriptor, _ = open_unlinked(str(tmp_path / name))
        if is_there:
            assert real_path(descriptor) == str(tmp_path / name)
        else:
            (tmp_path / name).rmdir()
            with pytest.raises(Denied, match="removed"):
                real_path(descriptor)
        os.close(descriptor)


async def test_a_directory_over_which_something_else_is_mounted_is_refused(tmp_path: Path) -> None:
    """The client sees what lies below that, on the mount that was found for it."""
    (tmp_path / "sub").mkdir()
    source = Source(target="/workspace", directory=str(tmp_path), below="sub", mount_id=-1)
    nothing, lookups = Reserved(()), trio.CapacityLimiter(1)
    with pytest.raises(Denied) as caught:
        open_root(source, nothing)
    assert caught.value.rule == "mount"
    root, path = open_unlinked(str(tmp_path))
    with pytest.raises(Denied) as caught:
        await open_below(root, path, source, nothing, lookups)
    assert caught.value.rule == "mount"
    os.close(root)


async def test_a_home_is_entered_only_where_a_container_has_it_mounted(world: World) -> None:
    """A boxed command may run there; a path that a profile names never leads there."""
    home = Path(world.locations.containers_dir) / "homes" / "my"
    (home / "deep").mkdir(parents=True)
    reserved, lookups = world.load().generations["my"].reserved, trio.CapacityLimiter(1)
    named = Source(target="/home/my", directory=str(home), below="deep")
    with pytest.raises(Denied, match="cannot be a workspace") as caught:
        open_root(named, reserved)
    assert caught.value.rule == "reserved"
    root, path = open_unlinked(str(home))
    with pytest.raises(Denied, match="cannot be a workspace"):
        await open_below(root, path, named, reserved, lookups)
    os.close(root)
    mounted = msgspec.structs.replace(named, mount_id=find_mount_id(home))
    root, path = open_root(mounted, reserved)
    descriptor, below = await open_below(root, path, mounted, reserved, lookups)
    assert (path, below) == (str(home), f"{home}/deep")
    os.close(descriptor)
    os.close(root)
    beside = msgspec.structs.replace(mounted, directory=str(home.parent), below="")
    with pytest.raises(Denied, match="cannot be a workspace"):
        open_root(beside, reserved)


def find_mount_id(path: Path) -> int:
    """The host's mount on which a directory lies."""
    row = read_own_mounts().find(str(path))
    assert row is not None
    return row.mount_id


def test_the_home_of_a_proved_container_is_among_what_it_has_mounted(world: World) -> None:
    """For boxes, which show it; a profile that maps it does not."""
    home = Path(world.locations.containers_dir) / "homes" / "my"
    home.mkdir(parents=True)
    generation = world.load().generations["my"]
    at_root = read_own_mounts().find(str(home))
    assert at_root is not None
    root = os.path.join(at_root.root, os.path.relpath(home, at_root.point))
    row = msgspec.structs.replace(at_root, root=root, point="/home/airlock-agent")
    mounts = Mounts(generation.agent, rows=MountTable((row,)), is_proven=True)
    (found,) = mounts.list_workspaces(generation.reserved)
    assert (found.directory, found.target) == (str(home), "/home/airlock-agent")
    mount = Mount(target="/home/my", source=str(home))
    profile = msgspec.structs.replace(generation.agent.profile, mounts=(mount,))
    agent = msgspec.structs.replace(generation.agent, profile=profile)
    assert not list(Mounts(agent).list_workspaces(generation.reserved))


async def test_a_directory_that_is_moved_away_meanwhile_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be none of the workspace any more."""
    (world.workspace / "a" / "b").mkdir(parents=True)
    real = beneath._open

    def open_and_move(part: str, directory: int, *, at_once: bool) -> int | str | None:
        found = real(part, directory, at_once=at_once)
        if part == "a":
            (world.workspace / "a").rename(world.root / "away")
        return found

    setup = mapped(world)
    monkeypatch.setattr(beneath, "_open", open_and_move)
    with pytest.raises(Denied) as caught:
        await enter(setup, "/workspace/a/b")
    assert caught.value.rule == "outside"


async def test_a_directory_that_is_read_only_is_none_for_a_tool_without_a_box(world: World) -> None:
    """It could not be held to that."""
    mounts = f'mounts = {{ "/workspace" = "{world.workspace}" }}'
    world.write_profile(f"[workspace]\n{mounts}\nread_only = true\n")
    with pytest.raises(Denied) as caught:
        await enter(world.load(), "/workspace")
    assert caught.value.rule == "read-only"
