"""Tests of `airlock_daemon.admin.cli.application`: what the options chose."""

import pytest

from airlock_daemon.admin.cli.application import Application
from airlock_daemon.errors import AirlockError
from commanding import run
from worlds import World


def test_what_is_given_later_counts_more() -> None:
    """An option that is not given again stays."""
    before = Application(config="a", sockets="b")
    assert before.choose(config="c", json=True) == Application(config="c", sockets="b", json=True)
    assert before.choose() == before


def test_the_files_follow_the_options(world: World) -> None:
    """The sockets are beside the configuration unless they are named."""
    assert Application(config="/etc/x").locations.sockets_dir == "/etc/x/sockets"
    assert Application(config="/etc/x", sockets="/run/y").locations.sockets_dir == "/run/y"


def test_an_agent_that_is_not_registered_is_told_as_such(world: World) -> None:
    """With the command that lists those that are."""
    application = Application(config=str(world.config), agents=str(world.agents_file))
    _, generation = application.load_agent("my")
    assert generation.agent.directory == str(world.agent)
    with pytest.raises(AirlockError, match="no agent other is registered") as caught:
        application.load_agent("other")
    assert caught.value.hint == "see: airlock profile list"


@pytest.mark.parametrize(
    "args",
    [("test", "other", "git"), ("show", "git", "--agent", "other"), ("profile", "show", "other")],
)
def test_each_command_for_an_agent_says_the_same_of_another(
    world: World, args: tuple[str, ...]
) -> None:
    """One message for one thing."""
    assert run(world, *args, status=1).stderr == (
        "airlock: no agent other is registered\nairlock: hint: see: airlock profile list\n"
    )
