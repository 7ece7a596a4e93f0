"""Tests of `workspace.path_arguments`: paths among arguments are held in the workspace."""

import os
import threading

import pytest
import trio
from msgspec.structs import replace

from airlock_daemon.boundary.identity.containers import Containers
from airlock_daemon.boundary.identity.peer import Peer
from airlock_daemon.boundary.workspace import beneath
from airlock_daemon.boundary.workspace import directory as workspace
from airlock_daemon.boundary.workspace.path_arguments import confine_paths
from airlock_daemon.errors import Denied
from airlock_daemon.setup.generation import Setup
from airlock_modules import Grant, Module, PathUse, Sandbox, evaluate, parse_module
from strangers import start_stranger
from worlds import World

UNSEEN = Peer(pid=0, uid=0, kind="unseen")
MODULE = """
[command]
bin = "x"
[syntax]
subcommands = 1
abbreviations = true
flags = [
  "-C CHDIR", "-f --file PATH", "--many PATH...", "-m --message VALUE", "-q --quiet", "--to[=PATH]",
]
path_words = ["add"]
[deny]
args = []
[exec]
workspace = "optional"
"""


@pytest.fixture
def setup(world: World) -> Setup:
    """The world's workspace at /workspace, with `sub/inner`; another directory at /data."""
    (world.workspace / "sub" / "inner").mkdir(parents=True)
    (world.root / "data").mkdir()
    world.write_profile(
        f'[workspace]\nmounts = {{ "/workspace" = "{world.workspace}", '
        f'"/data" = "{world.root}/data" }}\n'
    )
    return world.load()


async def hold(
    setup: Setup, *args: str, cwd: str | None = "/workspace", peer: Peer = UNSEEN
) -> list[str]:
    """Evaluate, enter and hold the paths; return the arguments for the tool."""
    module = parse_module(MODULE, name="x", source="test")
    paths = _paths(module, args)
    directory = await workspace.enter(
        cwd,
        peer=peer,
        generation=setup.generations["my"],
        module=module,
        containers=Containers(os.defpath),
        lookups=trio.CapacityLimiter(1),
    )
    try:
        held = await confine_paths(
            args,
            paths,
            directory=directory,
            reserved=setup.generations["my"].reserved,
            lookups=trio.CapacityLimiter(1),
        )
    finally:
        directory.close()
    return list(held)


def _paths(module: Module, args: tuple[str, ...]) -> tuple[PathUse, ...]:
    boxed = replace(module, sandbox=Sandbox(box="none"))
    decision = evaluate(Grant(ceiling=("x",), modules={"x": boxed}), "x", args)
    assert decision.allowed, decision.message
    return decision.paths


@pytest.mark.parametrize(
    "args",
    [
        ["-C", "sub", "status"],
        ["-C", "sub", "-C", "inner", "add", "../../file"],
        ["-C.", "add", "a", "./b", "sub/../c", "-"],
        ["add", "--file=sub/new/file", "-fsub"],
        ["log", "-m", "/root"],
        ["status", "/root"],
        ["-C", "", "add"],
        ["add", "--", "-C", "-f"],
        ["add", "-f", "/dev/null", "--to=/dev/stdout"],
        [],
    ],
    ids=" ".join,
)
async def test_what_stays_inside_is_passed_on_as_it_was_written(
    setup: Setup, args: list[str]
) -> None:
    """Relative paths keep their spelling, and what is no path is not looked at."""
    assert await hold(setup, *args) == args


@pytest.mark.parametrize(
    ("args", "place"),
    [
        (["-C", "/workspace", "status"], 1),
        (["-C", "/workspace/sub/", "status"], 1),
        (["-C/workspace/sub", "status"], 0),
        (["add", "--file=/workspace/new"], 1),
        (["add", "--fil=/workspace/new"], 1),
        (["add", "-qf", "/workspace/new"], 2),
        (["add", "-qf/workspace/new"], 1),
        (["add", "--to=/workspace/."], 1),
        (["add", "x", "/workspace/sub/../y"], 2),
        (["add", "--", "/workspace/-f"], 2),
        (["add", "--many", "x", "/workspace/y", "z"], 3),
        (["-C", "/workspace/sub", "add", "x"], 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
async def test_a_path_of_the_client_becomes_one_of_the_host(
    world: World, setup: Setup, args: list[str], place: int
) -> None:
    """The part that is the mount is replaced, in that argument alone; the rest stays."""
    expected = [*args]
    expected[place] = args[place].replace("/workspace", str(world.workspace))
    assert await hold(setup, *args) == expected


async def test_every_path_is_replaced_in_its_own_place(world: World, setup: Setup) -> None:
    """Two directories, one of them twice, and the same text as a message, which stays."""
    args = ["add", "/data/x", "-m", "/data/x", "/workspace", "/data/x"]
    data, space = str(world.root / "data"), str(world.workspace)
    assert await hold(setup, *args) == [
        "add", f"{data}/x", "-m", "/data/x", space, f"{data}/x",
    ]  # fmt: skip


async def test_an_absolute_directory_leads_the_paths_behind_it(world: World, setup: Setup) -> None:
    """What follows a directory that the tool enters is held from there."""
    assert (await hold(setup, "-C", "/data", "add", "x"))[1] == str(world.root / "data")
    with pytest.raises(Denied, match=r"/data/\.\./workspace"):
        await hold(setup, "-C", "/data", "add", "../workspace")


@pytest.mark.parametrize(
    "args",
    [
        ["-C", "/root", "status"],
        ["-C", "/", "status"],
        ["-C", "..", "status"],
        ["-C", "sub", "-C", "../..", "status"],
        ["-C..", "status"],
        ["add", "-f", "../x"],
        ["add", "-qf../x"],
        ["add", "--file=/etc/passwd"],
        ["add", "--to=/workspace/../etc"],
        ["add", "x", "/workspaces/y"],
        ["add", "//etc/passwd"],
        ["add", "/x/../workspace/y"],
        ["add", "--", "../x"],
        ["add", "new/../../x"],
        ["add", "out/x"],
        ["add", "self/x"],
        ["add", "sub/link/../../../x"],
        ["add", "deep/../../x"],
        ["add", "/workspace/deep/../../workspace/x"],
        ["add", "~/x"],
        ["add", "~root"],
        ["add", "--many", "x", "../y"],
    ],
    ids=" ".join,
)
async def test_what_leads_out_is_refused(world: World, setup: Setup, args: list[str]) -> None:
    """Absolute, by dots, through links, by a home directory: the layer is the workspace's."""
    (world.workspace / "out").symlink_to("/etc")
    (world.workspace / "self").symlink_to("/proc/self/cwd")
    (world.workspace / "sub" / "link").symlink_to("inner")
    # Behind it `..` is another directory for the kernel than as text.
    (world.workspace / "deep").symlink_to("sub/inner")
    with pytest.raises(Denied, match="leads out of the workspace") as caught:
        await hold(setup, *args)
    assert (caught.value.layer, caught.value.rule) == ("workspace", "outside")
    assert str(world.root) not in caught.value.message


async def test_from_a_directory_below_dots_reach_the_rest_of_the_workspace(setup: Setup) -> None:
    """The workspace is what is mapped, not only the directory of the run."""
    args = ["add", "../../x"]
    assert await hold(setup, *args, cwd="/workspace/sub/inner") == args
    with pytest.raises(Denied, match="leads out"):
        await hold(setup, "add", "../../../x", cwd="/workspace/sub/inner")


async def test_a_path_that_is_too_long_is_refused(setup: Setup) -> None:
    """No tool could open it, and nobody wants to follow it."""
    with pytest.raises(Denied, match="longer than a path"):
        await hold(setup, "add", "a/" * 2100)


async def test_links_in_a_circle_are_refused(world: World, setup: Setup) -> None:
    """What cannot be followed is refused with the reason."""
    (world.workspace / "loop").symlink_to("loop")
    with pytest.raises(Denied, match="cannot be looked at"):
        await hold(setup, "add", "loop/x")


async def test_a_mapping_that_ends_at_a_file_or_a_link_is_no_way_out(
    world: World, setup: Setup
) -> None:
    """A directory that was mapped and is none any more is not named by its place on the host."""
    (world.root / "data").rmdir()
    (world.root / "data").symlink_to("/etc")
    with pytest.raises(Denied, match='"/data/passwd" leads out'):
        await hold(setup, "add", "/data/passwd")


async def test_in_an_empty_directory_only_mapped_paths_are_there(
    world: World, setup: Setup
) -> None:
    """A command that needs no workspace can still be given a path of one."""
    moved = await hold(setup, "add", "/workspace/x", "y", cwd="/tmp")
    assert moved == ["add", f"{world.workspace}/x", "y"]
    for path in ("/tmp/x", "../x"):
        with pytest.raises(Denied, match="leads out"):
            await hold(setup, "add", path, cwd="/tmp")


async def test_a_process_of_the_host_means_the_same_paths(world: World) -> None:
    """Where nothing is mapped an absolute path stays as it is, and must lie in the directory."""
    world.write_profile()
    setup = world.load()
    stranger = start_stranger(world.workspace)
    try:
        peer = Peer(pid=stranger, uid=os.geteuid(), kind="local")
        args = ["add", f"{world.workspace}/x"]
        assert await hold(setup, *args, cwd=None, peer=peer) == args
        for path in (f"{world.root}/x", "..", "/"):
            with pytest.raises(Denied, match="leads out"):
                await hold(setup, "add", path, cwd=None, peer=peer)
    finally:
        os.kill(stranger, 9)


async def test_many_paths_are_held(setup: Setup, world: World) -> None:
    """Each of a thousand paths is checked, and the last one counts as much as the first."""
    names = [f"/workspace/sub/{number}" for number in range(1000)]
    held = await hold(setup, "add", *names)
    assert held[-1] == f"{world.workspace}/sub/999"
    with pytest.raises(Denied, match="/etc/passwd"):
        await hold(setup, "add", *names, "/etc/passwd")


async def test_nothing_is_left_open(setup: Setup) -> None:
    """Whether the paths are held or refused, every descriptor is given back."""
    before = sorted(os.listdir("/proc/self/fd"))
    await hold(setup, "add", "/data/x", "sub")
    with pytest.raises(Denied):
        await hold(setup, "add", "/data/x", "sub", "/etc")
    assert sorted(os.listdir("/proc/self/fd")) == before


async def test_what_has_to_be_waited_for_is_looked_at_in_a_thread(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container may hold the lock of a directory: the event loop takes no name but at once."""
    real = beneath._open

    def open_or_wait(part: str, directory: int, *, at_once: bool) -> int | str | None:
        if threading.current_thread() is threading.main_thread():
            assert at_once
            raise BlockingIOError
        return real(part, directory, at_once=at_once)

    monkeypatch.setattr(beneath, "_open", open_or_wait)
    for path in ("inner", "/workspace/sub/inner"):
        args = ("add", path)
        held = await hold(setup, *args, cwd="/workspace/sub")
        assert held[0] == "add"
        assert held[1].endswith("inner")


async def test_a_directory_in_which_something_is_hidden_is_none_for_a_path(world: World) -> None:
    """A tool on the host would see what the client does not."""
    (world.root / "data").mkdir()
    world.write_profile(
        f'[workspace]\nmounts = {{ "/workspace" = "{world.workspace}", '
        f'"/data" = "{world.root}/data" }}\nhide = ["/data/secret"]\n'
    )
    with pytest.raises(Denied) as caught:
        await hold(world.load(), "add", "/data/x")
    assert caught.value.rule == "inner-mount"
