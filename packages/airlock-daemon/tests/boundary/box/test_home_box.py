"""What a command has in a box of the class "home": that home, but not Airlock's part of it."""

import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from airlock_daemon.boundary.box.box import Box
from airlock_daemon.boundary.box.plan import find_home, plan_home_box, put_workspaces
from airlock_daemon.boundary.workspace.temporary import Workspace
from airlock_daemon.setup.limits import Limits
from airlock_daemon.setup.paths import Reserved
from boxing import box_identity, box_uid, needs_bubblewrap, write_boxes
from container_hosts import open_runner
from running import Daemon, read_answer, request
from worlds import BOX_USER, World

pytestmark = needs_bubblewrap

PYTHON = "/usr/bin/python3"
HOME_BOX = '[deny]\nargs = []\n[sandbox]\nbox = "home"\n'


@pytest.fixture
def home() -> Iterator[Path]:
    """The home of who is in the boxes, with a token."""
    with tempfile.TemporaryDirectory(prefix="home-") as folder:
        home = Path(os.path.realpath(folder))
        home.chmod(0o755)
        (home / "token").write_text("t0ken\n")
        yield home


@pytest.fixture
def world(home: Path) -> Iterator[World]:
    """A daemon's files, its log and the workspace in the home, the others outside."""
    with tempfile.TemporaryDirectory(prefix="world-") as folder:
        root = Path(os.path.realpath(folder))
        root.chmod(0o755)
        world = World(root)
        world.log = home / "state" / "airlock.log"
        world.log.parent.mkdir()
        world.workspace = home / "workspace"
        world.workspace.mkdir()
        write_boxes(world)
        world.write_module("sh", "/bin/sh", HOME_BOX)
        world.write_profile(f'[workspace]\nmounts = {{ "/workspace" = "{world.workspace}" }}\n')
        yield world


@contextmanager
def serve(world: World, **environment: str) -> Iterator[Daemon]:
    """A daemon whose boxes are of the user whose home that is."""
    home = world.workspace.parent
    if os.geteuid() == 0:
        for path in (home, world.workspace, home / "token"):
            os.chown(path, box_uid(), box_identity().group)
    with Daemon(world, environment={"HOME": str(home), **environment}) as daemon:
        yield daemon


def run(daemon: Daemon, script: str, cwd: str = "/workspace") -> str:
    """What a script says on both streams."""
    answer = daemon.shell(f"exec 2>&1; {script}", cwd=cwd)
    assert "result" in answer.last, answer.last
    return answer.text()


def test_the_home_is_there_and_what_is_written_is_thrown_away(world: World, home: Path) -> None:
    """The next command finds it as it was, and the workspace as the last one left it."""
    change = "echo x > ~/token; echo y > ~/new; cat ~/token ~/new; echo z > file"
    with serve(world) as daemon:
        said = run(daemon, f"cat ~/token; {change}; id -un; pwd")
        assert said.split() == [
            *(
                "t0ken",
                "x",
                "y",
                BOX_USER if os.geteuid() == 0 else os.environ["USER"],
                "/workspace",
            )
        ]
        assert run(daemon, "cat ~/token; ls ~/new; cat file").split("\n")[0] == "t0ken"
        # By what lies there one could reach what is covered.
        assert run(daemon, "echo y > ~/new; ls -A /run/airlock/home 2>/dev/null; true") == ""
        record = daemon.records()[-1]
    assert record["sandbox"] == "home (unprotected)"
    assert (home / "token").read_text() == "t0ken\n"
    assert not (home / "new").exists()
    assert (world.workspace / "file").stat().st_uid == box_uid()


def test_nothing_of_airlock_itself_is_there(home: Path) -> None:
    """Neither by its path, nor under another name, nor by what a layer lies over."""
    # In the configuration's directory lie others, as in ~/.config/airlock where nothing is named.
    names = ("config/sockets", "config", "config-old", "config/agents/my", "agents/my", "state")
    for name in names:
        (home / name).mkdir(parents=True, exist_ok=True)
        (home / name / "file").write_text("canary")
    for name in ("agents.toml", "log", "log.1"):
        (home / name).write_text("canary")
    if os.geteuid() == 0:
        for path in (home, *home.rglob("*")):
            os.chown(path, box_uid(), box_identity().group)
    files = ("agents.toml", "log", "config/file")
    places = tuple(("a thing", str(home / each)) for each in (*names, *files))
    identity, reserved = box_identity(), Reserved(places)
    nowhere = Workspace.make_empty(None)
    limits = Limits()
    human = find_home(identity, {"HOME": str(home)}, reserved=reserved, limits=limits)
    box = plan_home_box(human, places=(), read={}, limits=limits)
    box = put_workspaces(box, nowhere, identity=identity, reserved=reserved)
    with tempfile.TemporaryFile("w+") as output:
        trio.run(_run, nowhere, f"HOME={home}; exec 2>&1; {LOOK}", output.fileno(), box)
        output.seek(0)
        said = output.read()
    nowhere.close()
    assert "t0ken" in said
    assert "canary" not in said
    # It can be seen that something is there.
    assert "agents.toml" in said


async def _run(workspace: Workspace, script: str, output: int, box: Box) -> None:
    async with open_runner() as runner:
        await runner.run(workspace, script, output, box=box)


LOOK = """
cat ~/token; ls -A ~; cat ~/config/* ~/agents/my/* ~/state/* ~/agents.toml ~/log ~/log.1
mv ~/agents ~/a; cat ~/a/my/*; mv ~/config ~/c || cp -r ~/config ~/c; cat ~/c/*
rm -f ~/log; cat ~/log; ln ~/agents.toml ~/linked && cat ~/linked; cat /run/airlock/*/*/*/*
mkdir ~/q; setfattr -n user.overlay.redirect -v /agents/my ~/q; cat ~/q/*
cd ~/config && cat ../config/file; cat /proc/1/root/$HOME/config/file; umount ~/config
"""


def test_the_network_is_the_hosts_and_unix_sockets_are_not(world: World) -> None:
    """A server of the host's loopback answers, an agent's socket in the home does not."""
    world.write_module("git", PYTHON, HOME_BOX)
    connect = (
        "import os, socket, sys; s = socket.create_connection(('localhost', int(sys.argv[1])));"
        "print(s.recv(9).decode(), flush=True)\n"
        "try: socket.socket(socket.AF_UNIX).connect(os.environ['HOME'] + '/agent')\n"
        "except OSError as error: print(error.strerror)\n"
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()"
    )
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as agent,
        serve(world) as daemon,
    ):
        agent.bind(str(world.workspace.parent / "agent"))
        agent.listen()
        with daemon.connect() as connection:
            port = str(server.getsockname()[1])
            connection.sendall(request("git", "-c", connect, port, cwd="/workspace"))
            with server.accept()[0] as accepted:
                accepted.sendall(b"hello")
            answer = read_answer(connection)
    assert answer.text().split("\n")[:2] == ["hello", "Address family not supported by protocol"]
    assert answer.exit_code == 0, answer.text("stderr")


def test_the_environment_is_the_humans_but_for_a_proxys_password(world: World) -> None:
    """What the profile and the module name is there; what they do not is not."""
    world.write_module("sh", "/bin/sh", f'[env]\ninherit = ["KUBECONFIG"]\n{HOME_BOX}')
    more = {"KUBECONFIG": "~/k", "AWS_PROFILE": "x", "https_proxy": "http://u:pw@p:1"}
    with serve(world, **more, http_proxy="http://p:1") as daemon:
        said = run(daemon, "env").splitlines()
    assert f"HOME={world.workspace.parent}" in said
    assert "KUBECONFIG=~/k" in said
    assert "http_proxy=http://p:1" in said
    assert not [line for line in said if line.startswith(("AWS_", "https_proxy"))]


def test_a_workspace_inside_of_the_home_is_the_real_one_at_the_same_path(world: World) -> None:
    """It can be written there, and what is around it is thrown away as the rest."""
    world.write_profile(f'[workspace]\nmounts = {{ "{world.workspace}" = "{world.workspace}" }}\n')
    with serve(world) as daemon:
        assert run(daemon, "echo x > file; echo y > ../beside; pwd", str(world.workspace)) == (
            f"{world.workspace}\n"
        )
    assert (world.workspace / "file").read_text() == "x\n"
    assert not (world.workspace.parent / "beside").exists()


@pytest.mark.parametrize("target", ["", "/..", "/new"])
def test_a_workspace_that_would_hide_the_home_is_refused(world: World, target: str) -> None:
    """The home itself, what is above, and a directory in it that is not there."""
    path = os.path.normpath(f"{world.workspace.parent}{target}")
    world.write_profile(f'[workspace]\nmounts = {{ "{path}" = "{world.workspace}" }}\n')
    with serve(world) as daemon:
        error = daemon.shell("true", cwd=path).error
    assert (error["data"]["layer"], error["data"]["rule"]) == ("sandbox", "place")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_where_nothing_can_be_laid_over_the_home_it_is_read_only(world: World) -> None:
    """As one in which something else is mounted, which then is there too."""
    inner = world.workspace.parent / "inner"
    inner.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", inner], check=True)
    try:
        (inner / "file").write_text("of another file system\n")
        with serve(world) as daemon:
            said = run(daemon, "cat ~/token ~/inner/file; echo x > ~/new; cat ~/state/*")
            daemon.stop()
    finally:
        subprocess.run(["umount", inner], check=True)
    first, second, third, *_ = said.splitlines()
    assert (first, second) == ("t0ken", "of another file system")
    assert "Read-only file system" in third
    assert "seq" not in said


def test_a_tool_in_no_bin_directory_runs_with_what_lies_beside_it(world: World) -> None:
    """Nobody was asked to name it, when Airlock knew no boxes."""
    with tempfile.TemporaryDirectory(prefix="tool-") as folder:
        tool = Path(folder, "deploy")
        tool.write_text('#!/bin/sh\n. "$(dirname "$0")/settings"\necho $SAYS\n')
        Path(folder, "settings").write_text("SAYS=deployed\n")
        tool.chmod(0o755)
        Path(folder).chmod(0o755)
        world.write_module("git", str(tool), HOME_BOX)
        with serve(world) as daemon:
            answer = daemon.ask("git", cwd="/workspace")
    assert answer.text() == "deployed\n", answer.messages
