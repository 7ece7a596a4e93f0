"""Tests of `airlock_daemon.setup.workspaces`: what is a workspace, and who could replace it."""

import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from airlock_daemon.admin.cli.new_agent import plan_trust
from airlock_daemon.platform.linux.mountinfo import MountRow, MountTable
from airlock_daemon.setup import workspaces as judging
from airlock_daemon.setup.generation import Setup
from airlock_daemon.setup.workspaces import Entry, Workspaces
from worlds import World

LINES = {
    "mounts": '[workspace]\nmounts = {{ "/workspace" = "{}" }}\n',
    "same_path": '[workspace]\nsame_path = ["{}"]\n',
}


def write(world: World, path: Path | str, *, agent: str = "my", key: str = "same_path") -> None:
    """Have the profile of an agent map one directory."""
    profile = world.agent.with_name(agent) / "airlock.toml"
    profile.write_text(f"commands = []\n{LINES[key].format(path)}")


def add(world: World, name: str, path: Path) -> None:
    """Register another agent that works in a directory."""
    world.add_agent(name)
    write(world, path, agent=name)


def faults(setup: Setup, name: str = "my") -> list[str]:
    """What keeps an agent from being served."""
    return [str(fault) for fault in setup.unserved[name].faults]


@pytest.mark.parametrize("key", LINES)
@pytest.mark.parametrize("linked", ["link", "link/inner", "real/inner/end"])
def test_a_link_in_a_path_is_a_fault_that_names_the_real_path(
    world: World, key: str, linked: str
) -> None:
    """It is never followed, wherever in the path it is."""
    real = world.root / "real" / "inner"
    real.mkdir(parents=True)
    (world.root / "link").symlink_to("real")
    (real / "end").symlink_to(real)
    write(world, world.root / linked, key=key)
    setup = world.load()
    assert not setup.generations
    (fault,) = faults(setup)
    assert f"[workspace] {key}: " in fault
    assert "is a symbolic link" in fault
    assert fault.endswith(f"write the real path: {os.path.realpath(world.root / linked)}")


def test_the_real_path_that_is_named_is_good(world: World) -> None:
    """Its identity is that of the directory."""
    write(world, world.workspace)
    (mount,) = world.load().generations["my"].agent.profile.same_path
    info = world.workspace.stat()
    assert mount.identity == (info.st_dev, info.st_ino)


@pytest.mark.parametrize("key", LINES)
def test_the_agent_of_an_inner_workspace_is_not_served(world: World, key: str) -> None:
    """The message names both agents, both paths and the way out; the outer one is served."""
    inner = world.workspace / "deep" / "app"
    inner.mkdir(parents=True)
    write(world, inner, key=key)
    add(world, "mono", world.workspace)
    setup = world.load()
    assert list(setup.generations) == ["mono"]
    (fault,) = faults(setup)
    assert f"{inner} of agent my lies inside {world.workspace} of agent mono" in fault
    assert fault.endswith("airlock agent remove my")


def test_an_agent_cannot_replace_its_own_workspace_either(world: World) -> None:
    """Both of its workspaces are its container's to write."""
    inner = world.workspace / "app"
    inner.mkdir()
    write(world, f'{inner}", "{world.workspace}')
    (fault,) = faults(world.load())
    assert f"lies inside {world.workspace} of the same agent" in fault


def test_two_agents_may_share_a_directory(world: World) -> None:
    """And names that only begin alike do not lie in each other."""
    beside = world.workspace.with_name("workspace-2")
    beside.mkdir()
    write(world, world.workspace)
    add(world, "same", world.workspace)
    add(world, "beside", beside)
    assert set(world.load().generations) == {"my", "same", "beside"}


def test_what_an_inner_link_leads_to_is_not_proposed(world: World) -> None:
    """Another agent may have put it there, to have a person write down what it wants."""
    secret = world.root / "secret"
    secret.mkdir()
    (world.workspace / "app").symlink_to(secret)
    write(world, world.workspace / "app")
    add(world, "mono", world.workspace)
    (fault,) = faults(world.load())
    assert "lies inside" in fault
    assert str(secret) not in fault


def test_two_slashes_at_its_start_do_not_hide_where_a_workspace_lies(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """POSIX leaves open what they mean; Linux and macOS take them for one."""
    rows = MountTable((row(1, "/"), row(2, str(world.root), device="8:2")))
    monkeypatch.setattr(judging, "read_own_mounts", lambda: rows)
    inner = world.workspace / "app"
    inner.mkdir()
    write(world, f"/{inner}", key="mounts")
    add(world, "mono", world.workspace)
    (fault,) = faults(world.load())
    assert f"lies inside {world.workspace}" in fault


def test_an_unserved_agent_counts_as_one_that_can_write(world: World) -> None:
    """Its containers may run all the same."""
    inner = world.workspace / "app"
    inner.mkdir()
    write(world, inner)
    world.add_agent("mono")
    (world.agent.with_name("mono") / "airlock.toml").write_text(
        f'commands = []\n[workspace]\nsame_path = ["{world.workspace}", "/nowhere"]\n'
    )
    assert set(world.load().unserved) == {"my", "mono"}


def row(number: int, point: str, *, device: str = "8:1", root: str = "/") -> MountRow:
    return MountRow(number, device, root, point, read_only=False, kind="ext4")


def judge(world: World, path: str, rows: list[MountRow], *, in_container: bool = False) -> str:
    """What is said of a path beside the world's agents, with these mounts."""
    agents = world.load().agents
    workspaces = Workspaces(agents, mounts=MountTable(rows), in_container=in_container)
    entry = Entry(agent="new", path=path, source="p", key="workspace.same_path")
    return "\n".join(map(str, workspaces.find_faults(entry)))


def test_a_bind_mount_does_not_hide_that_a_workspace_is_inside_another(world: World) -> None:
    """By its own path nobody sees it. What is mounted anew, at boot, is what the agent chose."""
    write(world, world.workspace)
    rows = [row(1, "/"), row(2, "/bound", root=f"{world.workspace}/sub")]
    for path in ("/bound", "/bound/app"):
        assert f"lies inside {world.workspace}" in judge(world, path, rows)
        assert not judge(world, path, [row(1, "/")])
        assert not judge(world, path, [row(1, "/"), row(2, "/bound", device="8:2")])
    # The same directory may be shared, whatever it is called.
    assert not judge(world, "/bound", [row(1, "/"), row(2, "/bound", root=str(world.workspace))])


@pytest.mark.parametrize("inner", ["/bound", "/bound/app"])
def test_a_bind_mount_does_not_hide_a_workspace_that_another_contains(
    world: World, inner: str
) -> None:
    """The other way round: what is mounted there is inside of what is to be a workspace."""
    write(world, inner)
    rows = [row(1, "/"), row(2, "/bound", root="/src/mono/sub")]
    workspaces = Workspaces(world.load().agents, mounts=MountTable(rows), in_container=False)
    for path in ("/src", "/src/mono"):
        found = workspaces.find_inner(path)
        assert found is not None
        assert (found.agent, found.path) == ("my", inner)
    for path in ("/src/mono/sub/app/deep", "/src/monos", "/other"):
        assert workspaces.find_inner(path) is None


def make_home(world: World, agent: str = "my") -> Path:
    """The home of an agent's containers, as `run` makes it."""
    home = Path(world.locations.containers_dir) / "homes" / agent
    home.mkdir(parents=True)
    return home


@pytest.mark.parametrize("key", LINES)
@pytest.mark.parametrize("owner", ["my", "other", "removed"])
def test_a_workspace_in_a_home_is_a_fault(world: World, key: str, owner: str) -> None:
    """Its agent could put a link to anything in its place, whether it is registered or not."""
    world.add_agent("other")
    repository = make_home(world, owner) / "r" / "project.git"
    repository.mkdir(parents=True)
    write(world, repository, key=key)
    setup = world.load()
    assert list(setup.generations) == ["other"]
    (fault,) = faults(setup)
    whose = "the same agent" if owner == "my" else f"agent {owner}"
    above = repository.parent.parent
    assert f"{repository} of agent my lies inside {above}, the home of {whose}" in fault
    assert fault.endswith("name a directory outside of the homes of containers")


@pytest.mark.parametrize("place", ["homes/my", "homes", ""])
def test_a_home_and_what_contains_it_is_a_fault(world: World, place: str) -> None:
    """It lies in the files of containers, which nothing else may write."""
    containers = make_home(world).parent.parent
    write(world, containers / place)
    (fault,) = faults(world.load())
    assert f"{containers / place} cannot be a workspace: it lies in the configuration" in fault


@pytest.mark.parametrize(
    ("root", "path", "said"),
    [
        ("homes/my", "/bound/r", "lies inside {}, the home of agent my"),
        ("homes/my/r", "/bound", "lies inside {}, the home of agent my"),
        ("homes", "/bound/my/r", "lies inside {}, the home of agent my"),
    ],
)
def test_a_bind_mount_does_not_hide_a_home(world: World, root: str, path: str, said: str) -> None:
    """A path outside of Airlock's files may lead into a home."""
    home = make_home(world)
    rows = [row(1, "/"), row(2, "/bound", root=str(home.parent.parent / root))]
    homes = {"my": str(home)}
    workspaces = Workspaces((), mounts=MountTable(rows), in_container=False, homes=homes)
    entry = Entry(agent="new", path=path, source="p", key="k")
    (fault,) = workspaces.find_faults(entry)
    assert said.format(home) in fault.problem


@pytest.mark.parametrize(("root", "path"), [("homes/my", "/bound"), ("homes", "/bound"), ("", "/")])
def test_a_bind_mount_of_a_home_or_around_it_is_found(world: World, root: str, path: str) -> None:
    """Whatever its own path is."""
    home = make_home(world)
    rows = [row(1, "/"), row(2, "/bound", root=str(home.parent.parent / root))]
    workspaces = Workspaces(
        (), mounts=MountTable(rows), in_container=False, homes={"my": str(home)}
    )
    found = workspaces.find_inner(path)
    assert found is not None
    assert (found.path, found.what) == (str(home), "the home of agent my")
    assert workspaces.find_inner("/bound/other") is None


def test_below_a_volume_of_a_container_nothing_is_a_workspace(world: World) -> None:
    """Whoever else mounts the volume could replace it; on a host a file system is no volume."""
    rows = [row(1, "/"), row(2, "/volume", device="8:2")]
    said = judge(world, "/volume/app", rows, in_container=True)
    assert "/volume/app lies below the volume /volume of this container" in said
    assert said.endswith("or name /volume")
    assert not judge(world, "/volume", rows, in_container=True)
    assert not judge(world, "/srv/app", rows, in_container=True)
    assert not judge(world, "/volume/app", rows)


@pytest.mark.parametrize("root", ["homes/my", "homes", ""])
def test_a_workspace_that_shows_a_home_is_a_fault(
    world: World, monkeypatch: pytest.MonkeyPatch, root: str
) -> None:
    """By a bind mount at a path outside of Airlock's files."""
    home = make_home(world)
    bound = row(2, str(world.workspace), root=str(home.parent.parent / root).rstrip("/"))
    write(world, world.workspace)
    assert "my" in world.load().generations
    monkeypatch.setattr(judging, "read_own_mounts", lambda: MountTable((row(1, "/"), bound)))
    (fault,) = faults(world.load())
    said = f"{world.workspace} cannot be a workspace: it contains the home of agent my ({home})"
    assert said in fault


def test_a_replaced_directory_is_a_fault_that_names_both(world: World) -> None:
    """Whatever the path says. The old one is good again where it is put back."""
    write(world, world.workspace)
    before = world.load()
    old = world.workspace.stat().st_ino
    world.workspace.rename(world.root / "old")
    world.workspace.mkdir()
    new = world.workspace.stat().st_ino
    after = world.load_again(before)
    (fault,) = faults(after)
    assert f"another directory: inode {new} on device" in fault
    assert f"it was inode {old} on device" in fault
    assert fault.endswith("airlock agent trust my")
    world.workspace.rmdir()
    (world.root / "old").rename(world.workspace)
    assert "my" in world.load_again(after).generations


def test_a_person_can_trust_the_new_directory(world: World) -> None:
    """Exactly what was shown is noted; undone, the old one counts again."""
    write(world, world.workspace)
    before = world.load()
    world.workspace.rename(world.root / "old")
    world.workspace.mkdir()
    after = world.load_again(before)
    agent = after.unserved["my"].agent
    plan = plan_trust(agent, after.state, after.noted[agent.directory])
    (line,) = plan.describe()
    assert line.startswith(f"{world.workspace}: inode {world.workspace.stat().st_ino} on device")
    assert f"it was inode {(world.root / 'old').stat().st_ino} on device" in line
    with ExitStack() as undo:
        plan.apply(undo)
        assert "my" in world.load_again(before).generations
    assert "my" in world.load_again(before).unserved
