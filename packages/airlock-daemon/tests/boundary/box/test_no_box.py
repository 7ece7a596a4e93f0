"""Where there is no box the command is refused, and everybody is told why; nothing runs without."""

import json
import os

import pytest

import shared_fixtures
from boxing import CLOSED, box_uid, needs_bubblewrap, write_boxes
from commanding import run
from running import Daemon
from worlds import UNSAID, World

pytestmark = needs_bubblewrap

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

world = shared_fixtures.boxed


def refuse(world: World, remedy: str) -> str:
    """Ask a daemon for a command that must be refused, with this in the hint; what it has said."""
    with Daemon(world) as daemon:
        error = daemon.shell("touch ran").error
        assert (error["data"]["layer"], error["data"]["rule"]) == ("sandbox", "no-box")
        assert remedy in error["data"]["hint"]
        record = daemon.records()[-1]
        assert (record["outcome"], record["rule"]) == ("denied", "no-box")
        assert record["sandbox"] != "off"
        assert daemon.records("daemon-start")[-1]["sandbox"] == "none"
        assert not (world.workspace / "ran").exists()
        return daemon.messages()


@pytest.mark.parametrize("mode", ["auto", "off"])
def test_a_module_that_names_no_box_gets_none_and_is_refused(world: World, mode: str) -> None:
    """Neither the home, nor a run without, whatever config.toml says; told once by the daemon."""
    write_boxes(world, mode=mode)
    world.write_module("sh", "/bin/sh", f"[deny]\nargs = []\n{UNSAID}")
    with Daemon(world) as daemon:
        error = daemon.shell("touch ran").error
        record = daemon.records()[-1]
        said = daemon.messages()
    assert (
        error["data"].items()
        >= {"kind": "denied", "layer": "sandbox", "rule": "no-box-named"}.items()
    )
    assert 'box = "closed"' in error["data"]["hint"]
    assert 'box = "home"' in error["data"]["hint"]
    assert (record["outcome"], record["layer"], record["rule"]) == (
        *("denied", "sandbox", "no-box-named"),
    )
    assert record["sandbox"] is None
    assert not (world.workspace / "ran").exists()
    assert said.count("names no box, so sh is refused") == 1


@pytest.mark.parametrize("box", ["home", "none"])
def test_a_daemon_says_which_commands_are_unprotected(world: World, box: str) -> None:
    """Once, when it starts, before it answers anybody."""
    world.write_module("sh", "/bin/sh", f'[deny]\nargs = []\n[sandbox]\nbox = "{box}"\n')
    with Daemon(world) as daemon:
        daemon.shell("true")
        assert daemon.messages().count(f'"{box}" is the box of sh, which can ') == 1


def write_tool(world: World, text: str) -> None:
    """Put a program in the place of bubblewrap."""
    tools = world.root / "tools"
    tools.mkdir()
    write_boxes(world, mode="require-bubblewrap", more=f'[daemon]\npath = "{tools}"\n')
    (tools / "bwrap").write_text(f"#!/bin/sh\n{text}\n")
    (tools / "bwrap").chmod(0o755)


def test_without_bubblewrap(world: World) -> None:
    """The remedy is to install it, and `check` says so before anybody asks."""
    (world.root / "tools").mkdir()
    more = f'[daemon]\npath = "{world.root}/tools"\n'
    write_boxes(world, mode="require-bubblewrap", more=more)
    assert "bubblewrap is not installed" in refuse(world, "apt-get install bubblewrap")
    assert "finding: box: " in run(world, "check", status=1).stdout


def test_with_a_bubblewrap_that_is_forbidden_what_it_needs(world: World) -> None:
    """The daemon's own messages have its words; the client is sent to the person on the host."""
    write_tool(world, "echo 'bwrap: No permissions to create new namespace' >&2; exit 1")
    assert "No permissions to create new namespace" in refuse(world, "airlock doctor")


def test_with_a_bubblewrap_that_does_not_know_what_it_is_told(world: World) -> None:
    """One that is too old, which ends without having made anything."""
    write_tool(world, 'echo "bwrap: Unknown option --bind-fd" >&2; exit 1')
    assert "Unknown option" in refuse(world, "airlock doctor")


def test_with_a_bubblewrap_that_is_too_old(world: World) -> None:
    """By what it says of itself; the oldest that will do is tried like any other."""
    unknown = "echo 'bwrap: Unknown option --bind-fd' >&2; exit 1"
    write_tool(world, f'[ "$1" = --version ] && echo bubblewrap 0.9.0 && exit; {unknown}')
    assert "it is bubblewrap 0.9, and 0.10 or newer is needed" in refuse(world, "doctor")
    write_boxes(world, more=f'[daemon]\npath = "{world.root}/tools"\n')
    old = '[ "$1" = --version ] && echo bubblewrap 0.10.0 || exec /usr/bin/bwrap "$@"'
    (world.root / "tools" / "bwrap").write_text(f"#!/bin/sh\n{old}\n")
    with Daemon(world) as daemon:
        assert daemon.shell("echo ran").text() == "ran\n"
        assert daemon.records()[-1]["sandbox"] == "bubblewrap"


ENGINES = [
    ('{"ServerVersion": "28.0", "OperatingSystem": "Docker Desktop"}', "Docker Desktop"),
    (
        '{"ServerVersion": "28.0", "OperatingSystem": "Alpine", "KernelVersion": "6.6.1-virt"}',
        "Alpine, Linux 6.6.1-virt",
    ),
    ('{"host": {"kernel": "6.6.1-fc40", "os": "linux"}}', "linux, Linux 6.6.1-fc40"),
]
"""What engines in virtual machines say of themselves: a stand-in for what this machine is not."""


@pytest.mark.parametrize(("info", "where"), ENGINES)
def test_where_containers_run_on_another_kernel(world: World, info: str, where: str) -> None:
    """A client that this kernel does not show in a container is sent to its image's own tool."""
    tools = world.root / "tools"
    tools.mkdir()
    engine = tools / ("docker" if "ServerVersion" in info else "podman")
    engine.write_text(f"#!/bin/sh\necho '{info}'\n")
    engine.chmod(0o755)
    (tools / "bwrap").symlink_to("/usr/bin/bwrap")
    write_boxes(world, more=f'[daemon]\npath = "{tools}"\n')
    with Daemon(world) as daemon:
        # In a directory that the kernel shows nothing is another system's.
        assert daemon.shell("echo ran").text() == "ran\n"
    world.write_profile(f'[workspace]\nmounts = {{ "/workspace" = "{world.workspace}" }}\n')
    with Daemon(world) as daemon:
        for method in ("exec", "check"):
            error = daemon.ask("sh", "-c", "echo >ran", method=method, cwd="/workspace").error
            assert (error["data"]["layer"], error["data"]["rule"]) == ("sandbox", "no-box")
            assert f"containers run elsewhere ({where})" in error["message"]
            assert "have the tool in the image of the container" in error["data"]["hint"]
        assert not (world.workspace / "ran").exists()
    own = json.dumps({"ServerVersion": "28.0", "KernelVersion": os.uname().release})
    engine.write_text(f"#!/bin/sh\necho '{own}'\n")
    with Daemon(world) as daemon:
        assert daemon.shell("echo ran", cwd="/workspace").text() == "ran\n"


@as_root
def test_a_daemon_that_is_root_needs_somebody_else_for_its_boxes(world: World) -> None:
    """Root in a box would own /proc/sys; who is to be in there must be named."""
    world.write_config("[sandbox]\n")
    assert "runs as root" in refuse(world, '[sandbox] user = "NAME"')
    with Daemon(world) as daemon:
        daemon.stop()
        assert "warning: there is no box for git, sh on the host: " in daemon.messages()
    assert "no box runs as root" in run(world, "check", status=1).stdout
    world.write_config('[sandbox]\nuser = "root"\n')
    assert "root is no user for a box" in run(world, "check", status=1).stdout


@as_root
def test_a_workspace_that_the_user_of_boxes_cannot_enter(world: World) -> None:
    """Since a directory above it is closed to that user: the remedy is to open it."""
    world.root.chmod(0o700)
    with Daemon(world) as daemon:
        error = daemon.shell("true").error
    assert error["data"]["rule"] == "no-box"
    assert "the user of boxes cannot enter a mapped directory" in error["message"]
    assert "chmod o+x" in error["data"]["hint"]


def test_switched_off_it_is_said_and_recorded(world: World) -> None:
    """Who writes it into config.toml has commands without boxes, as before."""
    write_boxes(world, mode="off")
    with Daemon(world) as daemon:
        assert daemon.shell("echo $HOME").text() == os.environ["HOME"] + "\n"
        assert daemon.records()[-1]["sandbox"] == "off"
        assert 'mode = "off"' in daemon.messages()


@pytest.mark.parametrize("mode", ["off", "require-bubblewrap"])
def test_the_built_in_git_is_refused_with_the_way_to_the_containers_own(
    world: World, mode: str
) -> None:
    """Its rules rely on the box; who wants it without writes a module."""
    (world.agent / "commands" / "git.toml").unlink()
    (world.root / "tools").mkdir()
    path = f'[daemon]\npath = "{world.root}/tools:/usr/lib/git-core"\n'
    write_boxes(world, mode=mode, more=path if mode != "off" else "")
    with Daemon(world) as daemon:
        for method in ("exec", "check"):
            error = daemon.ask("git", "status", method=method).error
            assert (error["data"]["layer"], error["data"]["rule"]) == ("sandbox", "no-box")
            assert 'commands = ["git-remote"]' in error["data"]["hint"]
            assert "--install-git" in error["data"]["hint"]
    world.write_module("git", "git", '[deny]\nargs = []\n[sandbox]\nbox = "none"\n')
    with Daemon(world) as daemon:
        assert "result" in daemon.ask("git", "version").last


def test_the_check_of_a_client_knows_of_the_box(world: World) -> None:
    """What would be refused for want of a box is so when it is asked about."""
    with Daemon(world) as daemon:
        assert "result" in daemon.ask("sh", "-c", "true", method="check").last
        assert daemon.records("daemon-start")[-1]["sandbox"] == "bubblewrap"
        assert f"boxes: made by /usr/bin/bwrap, as user {box_uid()}" in daemon.messages()
    (world.root / "tools").mkdir()
    more = f'[daemon]\npath = "{world.root}/tools"\n'
    write_boxes(world, mode="require-bubblewrap", more=more)
    world.write_module("sh", "/bin/sh", CLOSED)
    with Daemon(world) as daemon:
        for cwd in ({}, {"cwd": str(world.workspace)}):
            error = daemon.ask("sh", "-c", "true", method="check", **cwd).error
            assert error["data"]["rule"] == "no-box"


def test_a_program_that_cannot_be_shown_is_refused_by_name(world: World) -> None:
    """The remedy is [sandbox] read, with which it runs."""
    script = world.root / "place" / "tool"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\necho ran\n")
    script.chmod(0o755)
    world.write_module("sh", str(script), CLOSED)
    with Daemon(world) as daemon:
        error = daemon.ask("sh").error
    assert error["data"]["rule"] == "program"
    assert "[sandbox] read" in error["data"]["hint"]
    world.write_module("sh", str(script), f'{CLOSED}read = ["{script.parent}"]\n')
    with Daemon(world) as daemon:
        assert daemon.ask("sh").text() == "ran\n"


def test_what_is_airlocks_own_is_never_shown(world: World) -> None:
    """A module that would show the configuration, or what contains it, is refused."""
    for path in (world.config, world.agent, world.root):
        world.write_module("sh", "/bin/sh", f'{CLOSED}read = ["{path}"]\n')
        with Daemon(world) as daemon:
            assert daemon.shell("true").error["data"]["rule"] == "reserved"
