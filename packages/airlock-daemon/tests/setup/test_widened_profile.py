"""Tests of `airlock_daemon.setup.profile`: destinations for one agent."""

import pytest

from airlock_daemon.errors import SetupError
from airlock_modules import Module
from worlds import World

BOX = """\
[deny]
args = []
[sandbox]
box = "closed"
network = ["api.example.com:443"]
"""


def find(world: World, command: str) -> Module:
    """The module of the agent `my`."""
    return world.load().generations["my"].grant.modules[command]


def faults(world: World) -> list[str]:
    with pytest.raises(SetupError) as caught:
        world.load()
    return [str(fault) for fault in caught.value.faults]


def test_a_profile_adds_destinations_to_those_of_the_module(world: World) -> None:
    """The module need not be copied; what it reaches anyway is not said twice."""
    world.write_module("sh", "sh", BOX)
    world.write_profile('[network]\nsh = ["LOCALHOST:4566", "api.example.com:443"]\n')
    sandbox = find(world, "sh").sandbox
    assert sandbox is not None
    assert sandbox.network == ("api.example.com:443", "localhost:4566")
    assert sandbox.sockets == "inet"


def test_what_is_denied_stays_denied_where_more_can_be_reached(world: World) -> None:
    """One profile may narrow a command and widen its box."""
    world.write_module("sh", "sh", BOX)
    world.write_profile('[deny]\nsh = ["-c"]\n[network]\nsh = ["127.0.0.1:1"]\n')
    module = find(world, "sh")
    assert module.rules.narrowing.rules
    assert module.sandbox is not None
    assert "127.0.0.1:1" in module.sandbox.network


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[network]\nnone = []", "[network] none: this key names a command without a module"),
        ('[network]\nsh = ["x:1"]', "[network] sh: this key names a command without a closed box"),
        ('[network]\ngit = ["x"]', '[network] git: "x" is no HOST:PORT'),
        ("[network]\ngit = 3", "[network] git"),
    ],
)
def test_what_would_widen_nothing_is_a_fault(world: World, text: str, said: str) -> None:
    """A person relies on it; so a misspelt name or destination is told."""
    world.write_module("sh", "sh", '[deny]\nargs = []\n[sandbox]\nbox = "none"\n')
    world.write_profile(f"{text}\n")
    assert any(said in fault for fault in faults(world))


def test_more_for_a_command_that_is_not_enabled_is_told(world: World) -> None:
    """It is in vain, and no fault."""
    world.write_module("other", "sh", BOX)
    world.write_profile('[network]\nother = ["127.0.0.1:1"]\n')
    told = [str(warning) for warning in world.load().warnings]
    assert any('[network] other: "other" is not enabled in config.toml' in each for each in told)
