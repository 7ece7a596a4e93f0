"""Tests of `airlock_daemon.admin.cli.new_agent`: what goes with an agent, and what stays."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from airlock_daemon.admin.cli.new_agent import NewAgent, Removal, plan_agent, plan_removal
from airlock_daemon.errors import AirlockError, SetupError
from worlds import World


@pytest.fixture
def added(world: World) -> Path:
    """The directory of an agent `new` that was added to the world."""
    directory = world.root / "agents" / "new"
    new = NewAgent(name="new", directory=str(directory), commands=("git",), workspaces=())
    plan_agent(new, world.locations, str(world.agents_file)).apply(ExitStack())
    return directory


def remove(world: World, name: str = "new") -> Removal:
    removal = plan_removal(name, str(world.agents_file))
    removal.apply(ExitStack())
    return removal


def test_what_was_added_goes_without_a_trace(world: World, added: Path) -> None:
    """Also with a profile that was edited since; the registration reads as it did before."""
    (added / "airlock.toml").write_text((added / "airlock.toml").read_text() + "# more\n")
    assert remove(world).kept == ()
    assert not added.exists()
    assert world.agents_file.read_text() == f'[my]\npath = "{world.agent}"\n'
    assert world.load().config.enable == ("sh", "git")


def test_a_directory_with_something_else_in_it_stays_as_a_whole(world: World, added: Path) -> None:
    """What keeps it is named."""
    (added / "commands").mkdir()
    (added / "notes").touch()
    assert remove(world).kept == (str(added / "commands"), str(added / "notes"))
    assert (added / "airlock.toml").exists()
    assert list(world.load().generations) == ["my"]


def test_a_profile_that_a_person_wrote_stays(world: World) -> None:
    """Though nothing else is there."""
    (world.agent / "commands" / "sh.toml").unlink()
    (world.agent / "commands").rmdir()
    assert remove(world, "my").kept == (str(world.agent / "airlock.toml"),)
    assert world.agents_file.read_text() == ""


def test_a_directory_behind_a_link_or_of_two_agents_stays(world: World, added: Path) -> None:
    """Neither the link nor what it leads to is removed."""
    link = world.root / "link"
    link.symlink_to(added)
    world.agents_file.write_text(f'[new]\npath = "{added}"\n[two]\npath = "{link}"\n')
    assert "which agent two uses too" in remove(world).kept[0]
    assert "which is no directory of its own" in remove(world, "two").kept[0]
    assert link.is_symlink()
    assert (added / "airlock.toml").exists()


def test_an_agent_whose_directory_is_gone_can_be_removed(world: World, added: Path) -> None:
    """And one with a broken profile: only the registration must be good."""
    (world.agent / "airlock.toml").write_text("= 1")
    (added / "airlock.toml").unlink()
    added.rmdir()
    assert remove(world).kept == (f"{added}, which is no directory of its own",)
    remove(world, "my")
    assert world.agents_file.read_text() == ""


def test_what_goes_and_what_stays_is_described(world: World, added: Path) -> None:
    """The lines of the registration, the file, or what keeps it."""
    lines = list(plan_removal("new", str(world.agents_file)).describe())
    assert lines[0] == f"change {world.agents_file}:"
    assert lines[-1] == f"remove {added}/airlock.toml"
    (added / "notes").touch()
    lines = list(plan_removal("new", str(world.agents_file)).describe())
    assert lines[-1] == f"keep {added}/notes"


def test_an_agent_that_is_not_there_is_told(world: World) -> None:
    """Nothing is changed; a registration with faults is told as such."""
    with pytest.raises(AirlockError, match="no agent new is registered in"):
        remove(world)
    world.agents_file.write_text("[x")
    with pytest.raises(SetupError, match="not valid TOML"):
        remove(world)
