"""Tests of `airlock_daemon.setup.agents`, and of what `load` makes of hooks."""

from pathlib import Path

import pytest

from airlock_daemon.errors import SetupError
from airlock_daemon.setup.agents import Hooks
from worlds import World


def warnings(world: World) -> list[str]:
    return [str(warning) for warning in world.load().warnings if "hooks" in warning.source]


def faults(world: World) -> list[str]:
    with pytest.raises(SetupError) as caught:
        world.load()
    return [str(fault) for fault in caught.value.faults]


def test_an_agent_without_hooks_has_none(world: World) -> None:
    """Neither a missing directory nor an empty one is worth a word."""
    assert world.load().generations["my"].agent.hooks == Hooks()
    (world.agent / "hooks").mkdir()
    assert world.load().generations["my"].agent.hooks == Hooks()
    assert warnings(world) == []


def test_hooks_are_part_of_the_generation(world: World) -> None:
    """Their paths and the bounds of config.toml are values that a request keeps."""
    pre_exec = world.write_hook("pre-exec", "exit 0")
    post_exec = world.write_hook("post-exec", "exit 0")
    world.write_config("[hooks]\ntimeout_s = 2.5\ncapture_max_mb = 3\n")
    generation = world.load().generations["my"]
    assert generation.agent.hooks.paths == (str(pre_exec), str(post_exec))
    assert generation.hook_limits.timeout_s == 2.5
    assert generation.hook_limits.capture_bytes == 3 << 20
    assert warnings(world) == []


def test_the_bounds_have_documented_defaults(world: World) -> None:
    """30 seconds, and 16 MiB of output."""
    limits = world.load().generations["my"].hook_limits
    assert (limits.timeout_s, limits.capture_bytes) == (30, 16 << 20)


@pytest.mark.parametrize(
    "line", ["timeout_s = 0", "timeout_s = 'x'", "capture_max_mb = 0", "timout_s = 3"]
)
def test_a_wrong_bound_is_a_fault(world: World, line: str) -> None:
    """Each names the table and the key."""
    world.write_config(f"[hooks]\n{line}\n")
    assert any("config.toml" in f and "[hooks]" in f for f in faults(world))


def _write_without_mode(world: World) -> None:
    world.write_hook("pre-exec", "exit 0", mode=0o644)


def _make_directory(world: World) -> None:
    (world.agent / "hooks" / "pre-exec").mkdir(parents=True)


def _make_dangling_link(world: World) -> None:
    (world.agent / "hooks").mkdir()
    (world.agent / "hooks" / "pre-exec").symlink_to("nowhere")


@pytest.mark.parametrize("make", [_write_without_mode, _make_directory, _make_dangling_link])
def test_a_hook_that_cannot_be_run_is_there_and_told(world: World, make: object) -> None:
    """It counts, so that requests are refused; who starts the daemon is told that they are."""
    assert callable(make)
    make(world)
    hooks = world.load().generations["my"].agent.hooks
    assert hooks.pre_exec == str(world.agent / "hooks" / "pre-exec")
    (warning,) = warnings(world)
    assert "every request of this agent is refused" in warning
    assert "chmod +x" in warning


def test_an_unusable_post_exec_is_told_too(world: World) -> None:
    """Its owner learns that output goes out without it."""
    world.write_hook("post-exec", "exit 0", mode=0o644)
    (warning,) = warnings(world)
    assert "output is passed on without it" in warning


def test_other_files_are_named_and_ignored(world: World) -> None:
    """A README does not keep the daemon from starting, and a misspelt hook is not silent."""
    world.write_hook("README", "")
    world.write_hook("pre_exec", "exit 1")
    assert world.load().generations["my"].agent.hooks.paths == ()
    found = warnings(world)
    assert [Path(w.partition(":")[0]).name for w in found] == ["README", "pre_exec"]
    assert all("is ignored" in w and "pre-exec" in w for w in found)


def test_hooks_that_cannot_be_listed_are_a_fault(world: World) -> None:
    """Nobody can tell then whether there is one."""
    (world.agent / "hooks").write_text("")
    assert any("hooks: cannot be listed" in f for f in faults(world))


def test_a_hook_that_is_a_link_is_reserved(world: World) -> None:
    """It must not lead to what a container could write."""
    outside = world.root / "outside"
    outside.mkdir()
    (outside / "check").write_text("#!/bin/sh\n")
    (world.agent / "hooks").mkdir()
    (world.agent / "hooks" / "pre-exec").symlink_to(outside / "check")
    assert world.load().generations["my"].reserved.conflict(str(outside)) is not None
    world.write_profile(f'[workspace]\nmounts = {{ "/w" = "{outside}" }}\n')
    (fault,) = world.load().unserved["my"].faults
    assert 'it contains a hook of agent "my"' in fault.problem
