"""Hooks written by tests, and refusals by them."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import elsewhere
from running import Daemon, Message
from worlds import World

REWRITE = f"""#!{sys.executable}
import json, sys
message = json.load(sys.stdin)
params = message["params"]
{{}}
json.dump(message, sys.stdout)
"""

HOOK_S = 8 if elsewhere.is_wanted() else 2
"""How long a hook may take; the first starts the launcher, which elsewhere is of Python."""

Hook = Callable[[str], Path]


def refusal(daemon: Daemon, *args: str) -> Message:
    """The error of a request that a hook must refuse."""
    mark = daemon.world.workspace / "ran"
    error = daemon.ask("sh", "-c", f"touch {mark}", *args).error
    assert not mark.exists()
    assert error["code"] == -32600
    assert (error["data"]["kind"], error["data"]["layer"]) == ("denied", "hook")
    record = daemon.records()[-1]
    assert (record["outcome"], record["layer"]) == ("denied", "hook")
    assert record["rule"] == error["data"]["rule"]
    return error


def make_world(root: Path) -> World:
    """A world whose agent has a pre-exec hook, for each test to write."""
    world = World(root)
    world.write_module("sh", "/bin/sh", '[deny]\nargs = ["--bad"]\n')
    world.write_module("say", "/bin/echo")
    world.write_config(f"[hooks]\ntimeout_s = {HOOK_S}\n")
    text = (world.config / "config.toml").read_text()
    (world.config / "config.toml").write_text(text.replace('"git"', '"git", "say"'))
    world.write_hook("pre-exec", "exit 0")
    return world


@pytest.fixture(scope="module")
def one_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """One world for all tests of a file; each writes its own hook."""
    return make_world(tmp_path_factory.mktemp("pre"))


@pytest.fixture
def pre_exec(world: World) -> Hook:
    """Write the pre-exec hook."""
    return lambda text: world.write_hook("pre-exec", text)
