"""Tests of `airlock_daemon.setup.profile`: more refusals for one agent. See also test_setup."""

import pytest

from airlock_daemon.errors import SetupError
from airlock_modules import Decision, evaluate
from worlds import World


def ask(world: World, command: str, *args: str) -> Decision:
    """What is decided for the agent `my`."""
    return evaluate(world.load().generations["my"].grant, command, args)


def findings(world: World) -> list[str]:
    return [str(warning) for warning in world.load().warnings]


def faults(world: World) -> list[str]:
    with pytest.raises(SetupError) as caught:
        world.load()
    return [str(fault) for fault in caught.value.faults]


def test_a_profile_narrows_whichever_module_is_active(world: World) -> None:
    """The built-in one, that of the host, and the agent's own, each in its words."""
    world.write_profile('[deny]\ngit = ["push & --delete"]\n')
    assert ask(world, "git", "push", "-d").layer == "profile"
    assert ask(world, "git", "push").allowed
    world.write_shared_module("git", "git")
    assert ask(world, "git", "push", "-d").allowed
    assert ask(world, "git", "push", "--delete").layer == "profile"
    world.write_module("git", "git", '[syntax]\noptions = "git"\n[deny]\nargs = ["fetch"]\n')
    assert ask(world, "git", "push", "-d").layer == "profile"
    assert ask(world, "git", "fetch").layer == "module"
    assert findings(world) == []


def test_only_the_agent_whose_profile_it_is_is_narrowed(world: World) -> None:
    """Another one of the same host has the module as it is."""
    other = world.root / "agents" / "other"
    other.mkdir()
    (other / "airlock.toml").write_text("commands = []\n")
    with world.agents_file.open("a") as file:
        file.write(f'[other]\npath = "{other}"\n')
    world.write_profile('[deny]\ngit = [{ rule = "push", reason = "it only looks" }]\n')
    grants = {name: each.grant for name, each in world.load().generations.items()}
    assert evaluate(grants["other"], "git", ["push"]).allowed
    refused = evaluate(grants["my"], "git", ["push"])
    assert refused.message == 'git with "push" is refused: it only looks'


def test_what_is_denied_of_nothing_is_a_fault(world: World) -> None:
    """Its owner relies on it, and a misspelt name would leave the command as it was."""
    world.write_profile('[deny]\nGit = ["push & --force"]\nsh = ["a & "]\n')
    assert faults(world) == [
        (
            f"{world.agent}/airlock.toml: [deny] Git: this key names a command without a module; "
            "correct or remove it"
        ),
        (
            f"{world.agent}/airlock.toml: [deny] sh: item 1: a rule, and each part of one, must "
            "have text; correct or remove it"
        ),
    ]


def test_arguments_of_a_broker_that_has_none_are_a_fault(world: World) -> None:
    """Nothing would apply the rule; the line of [git] that does is named."""
    world.write_profile('[deny]\ngit-remote = ["push & --force"]\n')
    (fault,) = faults(world)
    assert "[deny] git-remote: this key names git-remote, which sees places and refs" in fault
    assert 'use [git], such as refs = ["refs/heads/agent/**"]' in fault


def test_arguments_of_a_command_with_an_api_bound_the_hosts_command_alone(world: World) -> None:
    """The container's own tool has none that the daemon sees; the table that counts is named."""
    (world.config / "config.toml").write_text('[commands]\nenable = ["aws"]\n')
    world.write_profile('[deny]\naws = ["s3 & rm"]\n', commands='["aws"]')
    assert not ask(world, "aws", "s3", "rm", "s3://x").allowed
    (told,) = (each for each in findings(world) if "[deny] aws" in each)
    assert told.endswith("write what may not be asked of the API: [aws] deny")


def test_what_is_denied_in_vain_is_told(world: World) -> None:
    """Rules that change nothing, and those of a command that nobody may run."""
    world.write_profile('[deny]\ngit = ["push", "push & --tags"]\nssh = ["-v"]\n')
    (rule, command) = findings(world)
    said = 'the rule "push & --tags" changes nothing beside "push"'
    assert rule.startswith(f"{world.agent}/airlock.toml: [deny] git: {said}")
    assert command == (
        f'{world.agent}/airlock.toml: [deny] ssh: "ssh" is not enabled in config.toml; '
        "enable it there, or remove this"
    )
