"""Tests of `airlock_daemon.admin.cli.application`: what the options chose."""

import pytest

from commanding import run
from worlds import World


@pytest.mark.parametrize(
    "args",
    [("test", "other", "git"), ("show", "git", "--agent", "other"), ("profile", "show", "other")],
)
def test_each_command_for_an_agent_says_the_same_of_another(
    world: World, args: tuple[str, ...]
) -> None:
    """One message for one thing."""
    assert run(world, *args, status=1).stderr == (
        "airlock: no agent other is registered\nairlock: hint: see: airlock agent list\n"
    )
