"""The home that boxes of one module keep for one agent: what stays, who has it, how large it is."""

import os
import shutil
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio
import trio.testing
from msgspec.structs import replace

from airlock_daemon.boundary.box import kept_home
from airlock_daemon.boundary.box.box import HOME, Box, Folder, Made, Shared
from airlock_daemon.boundary.box.kept_home import HomeInUse, keep_home
from airlock_daemon.boundary.box.plan import plan_box
from airlock_daemon.boundary.command import Identity
from airlock_daemon.boundary.workspace.temporary import remove_tree
from airlock_daemon.errors import Denied
from airlock_daemon.setup.limits import Limits
from boxing import CLOSED, box_identity, boxed_world, needs_bubblewrap
from running import Answer, Daemon, connect_to, read_answer, read_until, request
from worlds import World

pytestmark = needs_bubblewrap

KEPT = 'home = "kept"\n'
LIMITS = "[limits]\nbox_tmpfs_mb = 4\n"


@pytest.fixture
def world() -> Iterator[World]:
    """A world whose command `sh` keeps its home; it may have 16 MiB."""
    with boxed_world(KEPT) as world:
        world.write_profile(
            f'[workspace]\nmounts = {{ "/workspace" = "{world.workspace}" }}\n{LIMITS}'
        )
        yield world


def run(daemon: Daemon, script: str) -> Answer:
    """Run a script in the workspace."""
    return daemon.shell(script, cwd="/workspace")


def homes(world: World) -> Path:
    """The directory of the homes of the agent."""
    return Path(world.load().state.homes("my"))


def test_what_a_tool_writes_to_its_home_is_there_for_the_next_command(world: World) -> None:
    """And nothing is said of a loss; it is a mount without devices and without setuid."""
    with Daemon(world) as daemon:
        said = run(daemon, "mkdir -p ~/.cache/x && echo 1 > ~/.cache/x/y; touch ~/visible; pwd")
        assert (said.text(), said.text("stderr")) == ("/workspace\n", "")
        assert run(daemon, "cat ~/.cache/x/y; ls ~").text() == "1\nvisible\n"
        (row,) = run(daemon, "grep ' /home/airlock ' /proc/self/mountinfo").text().splitlines()
        assert {"nosuid", "nodev", "rw"} <= set(row.split()[5].split(","))
    assert stat.S_IMODE((homes(world) / "sh").stat().st_mode) == 0o700


def test_another_module_and_another_agent_have_a_home_of_their_own(world: World) -> None:
    """Whatever they are called, and however often they ask."""
    world.add_agent("other")
    with Daemon(world) as daemon:
        run(daemon, "echo mine > ~/mark")
        script = "import os; print(os.listdir(os.environ['HOME']))"
        assert daemon.ask("git", "-c", script, cwd="/workspace").text() == "[]\n"
        with connect_to(str(world.socket).replace("/my/", "/other/")) as connection:
            connection.sendall(request("sh", "-c", "ls -A ~; echo end", cwd="/workspace"))
            assert read_answer(connection).text() == "end\n"
        # A name of the module cannot lead to another's home.
        assert run(daemon, "ls ~/../other ~/../../homes 2>/dev/null; cat ~/mark").text() == "mine\n"


def test_a_home_that_was_removed_is_a_new_one_though_a_box_waits_with_the_old(world: World) -> None:
    """A person may remove it at any time."""
    with Daemon(world) as daemon:
        run(daemon, "echo old > ~/mark")
        for _ in range(3):
            shutil.rmtree(homes(world) / "sh")
            assert run(daemon, "ls -A ~; echo new > ~/mark; echo end").text() == "end\n"
            assert (homes(world) / "sh/mark").read_text() == "new\n"


FILL = "for i in 1 2 3 4 5 6; do head -c 4000000 /dev/urandom > ~/f$i; done; echo up; sleep 600"


@pytest.mark.parametrize("script", [FILL, FILL.replace("echo", "chmod 0 ~; echo")])
def test_a_command_that_fills_its_home_is_ended_and_the_home_emptied(
    world: World, script: str
) -> None:
    """Also another one that was using it; and one that has ended before has its home emptied."""
    with Daemon(world) as daemon:
        run(daemon, "echo > ~/mark")
        with daemon.connect() as beside, daemon.connect() as filling:
            beside.sendall(request("sh", "-c", "echo up; sleep 600", cwd="/workspace"))
            read_until(beside, "up")
            filling.sendall(request("sh", "-c", script, cwd="/workspace"))
            answer = read_answer(filling)
            assert answer.exit_code == 128 + 9
            assert "the home of this command was removed: it keeps 16 MiB" in answer.text("stderr")
            assert read_answer(beside).exit_code == 128 + 9
        assert list(homes(world).glob("[!.]*")) in ([], [homes(world) / "sh"])
        assert run(daemon, "ls -A ~; echo end").text() == "end\n"


def test_a_home_is_bounded_also_where_the_client_has_hung_up(world: World) -> None:
    """Else an agent could have many commands fill it, each for less than until it is measured."""
    with Daemon(world) as daemon, daemon.connect() as client:
        client.sendall(request("sh", "-c", FILL, cwd="/workspace"))
        read_until(client, "up")
        client.close()
        assert daemon.stop() == 0
    assert os.listdir(homes(world)) == []


def spread(home: Path) -> None:
    """Make a few files."""
    for number in range(5):
        (home / str(number)).touch()


def dig(home: Path) -> None:
    """Make directories deeper than a path can say."""
    here = os.open(home, os.O_PATH)
    for _ in range(50):
        os.mkdir("d" * 100, dir_fd=here)
        here = os.open("d" * 100, os.O_PATH, dir_fd=here)


def link(home: Path) -> None:
    """Make a link to what is larger, and a name more of a file."""
    (home / "outside").symlink_to("/usr")
    (home / "file").write_bytes(bytes(3 << 20))
    (home / "again").hardlink_to(home / "file")


@pytest.mark.parametrize(
    ("fill", "is_ended"),
    [(spread, True), (dig, True), (link, False), (shutil.rmtree, True)],
)
async def test_what_is_measured_of_a_home(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fill: Callable[[Path], object],
    *,
    is_ended: bool,
) -> None:
    """More files than it may have, what cannot be looked at, and another home, end a command."""
    monkeypatch.setattr(kept_home, "MAX_FILES", 4)
    monkeypatch.setattr(kept_home, "_PAUSE_S", 0.0)
    home = tmp_path / "home"
    home.mkdir()
    found = home.stat()
    file_id = (found.st_dev, found.st_ino)
    shared = Shared(str(home), HOME, file_id, read_only=False, is_kept=True)
    due: dict[str, float] = {}
    ended = trio.Event()
    limits, limiter = Limits(box_tmpfs_mb=1), trio.CapacityLimiter(1)
    used = HomeInUse(shared, limits, due=due, limiter=limiter, end=ended.set)
    fill(home)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(used.serve, nursery)
        while not (ended.is_set() or due):
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    due.clear()
    is_there = home.exists()
    assert (await used.settle() is not None) is is_ended
    assert home.exists() is not is_ended
    # What the tool has left could make files for as long as others are removed.
    put_away = [each for each in tmp_path.iterdir() if each != home]
    assert len(put_away) == (is_ended and is_there)
    await used.clean_up()
    assert [*tmp_path.iterdir()] == ([] if is_ended else [home])


@pytest.mark.parametrize("is_measured", [False, True])
async def test_a_home_goes_though_a_client_hangs_up_before_it_is_put_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_measured: bool
) -> None:
    """As while all threads for homes are busy."""

    async def measure(*_: object) -> tuple[bool, float]:
        await trio.lowlevel.checkpoint()
        return False, 0.0

    if is_measured:
        monkeypatch.setattr(kept_home, "look_in_thread", measure)
    monkeypatch.setattr(kept_home, "MAX_FILES", 0)
    home = tmp_path / "home"
    (home / "directory").mkdir(parents=True)
    found = home.stat()
    file_id = (found.st_dev, found.st_ino)
    shared = Shared(str(home), HOME, file_id, read_only=False, is_kept=True)
    limiter = trio.CapacityLimiter(1)
    used = HomeInUse(shared, Limits(), due={}, limiter=limiter, end=lambda: None)
    limiter.acquire_on_behalf_of_nowait("others")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(used.settle)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    limiter.release_on_behalf_of("others")
    await used.clean_up()
    assert [*tmp_path.iterdir()] == []


async def test_a_command_ends_though_its_home_cannot_be_measured_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tool may keep a directory from being read, for as long as it lives."""
    begun, held = threading.Event(), threading.Event()

    def wait(_root: int, _most: int) -> bool:
        begun.set()
        return held.wait(60)

    monkeypatch.setattr(kept_home, "_fits", wait)
    monkeypatch.setattr(kept_home, "_PAUSE_S", 0.0)
    found = tmp_path.stat()
    file_id = (found.st_dev, found.st_ino)
    shared = Shared(str(tmp_path), HOME, file_id, read_only=False, is_kept=True)
    limiter = trio.CapacityLimiter(1)
    used = HomeInUse(shared, Limits(), due={}, limiter=limiter, end=held.set)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(used.serve, nursery)
        await trio.to_thread.run_sync(begun.wait)
        nursery.cancel_scope.cancel()
    assert limiter.borrowed_tokens == 1
    held.set()


@pytest.fixture
def box() -> Box:
    """A closed box with a file for a tool in its home."""
    made = Made(b"new\n", f"{HOME}/.config/tool/file")
    return plan_box(places=(), read={}, identity=box_identity(), limits=Limits(), given=(made,))


def put_link(home: Path, outside: Path, name: str = ".config") -> None:
    """Have a name lead out of the home."""
    (home / name).parent.mkdir(parents=True, exist_ok=True)
    (home / name).symlink_to(outside)


def put_file(home: Path, make: Callable[[Path], object]) -> None:
    """Make something of the name that the file is to have."""
    (home / ".config/tool").mkdir(parents=True)
    make(home / ".config/tool/file")


TRICKS: dict[str, Callable[[Path, Path], object]] = {
    "nothing": lambda *_: None,
    "link to a directory": put_link,
    "link below": lambda home, outside: put_link(home, outside, ".config/tool"),
    "link to a file": lambda home, out: put_link(home, out / "file", ".config/tool/file"),
    "hard link": lambda home, out: put_file(home, lambda at: at.hardlink_to(out / "file")),
    "fifo": lambda home, _: put_file(home, os.mkfifo),
    "socket": lambda home, _: put_file(home, bind),
    "directory": lambda home, _: put_file(home, lambda at: (at / "x").mkdir(parents=True)),
    "file": lambda home, _: (home / ".config").write_text("x"),
}


def bind(path: Path) -> None:
    """Make a socket."""
    os.mknod(path, stat.S_IFSOCK | 0o600)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory that the user of boxes can enter."""
    with tempfile.TemporaryDirectory(prefix="box-") as name:
        folder = Path(os.path.realpath(name))
        folder.chmod(0o755)
        yield folder


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, whose boxes are another user's")
def test_a_home_that_the_user_of_boxes_cannot_enter_is_a_fresh_one(folder: Path, box: Box) -> None:
    """As where the state directory is in root's home."""
    folder.chmod(0o700)
    assert keep_home(box, str(folder / "state/homes/my/tool"), box_identity()) == box


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, whose boxes are another user's")
def test_another_user_of_boxes_has_a_home_anew(folder: Path, box: Box) -> None:
    """What the one before has written could be read by that one alone, as a file for the tool."""
    home = folder / "state/homes/my/tool"
    identity = box_identity()
    keep_home(box, str(home), identity)
    (home / "old").touch()
    other = Identity(identity.user - 1, identity.group - 1)
    keep_home(box, str(home), other)
    assert not (home / "old").exists()
    owners = {path.stat().st_uid for path in (home, *home.rglob("*"))}
    assert owners == {other.user}


def test_a_home_that_cannot_be_made_is_told_of(tmp_path: Path, box: Box) -> None:
    """It is a refusal, which says what a person can do."""
    (tmp_path / "state").write_text("no directory")
    with pytest.raises(Denied, match="home that this command keeps cannot be used") as denied:
        keep_home(box, str(tmp_path / "state/homes/my/tool"), box_identity())
    assert (denied.value.layer, denied.value.rule) == ("sandbox", "home")


@pytest.mark.parametrize("trick", TRICKS)
def test_files_for_a_tool_are_written_to_its_home_alone(folder: Path, box: Box, trick: str) -> None:
    """Whatever the agent has put in their way."""
    home, outside = folder / "state/homes/my/tool", folder / "outside"
    home.mkdir(parents=True)
    outside.mkdir()
    (outside / "file").write_text("the human's\n")
    TRICKS[trick](home, outside)
    kept = keep_home(box, str(home), box_identity())
    shared = kept.kept_home
    assert shared is not None
    assert (shared.path, shared.target, shared.read_only) == (str(home), HOME, False)
    assert not any(isinstance(each, Made) and HOME in each.target for each in kept.operations)
    written = home / ".config/tool/file"
    assert not written.is_symlink()
    assert written.read_text() == "new\n"
    assert (outside / "file").read_text() == "the human's\n"
    assert os.listdir(outside) == ["file"]


def test_a_directory_for_files_may_be_made_by_another_command_meanwhile(
    folder: Path, box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several commands of a module begin at once, each in a thread of its own."""
    real = os.mkdir

    def make(path: str, mode: int, *, dir_fd: int | None = None) -> None:
        real(path, mode, dir_fd=dir_fd)
        real(path, mode, dir_fd=dir_fd)

    home = folder / "state/homes/my/tool"
    home.mkdir(parents=True)
    monkeypatch.setattr(os, "mkdir", make)
    assert keep_home(box, str(home), box_identity()).kept_home is not None
    assert (home / ".config/tool/file").read_text() == "new\n"


@pytest.mark.parametrize("trick", ["link to a directory", "link below", "directory"])
@pytest.mark.parametrize("is_far", [False, True])
def test_another_command_may_clear_the_way_meanwhile(
    folder: Path, box: Box, monkeypatch: pytest.MonkeyPatch, trick: str, *, is_far: bool
) -> None:
    """It may have made its directory, too."""
    unlink, rename = os.unlink, os.rename

    def unlink_late(path: str, *, dir_fd: int | None = None) -> None:
        unlink(path, dir_fd=dir_fd)
        if is_far:
            os.mkdir(path, 0o700, dir_fd=dir_fd)
        unlink(path, dir_fd=dir_fd)

    def rename_late(old: str, new: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        rename(old, new, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
        if new.endswith("-aside"):
            rename(old, new, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    home, outside = folder / "state/homes/my/tool", folder / "outside"
    home.mkdir(parents=True)
    outside.mkdir()
    TRICKS[trick](home, outside)
    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", unlink_late)
        patch.setattr(os, "rename", rename_late)
        assert keep_home(box, str(home), box_identity()).kept_home is not None
    assert (home / ".config/tool/file").read_text() == "new\n"


def test_a_home_with_something_mounted_inside_is_a_fresh_one(tmp_path: Path, box: Box) -> None:
    """bubblewrap would make its mount point where the agent could have put a link."""
    inside = replace(box, operations=(*box.operations, Folder(f"{HOME}/work", 0o755)))
    assert keep_home(inside, str(tmp_path / "state/homes/my/tool"), box_identity()) == inside
    assert not (tmp_path / "state").exists()


def test_a_home_that_is_a_link_is_none(tmp_path: Path, box: Box) -> None:
    """Only somebody who may write the state directory can have put it there."""
    (tmp_path / "state/homes/my").mkdir(parents=True)
    (tmp_path / "state/homes/my/tool").symlink_to(tmp_path)
    with pytest.raises(Denied, match="home that this command keeps") as denied:
        keep_home(box, str(tmp_path / "state/homes/my/tool"), box_identity())
    assert "remove" in denied.value.hint


def test_a_tree_is_removed_whatever_the_modes_of_its_directories(tmp_path: Path) -> None:
    """A tool may take the rights to them away."""
    deep = tmp_path / "tree/a/b"
    deep.mkdir(parents=True)
    (deep / "file").touch()
    for directory in (deep, deep.parent, tmp_path / "tree"):
        directory.chmod(0)
    remove_tree(str(tmp_path / "tree"))
    assert not (tmp_path / "tree").exists()


def test_the_module_is_told_where_a_home_cannot_be_kept(world: World) -> None:
    """As of a workspace in it, the fresh one's losses are told."""
    inside = f"{HOME}/work"
    world.write_profile(f'[workspace]\nmounts = {{ "{inside}" = "{world.workspace}" }}\n')
    world.write_module("sh", "/bin/sh", CLOSED + KEPT)
    with Daemon(world) as daemon:
        answer = daemon.shell("echo x > ~/lost; pwd", cwd=inside)
        assert answer.text() == f"{inside}\n"
        assert "/home/airlock/lost was written where nothing is kept" in answer.text("stderr")
