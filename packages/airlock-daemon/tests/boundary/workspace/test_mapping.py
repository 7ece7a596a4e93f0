"""Tests of `workspace.mapping`, with the mounts of containers as the kernel tells them."""

import os

import pytest

from airlock_daemon.boundary.identity.containers import Containers
from airlock_daemon.boundary.identity.peer import Peer
from airlock_daemon.boundary.workspace.mapping import Mounts, Unmapped
from airlock_daemon.errors import Denied
from airlock_daemon.platform.linux.mountinfo import MountTable
from airlock_daemon.platform.linux.processes import read_process_file
from airlock_daemon.setup.agents import Agent
from worlds import World

ROOT = "100 99 0:50 / / rw - overlay overlay rw"
PROC = "101 100 0:51 / /proc rw - proc proc rw"


@pytest.fixture
def agent(world: World) -> Agent:
    """An agent whose profile maps /workspace."""
    world.write_profile(f'[workspace]\nmounts = {{ "/workspace" = "{world.workspace}" }}\n')
    return world.load().generations["my"].agent


def rows(world: World, *more: str) -> MountTable:
    """A container with the world's workspace at /workspace, and `more` mounts."""
    own = MountTable.parse(read_process_file(os.getpid(), "mountinfo"))
    host = own.find(str(world.workspace))
    assert host is not None
    inner = os.path.relpath(world.workspace, host.point)
    bind = f"102 100 {host.device} {os.path.join(host.root, inner)} /workspace rw - ext4 /dev/x rw"
    return MountTable.parse("\n".join((ROOT, PROC, bind, *more)))


@pytest.mark.parametrize(
    "mount",
    [
        "103 102 0:6 /null /workspace/.env rw - devtmpfs devtmpfs rw",
        "103 102 0:60 / /workspace/secrets rw - tmpfs tmpfs rw",
        "103 102 254:1 /elsewhere /workspace/a/b rw - ext4 /dev/y rw",
    ],
)
def test_a_mount_inside_of_the_workspace_is_found(world: World, agent: Agent, mount: str) -> None:
    """What covers a file or a directory in the container does not cover it for a tool outside."""
    for path in ("/workspace", "/workspace/a/b/c"):
        mounts = Mounts(agent, rows=rows(world, mount), is_proven=True)
        assert mounts.find_inner(mounts.find("/workspace").source) == mount.split()[4], path


def test_mounts_elsewhere_are_nobodys_business(world: World, agent: Agent) -> None:
    """A neighbour of the workspace, or one that is called alike, hides nothing in it."""
    others = rows(
        world,
        "103 100 0:60 / /workspace2 ro - tmpfs tmpfs rw",
        "104 100 0:61 / /tmp rw - tmpfs tmpfs rw",
    )
    mounts = Mounts(agent, rows=others, is_proven=True)
    assert mounts.find_inner(mounts.find("/workspace").source) is None


def test_a_directory_of_the_workspace_itself_may_be_mounted_in_its_place(
    world: World, agent: Agent
) -> None:
    """What the host has at the same place, writable, a tool on the host sees as well."""
    whole = rows(world)[-1]
    same = f"103 102 {whole.device} {whole.root}/sub /workspace/sub {{}} - ext4 /dev/x rw"
    for flag, found in (("rw", None), ("ro", "/workspace/sub")):
        mounts = Mounts(agent, rows=rows(world, same.format(flag)), is_proven=True)
        assert mounts.find_inner(mounts.find("/workspace").source) == found


@pytest.mark.parametrize("flag", ["rw", "ro"])
@pytest.mark.parametrize(
    ("root", "point", "is_refused"),
    [
        ("{}", "/w", True),
        ("{}/..", "/w", True),
        ("{}/sub", "/w", True),
        ("{}/sub", "/workspace/other", True),
        ("{}/sub", "/workspace/sub", False),
        ("{}/../other", "/w", False),
    ],
)
def test_what_the_container_has_elsewhere_is_there_alone(
    world: World, agent: Agent, flag: str, root: str, point: str, *, is_refused: bool
) -> None:
    """Its masks and flags are there, so that at the path of the profile nothing would hold."""
    root_row, proc, whole = rows(world)
    place = os.path.normpath(root.format(whole.root))
    other = MountTable.parse(f"103 100 {whole.device} {place} {point} {flag} - ext4 /dev/x rw")
    mounts = Mounts(agent, rows=MountTable((root_row, proc, *other)), is_proven=True)
    if is_refused:
        with pytest.raises(Denied, match=f'at another path, "{point}"'):
            mounts.find("/workspace/a")
    else:
        assert mounts.find("/workspace/a").source.directory == str(world.workspace)
    # Where the profile says, the container may have it besides.
    mounts = Mounts(agent, rows=MountTable((root_row, proc, whole, *other)), is_proven=True)
    assert mounts.find("/workspace/a").source.directory == str(world.workspace)


@pytest.mark.parametrize("key", ["mounts", "same_path"])
@pytest.mark.parametrize("device", ["own", "0:99"])
def test_a_proved_container_must_have_the_directory_of_the_profile(
    world: World, key: str, device: str
) -> None:
    """Another one at its path is refused; one that is not proved may say what it likes."""
    target = "/workspace" if key == "mounts" else str(world.workspace)
    line = f'{{ "{target}" = "{world.workspace}" }}' if key == "mounts" else f'["{target}"]'
    world.write_profile(f"[workspace]\n{key} = {line}\n")
    agent = world.load().generations["my"].agent
    whole = rows(world)[-1]

    def find(root: str, *, is_proven: bool = True) -> str:
        bind = f"102 100 {whole.device if device == 'own' else device} {root} {target} rw"
        mounts = MountTable.parse("\n".join((ROOT, PROC, f"{bind} - ext4 /dev/x rw")))
        return Mounts(agent, rows=mounts, is_proven=is_proven).find(f"{target}/a").source.directory

    with pytest.raises(Denied, match="has another directory") as caught:
        find(os.path.join(os.path.dirname(whole.root), "other"))
    assert caught.value.rule == "other-directory"
    with pytest.raises(Denied, match="has another directory"):
        find(f"{whole.root}//deleted")
    assert find("/other", is_proven=False) == str(world.workspace)
    if device == "own":
        assert find(whole.root) == str(world.workspace)


@pytest.mark.parametrize(
    "seen",
    [
        ["102 100 8:1 /ws / ro - ext4 /dev/x rw"],
        [PROC],
        [ROOT],
        [ROOT, "101 100 0:51 / /proc rw - tmpfs tmpfs rw"],
    ],
)
async def test_a_changed_root_hides_nothing(agent: Agent, seen: list[str]) -> None:
    """After a chroot the kernel shows only the mounts below: nobody can tell what is read-only."""
    peer = Peer(pid=1, uid=0, kind="container", mountinfo="\n".join(seen))
    with pytest.raises(Denied, match="changed its root"):
        await Mounts.read(peer=peer, agent=agent, containers=Containers(os.defpath))


def test_what_only_the_container_has_is_no_directory_of_the_host(agent: Agent) -> None:
    """Its root, which the host may well have mounted too, and what no device stands behind."""
    own = MountTable.parse(read_process_file(os.getpid(), "mountinfo"))
    for point in ("/", "/proc"):
        row = own.find(point)
        assert row is not None
        assert row.point == point
        with pytest.raises(Unmapped):
            Mounts(agent, rows=MountTable((row,)), is_proven=True).find(f"{point}/sys")
