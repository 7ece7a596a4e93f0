"""Which registration file a command finds, and the commands that go by it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from airlock_daemon.admin.cli.application import Application, Registration
from commanding import Done, airlock_daemon
from running import Daemon
from worlds import World


def find(world: World, *, agents: str | None = None) -> Registration:
    return Application(config=str(world.config), agents=agents).find_registration()


def unnamed(world: World, *args: str, status: int = 0) -> Done:
    """Run a command without --agents."""
    return airlock_daemon("--config", str(world.config), *args, status=status)


@pytest.fixture
def beside(world: World) -> Path:
    """The world's registration, moved beside config.toml."""
    world.agents_file = world.agents_file.rename(world.config / "agents.toml")
    return world.agents_file


def test_without_a_daemon_or_a_file_there_is_no_registration(world: World) -> None:
    """And nothing is said of it."""
    world.write_shared_module("sh", "/bin/sh")
    assert find(world) == Registration(path=None)
    done = unnamed(world, "check")
    assert (done.stdout, done.stderr) == ("good; agents: none (--agents FILE)\n", "")


def test_the_file_beside_config_toml_is_used(world: World, beside: Path) -> None:
    """By every command that works with agents, without a word; programs are told as a field."""
    for command in (
        ("check",), ("profile", "list"), ("profile", "show", "my"), ("test", "my", "sh"),
        ("show", "sh", "--agent", "my"),
    ):  # fmt: skip
        assert unnamed(world, *command).stderr == ""
    for command in (("check",), ("profile", "show", "my")):
        assert json.loads(unnamed(world, "--json", *command).stdout)["registration"] == str(beside)
    told = json.loads(unnamed(world, "test", "--json", "my", "sh").stdout)
    assert told["registration"] == str(beside)
    assert unnamed(world, "show", "git").stderr == ""


def test_what_the_running_daemon_serves_is_used(world: World) -> None:
    """Wherever that file is, and until the daemon has ended."""
    world.write_profile(commands='["sh", "git"]')
    with Daemon(world) as daemon:
        registration = find(world)
        assert registration.path == str(world.agents_file)
        assert registration.is_served
        done = unnamed(world, "check")
        assert done.stdout.endswith("agents: my\n")
        assert done.stderr == ""
        daemon.stop()
        assert find(world) == Registration(path=None)


def test_a_file_that_is_named_counts_more_than_the_daemons(world: World, beside: Path) -> None:
    """Nothing is said then."""
    with Daemon(world):
        other = world.root / "other.toml"
        other.write_text("")
        assert find(world, agents=str(other)) == Registration(path=str(other), has_daemon=True)
        assert find(world, agents=str(beside)).is_served
        done = unnamed(world, "--agents", str(other), "profile", "list")
        assert (done.stdout, done.stderr) == ("", "")


def test_a_daemon_of_another_configuration_does_not_count(world: World) -> None:
    """Though it serves the same sockets directory."""
    sockets = str(world.config / "sockets")
    with Daemon(world):
        other = Application(config=str(world.workspace), sockets=sockets)
        assert other.find_registration() == Registration(path=None)
        (world.root / "link").symlink_to(world.config)
        same = Application(config=str(world.root / "link"), sockets=sockets)
        assert same.find_registration().path == str(world.agents_file)


def test_start_serves_what_it_is_told_to_and_nothing_else(world: World, beside: Path) -> None:
    """Other commands then fall back to the file, and say so of the daemon."""
    argv = [sys.executable, "-m", "airlock_daemon", "--config", str(world.config), "start"]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines = iter(process.stderr.readline, "")
        told = f"no agents registered; to serve those of {beside}: --agents {beside}\n"
        assert any(told in line for line in lines)
        assert unnamed(world, "check").stderr == (
            f"airlock: using {beside}: the running daemon was started without a registration\n"
        )
        process.terminate()
        process.stderr.read()
    assert not os.path.lexists(world.config / "sockets" / ".serving")
