"""Paths among the arguments of commands that really run."""

import shutil
import subprocess

import pytest

from running import Daemon
from worlds import World

# Says where it stands and what it was given; git as far as its -C is concerned.
RULES = """
[syntax]
subcommands = 1
flags = ["-C CHDIR", "--file PATH"]
[deny]
args = []
[exec]
workspace = "required"
"""


@pytest.fixture
def mapped(world: World) -> World:
    """A world whose workspace is at /workspace, with a tool that prints its arguments."""
    tool = world.root / "tool"
    tool.write_text('#!/bin/sh\npwd\nfor each in "$@"; do echo "$each"; done\n')
    tool.chmod(0o755)
    world.write_module("git", str(tool), RULES)
    world.write_profile(f'[workspace]\nmounts = {{ "/workspace" = "{world.workspace}" }}\n')
    (world.workspace / "sub").mkdir()
    (world.workspace / "out").symlink_to("/etc")
    return world


def test_a_path_of_the_client_reaches_the_tool_as_one_of_the_host(mapped: World) -> None:
    """The tool gets the place that was meant, and what is relative as it was written."""
    with Daemon(mapped) as daemon:
        answer = daemon.ask("git", "-C", "/workspace/sub", "status", "--file=new", cwd="/workspace")
    place = str(mapped.workspace)
    assert answer.text().splitlines() == [place, "-C", f"{place}/sub", "status", "--file=new"]
    assert answer.exit_code == 0


def test_a_path_that_leads_out_is_refused_and_recorded(mapped: World) -> None:
    """The layer is the workspace's, also for `check`, and nothing was started."""
    with Daemon(mapped) as daemon:
        for path in ("/root", "out", "..", "sub/../.."):
            for method in ("exec", "check"):
                answer = daemon.ask("git", "-C", path, "status", cwd="/workspace", method=method)
                assert answer.error["data"]["layer"] == "workspace", path
                assert answer.error["data"]["rule"] == "outside"
                assert path in answer.error["message"]
        assert daemon.records("exec-start") == []
        assert [record["layer"] for record in daemon.records()] == ["workspace"] * 4
        assert daemon.records()[0]["args"] == ["-C", "/root", "status"]


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_git_finds_no_repository_above_the_workspace(world: World) -> None:
    """The human's own, which contains the workspace, stays theirs."""
    (world.root / "private").write_text("secret\n")
    identity = ("-c", "user.name=x", "-c", "user.email=x@y")
    for words in (("init", "-q"), ("add", "private"), (*identity, "commit", "-qm", "x")):
        subprocess.run(["git", *words], cwd=world.root, check=True)
    world.write_profile(f'[workspace]\nmounts = {{ "/workspace" = "{world.workspace}" }}\n')
    world.write_module("git", "git", '[deny]\nargs = []\n[sandbox]\nbox = "none"\n')
    with Daemon(world) as daemon:
        answer = daemon.ask("git", "show", "HEAD:private", cwd="/workspace")
    assert answer.text() == ""
    assert "not a git repository" in answer.text("stderr")


def test_a_check_without_a_directory_judges_what_is_the_same_from_everywhere(
    mapped: World,
) -> None:
    """An absolute path, and dots that would leave the top of a workspace; the rest is not asked."""
    with Daemon(mapped) as daemon:
        for path in ("/workspace/sub", "sub", "out/x", "new/.."):
            answer = daemon.ask("git", "-C", path, "status", method="check", cwd=None)
            assert answer.last["result"]["not_consulted"] == ["workspace", "concurrency"]
        for path in ("/root", "..", "sub/../..", "~"):
            answer = daemon.ask("git", "-C", path, "status", method="check", cwd=None)
            assert answer.error["data"]["layer"] == "workspace", path
        answer = daemon.ask("git", "-C", "sub", "status", method="check", cwd="/workspace")
        assert answer.last["result"]["not_consulted"] == ["concurrency"]
