"""Commands in a closed box where there is Landlock alone: what is out of reach, and is not."""

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from airlock_daemon.boundary.box.box import Box, Placed, Shared
from airlock_daemon.boundary.box.landlock import refuse_unshowable
from airlock_daemon.boundary.command import Bounds
from airlock_daemon.errors import Denied
from boxing import box_uid, boxed_world, check_a_command, needs_landlock, write_boxes
from mounting import full, small_disk
from running import Daemon
from worlds import World

pytestmark = needs_landlock

PROBER = Path(__file__).with_name("fence_prober.py").read_text()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A world whose commands have fences; this process stands in its workspace."""
    with boxed_world() as world:
        write_boxes(world, mode="landlock")
        monkeypatch.chdir(world.workspace)
        yield world


def test_a_command_runs_in_the_workspace_and_its_files_stay(world: World) -> None:
    """It has the client's path, its output and status come back, and its record names the box."""
    check_a_command(world, box="landlock")


def test_nothing_of_the_host_is_in_reach_but_what_is_named(world: World) -> None:
    """Files, by whatever way to them, other processes, and sockets; its home goes with it."""
    secret = world.root / "secret"
    secret.write_text("#!/bin/sh\necho canary-41a9\n")
    secret.chmod(0o777)
    with Daemon(world) as daemon:
        answer = daemon.ask("git", "-c", PROBER, str(secret), str(daemon.process.pid))
        daemon.stop()
    assert answer.exit_code == 0, answer.text("stderr")
    found = json.loads(answer.text())
    assert {name for name, came in found["kept from"].items() if came == "done"} == set()
    assert set(found["own"].values()) == {"done"}
    assert (world.workspace / "kept").read_text() == "kept"
    assert not os.path.exists(found["home"])
    assert secret.read_text().endswith("canary-41a9\n")
    assert not (world.root / "made").exists()


def test_a_full_disk_is_no_fault_of_the_daemon(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written for a command has no room, and it is refused with the reason."""
    world.write_module("git", "git", '[deny]\nargs = []\n[sandbox]\nbox = "closed"\n')
    temporary = world.root / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    with small_disk(temporary), Daemon(world) as daemon:
        temporary.chmod(0o755)
        # One that is full from the beginning is not used.
        assert daemon.ask("git", "version").exit_code == 0
        daemon.wait_until(lambda: not os.listdir(temporary))
        with full(temporary):
            assert "No space left on device" in daemon.ask("git", "version").error["message"]
        assert daemon.ask("git", "version").exit_code == 0
        assert "fault" not in daemon.messages()
        daemon.stop()


def test_what_a_fence_leaves_is_what_the_documentation_says(world: World) -> None:
    """Names and sizes of files can be seen, and rights of the user's own changed."""
    shown = world.root / "shown"
    shown.write_text("x" * 17)
    os.chown(shown, box_uid(), -1)
    with Daemon(world) as daemon:
        assert daemon.shell(f"stat -c %s {shown}").text() == "17\n"
        assert daemon.shell(f"chmod 600 {shown}").exit_code == 0
    assert shown.stat().st_mode & 0o777 == 0o600


def test_without_a_workspace_it_is_empty_and_nothing_can_be_written(world: World) -> None:
    """What a tool wrote there would be gone at its end. Its home is another directory."""
    world.write_profile("[workspace]\nhost = false\n")
    with Daemon(world) as daemon:
        answer = daemon.shell('ls -A && test "$PWD" != "$HOME" && pwd; echo x > file')
        daemon.stop()
    assert not os.path.exists(answer.text().strip())
    assert answer.text().startswith("/")
    assert "Permission denied" in answer.text("stderr")
    assert answer.exit_code != 0


def test_what_is_lost_with_its_home_is_told(world: World) -> None:
    """But nothing that was put there for it."""
    world.write_module("git", "git", '[deny]\nargs = []\n[sandbox]\nbox = "closed"\n')
    with Daemon(world) as daemon:
        silent = daemon.ask("git", "version")
        lost = daemon.ask("git", "config", "--global", "user.name", "Ada")
    assert silent.text("stderr") == ""
    said = lost.text("stderr")
    assert said.startswith("airlock: warning: /")
    assert "/.gitconfig was written where nothing is kept" in said
    assert said.count("\n") == 1
    assert lost.exit_code == 0


@pytest.mark.parametrize(
    ("profile", "more", "said"),
    [
        ('[workspace]\nmounts = {{ "/workspace" = "{workspace}" }}\n', "", "host's own path"),
        ("", 'sockets = "unix"\n', "sockets would be those of the host"),
        ("", 'sockets = "inet"\n', "sockets would be those of the host"),
        ("", 'read = ["~/shown"]\n', "cannot show"),
        ("", 'network = ["localhost:9"]\n', "needs a network of the box's own"),
        ("", "links = false\n", "needs mounts of a box's own"),
        (
            '[workspace]\nsame_path = ["{workspace}"]\nhide = ["{workspace}/.env"]\n',
            "",
            "mounted inside of its workspace",
        ),
    ],
)
def test_what_a_fence_cannot_be_is_refused(
    profile: str, more: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other paths than the host's, masks, and sockets that would lead to it."""
    with boxed_world(more) as world:
        write_boxes(world, mode="landlock")
        if profile:
            world.write_profile(profile.format(workspace=world.workspace))
        monkeypatch.chdir(world.workspace)
        home = world.root / "human"
        home.mkdir()
        (home / "shown").touch()
        (world.workspace / ".env").touch()
        with Daemon(world, environment={"HOME": str(home)}) as daemon:
            cwd = "/workspace" if "/workspace" in profile else str(world.workspace)
            error = daemon.shell("true", cwd=cwd).error
    assert (error["data"]["layer"], error["data"]["rule"]) == ("sandbox", "no-box")
    assert said in error["message"]


def test_a_workspace_that_is_read_only_is_so_behind_a_fence(world: World) -> None:
    """Whatever the rights of its files say."""
    (world.workspace / "file").write_text("as it was")
    (world.workspace / "file").chmod(0o666)
    world.write_profile(f'[workspace]\nsame_path = ["{world.workspace}"]\nread_only = true\n')
    with Daemon(world) as daemon:
        answer = daemon.shell("cat file; echo no > file", cwd=str(world.workspace))
    assert answer.text() == "as it was"
    assert "Permission denied" in answer.text("stderr")
    assert (world.workspace / "file").read_text() == "as it was"


@pytest.mark.parametrize("base", ["/w", "/w/.git", "/w/.git/hooks"])
def test_what_is_read_only_inside_of_what_is_not_needs_bubblewrap(base: str) -> None:
    """Landlock adds the rule of what is above: the container's read-only mount could be written."""

    def share(path: str, *, read_only: bool) -> Shared:
        return Shared(path=path, target=path, file_id=None, read_only=read_only)

    hooks = Placed(share("/w/.git/hooks", read_only=True), "/w/.git/hooks")
    box = Box(
        operations=(share(base, read_only=False),), inner=(hooks,), bounds=Bounds(), sockets="none"
    )
    box = replace(box, has_network=True)
    with pytest.raises(Denied, match="could write what the container has read-only") as refused:
        refuse_unshowable(box, None, remedy="install bubblewrap")
    assert refused.value.rule == "no-box"
    for shown in (replace(box, operations=(share(base, read_only=True),)), replace(box, inner=())):
        refuse_unshowable(shown, None, remedy="-")


@pytest.mark.parametrize("makes", ["", "echo 'bwrap: No permissions' >&2; exit 1"])
def test_a_fence_stands_where_bubblewrap_makes_no_box(world: World, makes: str) -> None:
    """What works is found out when the daemon starts and reloads, and told."""
    tools = world.root / "tools"
    tools.mkdir()
    write_boxes(world, more=f'[daemon]\npath = "{tools}"\n')
    if makes:
        (tools / "bwrap").write_text(f"#!/bin/sh\n{makes}\n")
        (tools / "bwrap").chmod(0o755)
    with Daemon(world) as daemon:
        assert daemon.shell("echo ran").text() == "ran\n"
        assert daemon.records()[-1]["sandbox"] == "landlock"
        assert daemon.records("daemon-start")[-1]["sandbox"] == "landlock"
        said = daemon.messages()
    assert ("No permissions" if makes else "bubblewrap is not installed") in said
    assert "boxes: by Landlock" in said


def test_a_home_behind_a_fence_is_the_hosts_without_airlocks_part_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is read-only, what is beside Airlock's files is there, and so is the network."""
    with boxed_world() as world, tempfile.TemporaryDirectory(prefix="home-") as folder:
        home = Path(os.path.realpath(folder))
        home.chmod(0o755)
        world.log = home / "below" / "state" / "log"
        world.log.parent.mkdir(parents=True)
        (world.log.parent / "log.1").write_text("canary-77d0")
        (world.log.parent / "beside").write_text("beside\n")
        (home / "token").write_text("t0ken\n")
        for path in (home, home / "token"):
            os.chown(path, box_uid(), -1)
        write_boxes(world, mode="landlock")
        world.write_module("sh", "/bin/sh", '[deny]\nargs = []\n[sandbox]\nbox = "home"\n')
        monkeypatch.chdir(world.workspace)
        with Daemon(world, environment={"HOME": str(home)}) as daemon:
            script = (
                "exec 2>&1; cd ~/below/state; cat ~/token beside; cat log log.1; echo x > ~/x;"
                f"cd {world.workspace};"
                "echo x > $XDG_CACHE_HOME/x && echo x > file && pwd; cat /etc/hosts > /dev/null;"
                f"cat {world.config}/config.toml"
            )
            answer = daemon.shell(script)
            record = daemon.records()[-1]
        assert (world.workspace / "file").read_text() == "x\n"
    assert record["sandbox"] == "home (unprotected), landlock"
    said = answer.text()
    assert said.startswith("t0ken\nbeside\n"), said
    assert f"\n{world.workspace}\n" in said
    assert "canary" not in said
    assert "seq" not in said
    assert "enable" not in said
    assert said.count("ermission denied") == 4
