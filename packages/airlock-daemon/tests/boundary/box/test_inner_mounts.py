"""What a container has mounted inside of its workspace, as a real box then has it."""

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airlock_daemon.errors import AirlockError, Denied
from boxing import CLOSED, box_identity, boxed_world, needs_bubblewrap, open_world, write_boxes
from container_hosts import Host, new_host
from running import Daemon
from worlds import World

pytestmark = needs_bubblewrap

SECRET = "canary-90ab"


@pytest.fixture
def host(world: World) -> Iterator[Host]:
    """A host whose directories everybody may enter."""
    with new_host(world) as host:
        yield host


def test_what_is_mounted_inside_is_there_with_its_flags(host: Host) -> None:
    """Directories and files of the host, nested ones too, writable or not."""
    for name in ("lib", "lib-of-container/deeper", "docs"):
        host.make(f"workspace/{name}", SECRET)
    (host.workspace / "lock").write_text(SECRET)
    host.make("lib/deeper", SECRET)
    host.mount(host.make("lib", "lib"), "/workspace/lib")
    host.mount(host.make("deeper", "deeper"), "/workspace/lib/deeper")
    host.mount(host.workspace / "docs", "/workspace/docs", read_only=True)
    host.mount(host.make("pinned", "pinned") / "file", "/workspace/lock", read_only=True)
    said = host.run(
        "cat lib/file lib/deeper/file lock; echo a > lib/new; echo b > lib/deeper/new;"
        "for each in docs/new lock docs/file; do (echo x > $each) 2>/dev/null || echo kept; done"
    )
    assert said == "lib\ndeeper\npinned\nkept\nkept\nkept\n"
    assert (host.root / "lib" / "new").read_text() == "a\n"
    assert (host.root / "deeper" / "new").read_text() == "b\n"


def test_masks_are_masks_and_what_cannot_be_shown_is_covered(host: Host) -> None:
    """Of what lies below them on the host nothing is seen, and nothing can be put there."""
    for name in ("memory", "frozen", "volume", "private", "proc"):
        host.make(f"workspace/{name}", SECRET)
    (host.workspace / ".env").write_text(SECRET)
    host.add("devtmpfs", "/workspace/.env", root="/null")
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(str(host.root / "engine"))
    (host.workspace / "engine").write_text(SECRET)
    host.mount(host.root / "engine", "/workspace/engine")
    host.add("tmpfs", "/workspace/memory")
    host.add("tmpfs", "/workspace/frozen", read_only=True)
    host.add("ext4", "/workspace/volume", root="/volumes/x/_data")
    host.add("proc", "/workspace/proc")
    private = host.make("secret/private", SECRET)
    (host.root / "secret").chmod(0o700)
    if box_identity().user != os.geteuid():
        host.mount(private, "/workspace/private")
    else:
        host.add("ext4", "/workspace/private")
    said = host.run(
        "grep -rs canary . ; cat .env engine; ls -A memory frozen volume private proc;"
        "for each in frozen volume private proc; do"
        " (echo x > $each/x) 2>/dev/null || echo kept; done;"
        "echo y > memory/y; cat memory/y"
    )
    assert said == ("frozen:\n\nmemory:\n\nprivate:\n\nproc:\n\nvolume:\n" + "kept\n" * 4 + "y\n")
    assert not (host.workspace / "memory" / "y").exists()


@pytest.mark.parametrize("kind", ["mask", "memory", "read-only", "unknown"])
def test_what_protects_and_could_be_moved_away_is_refused(host: Host, kind: str) -> None:
    """The container renames `above`, and the box would show what lies below."""
    host.make("workspace/above/deep", SECRET)
    target = "/workspace/above/deep"
    if kind == "mask":
        host.add("devtmpfs", f"{target}/file", root="/null")
    elif kind == "memory":
        host.add("tmpfs", target)
    elif kind == "read-only":
        host.mount(host.make("docs"), target, read_only=True)
    else:
        host.add("ext4", target, root="/x")
    with pytest.raises(Denied) as caught:
        host.run("cat above/deep/file")
    assert (caught.value.layer, caught.value.rule) == ("sandbox", "inner-mount")


def test_below_what_is_read_only_nothing_can_be_moved(host: Host) -> None:
    """So a mask there is as good as one at the top."""
    host.make("workspace/docs/deep", SECRET)
    host.mount(host.workspace / "docs", "/workspace/docs", read_only=True)
    host.add("devtmpfs", "/workspace/docs/deep/file", root="/null")
    assert host.run("cat docs/deep/file; echo end") == "end\n"
    # Unless there is another way to it.
    host.mount(host.workspace / "docs", "/other")
    with pytest.raises(Denied, match="can be moved away"):
        host.run("cat docs/deep/file")


def test_a_directory_that_could_be_replaced_through_another_mount_is_refused(host: Host) -> None:
    """The container renames it there, and puts another one, or a link, in its place."""
    host.mount(host.make("src/lib", SECRET), "/workspace/lib")
    host.make("workspace/lib")
    host.mount(host.root / "src", "/src", read_only=True)
    assert host.run("cat lib/file") == f"{SECRET}\n"
    host.mount(host.root / "src", "/other")
    with pytest.raises(Denied, match="/other"):
        host.run("cat lib/file")


def test_a_whole_workspace_is_held_to_the_same(host: Host) -> None:
    """Read-only in the container it is so in the box, and none that another mount has in it."""
    host.rows.clear()
    host.mount(host.workspace, "/workspace", read_only=True)
    assert host.run("(echo x > new) 2>/dev/null || echo kept") == "kept\n"
    host.mount(host.root, "/all")
    with pytest.raises(Denied, match="/all"):
        host.run("true")


def test_what_the_profile_has_read_only_is_so_with_what_is_mounted_inside(world: World) -> None:
    """Though the container may write there."""
    world.write_profile("[workspace]\nread_only = true\n")
    with new_host(world) as host:
        host.make("workspace/lib")
        host.mount(host.make("lib"), "/workspace/lib")
        assert host.run("(echo x > lib/new) 2>/dev/null || echo kept") == "kept\n"


@pytest.mark.parametrize("world_profile", ["read_only = true\n", "hide = {hidden}\n"])
def test_the_profile_hides_and_protects_where_the_container_does_not(
    world: World, world_profile: str
) -> None:
    """What is not in a box is refused for it; the container's own view does not change."""
    hidden = "['/workspace/.env', '/workspace/keys', '/workspace/absent']"
    world.write_profile(f"[workspace]\n{world_profile.format(hidden=hidden)}")
    with new_host(world) as host:
        host.make("workspace/keys", SECRET)
        (host.workspace / ".env").write_text(SECRET)
        said = host.run("cat .env; ls keys; (echo x > new) 2>/dev/null || echo kept")
    assert said == (f"{SECRET}file\nkept\n" if "read_only" in world_profile else "")


def test_what_the_profile_hides_and_could_be_moved_away_is_refused(world: World) -> None:
    """As a mask of the container's own would be; read_only of the profile changes nothing."""
    world.write_profile("[workspace]\nread_only = true\nhide = ['/workspace/above/.env']\n")
    with new_host(world) as host:
        host.make("workspace/above")
        (host.workspace / "above" / ".env").write_text(SECRET)
        with pytest.raises(Denied, match="can be moved away"):
            host.run("cat above/.env")
        # As the container does, which may have the mask move along with it.
        (host.workspace / "above").rename(host.workspace / "moved")
        with pytest.raises(Denied, match="can be moved away"):
            host.run("cat moved/.env")


def test_from_inside_of_a_mount_the_whole_workspace_is_there(host: Host) -> None:
    """A command in a mounted directory can use what lies beside it, as in the container."""
    host.make("workspace/lib")
    host.make("workspace/beside", "beside")
    host.mount(host.make("lib/below", "below").parent, "/workspace/lib")
    said = host.run("pwd; cat file ../../beside/file", claimed="/workspace/lib/below")
    assert said == "/workspace/lib/below\nbelow\nbeside\n"


def test_a_link_in_the_place_of_the_whole_shows_nothing_of_where_it_leads(host: Host) -> None:
    """Who can write above a workspace could put one there; from a mount inside it is not opened."""
    host.make("workspace/lib")
    host.mount(host.make("lib", "lib"), "/workspace/lib")
    host.make("private/lib")
    host.make("private", SECRET)
    host.workspace.rename(host.root / "moved")
    host.workspace.symlink_to("private")
    assert host.run("cat file; grep -rs canary ..; true", claimed="/workspace/lib") == "lib\n"


def make_link(place: Path, target: str) -> None:
    place.rmdir()
    place.symlink_to(target)


@pytest.mark.parametrize(
    "change",
    [
        lambda place: make_link(place, "/usr/lib"),
        lambda place: make_link(place, "/oldroot/tmp"),
        lambda place: make_link(place, "."),
        lambda place: make_link(place, "/proc/1/root"),
        lambda place: place.rmdir(),
        lambda place: (place.rmdir(), place.write_text("")),
    ],
    ids=["system", "outside", "inside", "magic", "gone", "file"],
)
def test_a_mount_point_that_is_another_thing_ends_the_box(
    host: Host, change: Callable[[Path], object]
) -> None:
    """No link is followed to where the mount would then be; the tool is not started."""
    place = host.make("workspace/lib")
    host.mount(host.make("lib", "lib"), "/workspace/lib")
    change(place)
    with pytest.raises(AirlockError):
        host.run("echo started > /workspace/started")
    assert not (host.workspace / "started").exists()


OTHERS_SECRET = "canary-5b21"


@pytest.fixture
def mapped() -> Iterator[World]:
    """An agent whose `sh` runs in closed boxes, and a secret that everybody could read."""
    with open_world() as world:
        write_boxes(world)
        world.write_module("sh", "/bin/sh", CLOSED)
        for name in ("data", "private"):
            (world.root / name).mkdir()
            (world.root / name).chmod(0o777)
        (world.root / "data" / "file").write_text("data\n")
        (world.root / "private" / "file").write_text(f"{OTHERS_SECRET}\n")
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


def test_a_second_directory_is_there_and_can_be_written(mapped: World) -> None:
    """From the first one, and from / and /tmp of the container."""
    assert see(mapped, "cat /data/file; echo new > /data/new; pwd") == "data\n/workspace\n"
    assert (mapped.root / "data" / "new").read_text() == "new\n"
    for cwd, own in (("/", "/"), ("/tmp", "/no-workspace")):
        assert see(mapped, "pwd; ls /workspace; cat /data/new", cwd=cwd) == f"{own}\nnew\n"


def test_what_the_profile_says_of_workspaces_holds_for_each(mapped: World) -> None:
    """A second one is read-only with the first, and none if it is hidden, by a part or whole."""
    map_both(mapped, more="read_only = true\n")
    assert "Read-only file system" in see(mapped, "echo no > /data/file")
    map_both(mapped, more='hide = ["/data/file"]\n')
    assert see(mapped, "cat /data/file") == ""
    map_both(mapped, more='hide = ["/data"]\n')
    assert "No such file" in see(mapped, "ls /data")
    map_both(mapped, data="/srv/data", more='hide = ["/srv"]\n')
    assert "No such file" in see(mapped, "ls /srv")


@pytest.mark.parametrize("data", ["/usr/local/data", "/etc/data", "/run/airlock", "/workspace/in"])
def test_one_at_a_place_of_the_boxs_own_or_inside_is_left_out(mapped: World, data: str) -> None:
    """What runs in the other one goes on doing so."""
    map_both(mapped, data=data)
    assert "No such file" in see(mapped, f"cat {data}/file")


def test_a_link_in_its_place_shows_nothing_of_the_host(mapped: World) -> None:
    """Who can write above a directory could put one there, before or after a daemon has started."""
    data, moved = mapped.root / "data", mapped.root / "moved"
    with Daemon(mapped) as daemon:
        for place in (mapped.root / "private", Path("/"), mapped.config):
            data.rename(moved)
            data.symlink_to(place)
            found = daemon.shell("ls /data; cat /data/file", cwd="/workspace")
            assert OTHERS_SECRET not in found.text()
            assert "config.toml" not in found.text()
            assert "No such file" in found.text("stderr")
            data.unlink()
            moved.rename(data)
        assert daemon.shell("cat /data/file", cwd="/workspace").text() == "data\n"


def test_one_that_the_user_of_boxes_cannot_enter_is_left_out(mapped: World) -> None:
    """As it would be on the host; the daemon, which could, does not lend its rights."""
    if os.geteuid() != 0:
        pytest.skip("only root has boxes of another user")
    hall = mapped.root / "hall"
    hall.mkdir(mode=0o700)
    (mapped.root / "data").rename(hall / "data")
    mounts = f'"/data" = "{hall}/data", "/workspace" = "{mapped.workspace}"'
    mapped.write_profile(f"[workspace]\nmounts = {{ {mounts} }}\n")
    assert "No such file" in see(mapped, "cat /data/file")


MAPPED = '[workspace]\nmounts = {{ "/workspace" = "{workspace}", "/data" = "{data}" }}\n'
LOOK = """
for name in file link other up/file here /data/link /tmp/own; do
  cat $name >/dev/null 2>&1 && echo "$name is read"
done
readlink link
"""


@pytest.fixture
def written() -> Iterator[World]:
    """A world whose client has written links, also into another directory."""
    with boxed_world("links = false\n") as world:
        data = world.root / "data"
        data.mkdir()
        data.chmod(0o755)
        for folder in (world.workspace, data):
            (folder / "file").write_text("written by the client\n")
            (folder / "link").symlink_to("/etc/passwd")
        (world.workspace / "other").symlink_to("file")
        (world.workspace / "up").symlink_to("../workspace")
        (world.workspace / "here").symlink_to("/proc/self/environ")
        world.write_profile(MAPPED.format(workspace=world.workspace, data=data))
        yield world


def look(world: World) -> list[str]:
    """What a command in a box reads, with a link of the box's own."""
    with Daemon(world) as daemon:
        script = f"ln -s /etc/passwd /tmp/own; {LOOK}"
        return daemon.shell(script, cwd="/workspace").text().splitlines()


@needs_bubblewrap
def test_no_link_of_the_workspace_is_followed(written: World) -> None:
    """Neither to the box's own places nor within the workspace; that it is there can be seen."""
    assert look(written) == ["file is read", "/tmp/own is read", "/etc/passwd"]


@needs_bubblewrap
def test_links_are_followed_where_the_module_does_not_say_so(written: World) -> None:
    """As everywhere else."""
    module = written.agent / "commands" / "sh.toml"
    module.write_text(module.read_text().replace("links = false\n", ""))
    names = ("file", "link", "other", "up/file", "here", "/data/link", "/tmp/own")
    assert look(written) == [*(f"{name} is read" for name in names), "/etc/passwd"]


def test_behind_landlock_such_a_command_is_refused(written: World) -> None:
    """It has no mounts of its own there."""
    config = written.config / "config.toml"
    config.write_text(config.read_text().replace('mode = "auto"', 'mode = "landlock"'))
    written.write_profile(
        f'[workspace]\nmounts = {{ "{written.workspace}" = "{written.workspace}" }}\n'
    )
    with Daemon(written) as daemon:
        answer = daemon.shell("true", cwd=str(written.workspace))
    assert answer.error is not None
    assert "links = false" in answer.error["message"]
