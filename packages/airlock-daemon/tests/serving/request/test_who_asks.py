"""Who asks, and from where: what a running daemon makes of clients that claim, hide or descend."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import shared_fixtures
from boxing import boxed_world, needs_landlock, write_boxes
from running import Answer, Daemon, request
from worlds import World

# Connects, changes its root if it is told so, sends a line, and prints what it is answered.
CLIENT = """
import os, socket, sys
path, line, root = sys.argv[1:]
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(path)
    if root:
        os.chroot(root)
    connection.sendall(line.encode())
    while piece := connection.recv(65536):
        os.write(1, piece)
"""

cgroup = shared_fixtures.cgroup

ISOLATE = ["unshare", *(["--map-root-user"] if os.geteuid() else []), "--mount", "--pid", "--fork"]


def client(socket_path: str, line: bytes, *, root: str = "") -> list[str]:
    """The words that run such a client."""
    return [sys.executable, "-c", CLIENT, socket_path, line.decode(), root]


def run(argv: list[str]) -> bytes:
    return subprocess.run(argv, stdout=subprocess.PIPE, check=True, timeout=30).stdout


def read(output: str | bytes) -> Answer:
    return Answer([json.loads(line) for line in output.splitlines()])


class Inside:
    """Clients in pid and mount namespaces of their own, as those of a container are."""

    def __init__(self, world: World) -> None:
        self.workspace = world.workspace
        self._socket = world.socket

    def ask(self, prepare: str = "true", *, root: str = "", script: str = "echo ran") -> Answer:
        """Ask for a script from the workspace, after `prepare` has changed what is mounted."""
        line = request("sh", "-c", script, cwd=str(self.workspace))
        words = ["sh", "-c", f'{prepare} && exec "$@"', "sh"]
        argv = [*ISOLATE, "--mount-proc", *words, *client(self._socket, line, root=root)]
        return read(run(argv))


@pytest.fixture
def inside(world: World) -> Inside:
    """Such clients, of a profile that maps the workspace to where it is."""
    probe = subprocess.run([*ISOLATE, "--mount-proc", "true"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip(f"no namespaces here: {probe.stderr.decode()[-200:]}")
    here = world.workspace
    world.write_profile(f'[workspace]\nmounts = {{ "{here}" = "{here}" }}\n')
    return Inside(world)


@pytest.mark.linux_only("elsewhere the kernel shows nothing of a container")
def test_what_a_container_hides_in_the_workspace_is_not_shown_by_a_tool(
    world: World, inside: Inside
) -> None:
    """A file or a directory that it covers is there for a tool on the host, which does not run."""
    (world.workspace / "secrets").mkdir()
    (world.workspace / ".env").write_text("secret")
    covers = ("mount --bind /dev/null .env", "mount -t tmpfs none secrets")
    with Daemon(world) as daemon:
        assert inside.ask().text() == "ran\n"
        for cover in covers:
            refused = inside.ask(f"cd {world.workspace} && {cover}", script="cat .env")
            assert refused.text() == ""
            assert refused.error["data"]["rule"] == "inner-mount"
        assert len(daemon.records("exec-start")) == 1


@pytest.mark.linux_only("elsewhere the kernel shows nothing of a container")
def test_a_changed_root_does_not_make_a_workspace_writable(world: World, inside: Inside) -> None:
    """The kernel tells such a process of no mount outside of it, and of no flag of its own."""
    here = world.workspace
    protect = f"mount --bind {here} {here} && mount -o remount,bind,ro {here}"
    with Daemon(world) as daemon:
        for root, rule in (("", "read-only"), (str(here), "root")):
            refused = inside.ask(protect, root=root, script="touch mark")
            assert refused.error["data"]["rule"] == rule
        assert not (here / "mark").exists()
        assert daemon.records("exec-start") == []


@pytest.mark.linux_only("elsewhere the kernel shows nothing of a container")
@pytest.mark.parametrize("entry", ["bin", "{root}/workspace", "{root}/loose"])
def test_docker_is_not_taken_from_where_others_could_put_one(
    world: World, inside: Inside, cgroup: Path, monkeypatch: pytest.MonkeyPatch, entry: str
) -> None:
    """A relative entry of the PATH, one in a workspace, and one that others may write."""
    (world.root / "loose").mkdir()
    (world.root / "loose").chmod(0o777)
    evil, good = world.root / entry.format(root=world.root), world.root / "own"
    for folder in (evil, good):
        folder.mkdir(exist_ok=True)
        (folder / "docker").write_text(f"#!/bin/sh\n: > {world.root}/asked-{folder.name}\nexit 1\n")
        (folder / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{entry.format(root=world.root)}:{good}:{os.environ['PATH']}")
    # The container shows the whole host, the socket of an engine with it, where there is one.
    profile = world.agent / "airlock.toml"
    profile.write_text(profile.read_text() + "engine_socket = true\n")
    with Daemon(world):
        assert inside.ask(f"echo 0 > {cgroup}/cgroup.procs").text() == "ran\n"
    assert [each.name for each in world.root.glob("asked-*")] == ["asked-own"]


def test_a_command_may_not_ask_on_another_agents_socket(world: World) -> None:
    """What Airlock has started is no client, whatever process of the host it looks like."""
    (world.add_agent("other") / "airlock.toml").write_text(
        f'commands = []\n[workspace]\nsame_path = ["{world.workspace}"]\n'
    )
    line = request("sh", "-c", "echo ran", cwd=str(world.workspace))
    words = client(world.socket.replace("/my/", "/other/"), line)
    with Daemon(world) as daemon:
        assert read(run(words)).text() == "ran\n"
        refused = read(daemon.ask("sh", "-c", 'exec "$@"', "sh", *words).text())
        assert refused.error["data"]["rule"] == "peer"
        assert [record["profile"] for record in daemon.records("exec-start")] == ["other", "my"]


@pytest.mark.linux_only("[workspace] host")
def test_a_directory_that_a_process_of_the_host_is_not_in_is_refused(daemon: Daemon) -> None:
    """The kernel says where it stands; a claim of another place is no hint but a lie."""
    here = str(daemon.world.workspace)
    assert daemon.shell("pwd", cwd=here).text() == f"{here}\n"
    error = daemon.shell("pwd", cwd="/etc").error
    assert (error["data"]["layer"], error["data"]["rule"]) == ("workspace", "host")


@needs_landlock
@pytest.mark.linux_only("boxes")
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.skipif(os.stat("/proc/self/ns/pid").st_ino != 0xEFFFFFFC, reason="is in a container")
def test_devices_that_a_container_may_make_are_not_opened_behind_landlock() -> None:
    """Its command is refused, unless devices of the workspace do not open, or are none of its."""
    with boxed_world() as world:
        here = world.workspace
        write_boxes(world, mode="landlock")
        world.write_profile(f'[workspace]\nmounts = {{ "{here}" = "{here}" }}\n')
        line = request("git", "-c", "print('ran')", cwd=str(here))
        asks = client(world.socket, line)
        unmapped = [*ISOLATE[:1], "--user", "--map-root-user", *ISOLATE[1:], "--mount-proc"]
        with Daemon(world):
            refused = read(run([*ISOLATE, "--mount-proc", *asks])).error
            assert refused["data"]["rule"] == "no-box"
            remedy = (
                "let bubblewrap make boxes"
                if shutil.which("bwrap")
                else "apt-get install bubblewrap"
            )
            hint = refused["data"]["hint"]
            assert hint.index(remedy) < hint.index("--cap-drop MKNOD")
            apart = read(run([*unmapped, *asks]))
            assert apart.text() == "ran\n", apart.messages
            subprocess.run(["mount", "--bind", here, here], check=True)
            try:
                subprocess.run(["mount", "-o", "remount,bind,nodev", here], check=True)
                assert read(run([*ISOLATE, "--mount-proc", *asks])).text() == "ran\n"
            finally:
                subprocess.run(["umount", "--lazy", here], check=True)
