"""`airlock doctor`: the command, the running daemon and its sockets, all of it provoked."""

import json
import os
import socket
from pathlib import Path

import pytest

from airlock_daemon.admin.doctor.checks import CHECKS, run_checks
from commanding import run
from examining import around, find
from running import Daemon
from worlds import World

NOBODY = 65534


def test_it_lists_what_it_looks_at(world: World) -> None:
    """A name a line, for people and for programs."""
    names = [check.name for check in CHECKS]
    said = run(world, "doctor", "--list").stdout.splitlines()
    assert [line.split()[0] for line in said] == names
    assert list(json.loads(run(world, "doctor", "--list", "--json").stdout)) == names


def test_it_ends_with_1_where_something_is_amiss(world: World) -> None:
    """And tells the same to programs; nothing is changed on disk."""
    before = sorted(world.root.rglob("*"))
    said = run(world, "doctor", status=1).stdout
    assert f"finding: daemon: {world.config}/sockets: no daemon serves" in said
    report = json.loads(run(world, "doctor", "--json", status=1).stdout)
    assert report["findings"][0]["name"] == "daemon"
    assert report["findings"][0].keys() == {"source", "key", "problem", "remedy", "name"}
    assert report["registration"] == str(world.agents_file)
    assert sorted(world.root.rglob("*")) == before


def test_a_daemon_that_serves_is_good(world: World) -> None:
    """Notes are no findings."""
    with Daemon(world):
        surroundings = around(world)
        found = [each for each in run_checks(surroundings) if not each.is_note]
        assert [each for each in found if each.name in ("daemon", "files", "sockets")] == []


def test_a_daemon_of_another_configuration_is_told(world: World, tmp_path: Path) -> None:
    """It serves these sockets, but not by these files."""
    with Daemon(world):
        options = ("--config", str(tmp_path / "other"), "--sockets", f"{world.config}/sockets")
        said = run(world, "doctor", *options, status=1).stdout
        assert "sockets: is served by a daemon of another configuration" in said


def test_files_that_changed_since_the_daemon_read_them_are_told(world: World) -> None:
    """By their own change, and by that of a directory with modules."""
    with Daemon(world):
        assert find("files", around(world)) == []
        world.write_profile("[workspace]\nhost = false\n")
        (found,) = find("files", around(world))
        assert found.source == f"{world.agent}/airlock.toml"
        world.write_module("git", "git")
        assert f"{world.agent}/commands" in {each.source for each in find("files", around(world))}
        world.write_profile("[workspce]\n")
        assert "the files have faults" in find("files", around(world))[0].problem


def test_a_failed_reload_is_told(world: World) -> None:
    """With its first fault, until one has succeeded."""
    with Daemon(world):
        world.write_profile("[workspce]\n")
        run(world, "reload", status=1)
        told = [each.problem for each in find("files", around(world))]
        assert "so that what was read before counts" in told[1]
        assert "workspce" in told[1]
        world.write_profile()
        run(world, "reload")
        assert find("files", around(world)) == []


def test_sockets_that_lead_nowhere_are_told(world: World) -> None:
    """What a killed daemon left is a note, a directory that docker made is none."""
    with Daemon(world) as daemon:
        # It answers when all sockets are there.
        daemon.shell("true")
        daemon.kill()
    found = find("sockets", around(world))
    assert {each.source for each in found} == {
        f"{world.config}/sockets/my.sock",
        f"{world.config}/sockets/my/airlock.sock",
    }
    assert all(each.is_note for each in found)
    for each in found:
        os.unlink(each.source)
    (world.config / "sockets" / "my.sock").mkdir()
    (made,) = find("sockets", around(world))
    assert "is a directory and no socket: docker makes such a directory" in made.problem
    assert made.remedy.startswith("rmdir ")
    (world.config / "sockets" / "my.sock" / "file").touch()
    (full,) = find("sockets", around(world))
    assert full.remedy.startswith("look at what is in it, then: rm -r ")
    assert not made.is_note


def test_names_of_files_reach_no_terminal_as_they_are(world: World) -> None:
    """A container that has the directory may put anything there; links are not followed."""
    directory = world.config / "sockets"
    directory.mkdir(mode=0o700)
    (directory / "\x1b[2Jmy.sock").mkdir()
    (directory / "link").symlink_to(world.root)
    with socket.socket(socket.AF_UNIX) as elsewhere:
        elsewhere.bind(str(world.root / "airlock.sock"))
    said = run(world, "doctor", status=1).stdout
    assert "\x1b" not in said
    assert "[2Jmy.sock: is a directory" in said
    assert f"{directory}/link" not in said


def test_sockets_of_somebody_else_are_told(world: World) -> None:
    """What clients send would go there."""
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    directory = world.config / "sockets"
    directory.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(directory / "my.sock"))
        os.chown(directory / "my.sock", NOBODY, NOBODY)
        (found,) = find("sockets", around(world))
    assert "belongs to nobody" in found.problem
    assert found.remedy == f"sudo rm {directory}/my.sock"


def test_without_a_service_it_is_noted(world: World) -> None:
    """Or without anything that could start one."""
    (found,) = find("service", around(world))
    assert found.is_note
