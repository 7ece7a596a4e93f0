"""Tests of `airlock_daemon.setup.findings`: what does no harm and is told."""

import pytest

from boxing import needs_bubblewrap
from worlds import BOX_USER, UNSAID, World


def findings(world: World) -> list[str]:
    return [str(warning) for warning in world.load().warnings]


def test_oddities_are_warnings(world: World) -> None:
    """What does no harm is told and does not keep the daemon from starting."""
    (world.config / "config.toml").write_text(
        '[commands]\nenable = ["sh", "git", "nosuch"]\n[daemon]\nsocket = "/x"\n'
        f'[log]\npath = "{world.log}"\n'
    )
    (world.agent / "airlock.toml").write_text(
        'commands = ["sh", "git", "gh"]\n[env]\nset = { GIT_EXEC_PATH = "x" }\n'
    )
    world.write_module("sh", "/no/such/shell")
    found = findings(world)
    assert any("nosuch" in w and "no module" in w for w in found)
    assert any("[daemon] socket" in w for w in found)
    assert any('"gh" is not enabled' in w for w in found)
    assert any("/no/such/shell" in w for w in found)
    assert any("GIT_EXEC_PATH never reaches git" in w for w in found)


def test_a_mistyped_command_is_answered_with_the_nearest(world: World) -> None:
    """In config.toml and in a profile; a name that is like no other gets the other advice alone."""
    (world.config / "config.toml").write_text(
        f'[commands]\nenable = ["sh", "gitremote"]\n[log]\npath = "{world.log}"\n'
    )
    (world.agent / "airlock.toml").write_text(
        'commands = ["sh", "gitremote", "terrafrom", "xyz"]\n'
    )
    world.write_module("sh", "/bin/sh")
    told: dict[str, list[str]] = {}
    for each in world.load().warnings:
        told.setdefault(each.problem.split('"')[1], []).append(each.remedy)
    assert [each.startswith('write "git-remote", or ') for each in told["gitremote"]] == [True] * 2
    assert told["terrafrom"] == ['write "terraform", or enable it there too']
    assert told["xyz"] == ["enable it there too"]


def test_a_secret_among_the_variables_of_a_profile_is_told(world: World) -> None:
    """By its name, and without its value: what runs for a workspace would have it too."""
    (world.agent / "airlock.toml").write_text(
        'commands = ["sh"]\n[env]\nset = { API_TOKEN = "hunter2", TOKENIZER = "x" }\n'
    )
    (finding,) = findings(world)
    assert "[env] set: API_TOKEN looks like a secret" in finding
    assert "hunter2" not in finding
    assert "[api.NAME] with its hosts and a credential" in finding
    (world.agent / "airlock.toml").write_text(
        'commands = ["sh"]\n[env]\nset = { OPENAI_API_KEY = "hunter2" }\n'
    )
    (finding,) = findings(world)
    assert 'commands = ["openai"]' in finding


@pytest.mark.parametrize("is_shared", [False, True], ids=["an agent's", "the host's"])
def test_a_module_of_a_command_that_is_not_enabled_is_told(
    world: World, *, is_shared: bool
) -> None:
    """One that differs by case alone is another command; the right one is named if it is free."""
    write = world.write_shared_module if is_shared else world.write_module
    write("Git", "git")
    write("deploy-cli", "/bin/sh")
    folder = world.config / "modules" if is_shared else world.agent / "commands"
    remedies = {"Git": "rename it to git.toml", "deploy-cli": "enable it there, or move this away"}
    assert findings(world) == [
        f'{folder}/{name}.toml: nothing uses it: "{name}" is not enabled in config.toml; {remedy}'
        for name, remedy in remedies.items()
    ]


def test_an_override_that_has_one_of_the_right_name_beside_it_is_not_to_be_renamed(
    world: World,
) -> None:
    """It would take that one's place."""
    world.write_module("SH", "/bin/sh")
    (found,) = findings(world)
    assert found.endswith('"SH" is not enabled in config.toml; enable it there, or move this away')


def test_an_override_of_a_command_that_is_not_granted_is_told(world: World) -> None:
    """The profile lists others."""
    (world.agent / "airlock.toml").write_text('commands = ["git"]\n')
    (finding,) = findings(world)
    assert '"sh" is not among commands in airlock.toml; add it there' in finding


def test_a_module_of_the_host_is_looked_at_once_for_all_agents(world: World) -> None:
    """And with no agent too: its program, and rules without effect."""
    more = '[deny]\nargs = ["push", "push & -f"]\n'
    world.write_shared_module("git", "/no/such/git", more)
    world.write_shared_module("sh", "/bin/sh")
    for text in (world.agents_file.read_text(), ""):
        world.agents_file.write_text(text)
        (program, rule) = findings(world)
        assert "modules/git.toml" in program
        assert "/no/such/git" in program
        assert "push & -f" in rule


@needs_bubblewrap
def test_a_network_that_cannot_be_had_is_told(world: World) -> None:
    """Landlock makes no network of a box's own, so that the command would be refused."""
    network = '[deny]\nargs = []\n[sandbox]\nbox = "closed"\nnetwork = ["a.example:443"]\n'
    world.write_module("sh", "/bin/sh", network)
    told = {}
    for mode in ("auto", "landlock"):
        world.write_config(f'[sandbox]\nmode = "{mode}"\nuser = "{BOX_USER}"\n')
        warnings = world.load().warnings
        told[mode] = [each.problem for each in warnings if each.key == "sandbox.network"]
    assert told == {
        "auto": [],
        "landlock": ["cannot be made by Landlock, so the command is refused"],
    }


def test_nothing_is_missing_of_a_tool_that_the_image_may_have(world: World) -> None:
    """Neither its program nor a box is asked for."""
    config = world.config / "config.toml"
    config.write_text(config.read_text().replace('["sh", "git"]', '["deploy"]'))
    api = '[[api]]\nhosts = ["deploy.example.com"]\nallow = ["GET /"]\n'
    world.write_module("deploy", "deploy", api + UNSAID)
    assert not [each for each in findings(world) if "deploy.toml" in each]


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("gti push", '"gti" is no operation'),
        ("gh PUT /repos/**", '"gh" is no operation'),
        ("run terraform apply", '"terraform" is no command'),
        ("git push * refs/heads/main", None),
        ("run sh", None),
        ("**", None),
    ],
)
def test_a_pattern_that_asks_about_nothing_is_told(
    world: World, pattern: str, problem: str | None
) -> None:
    """Its owner relies on being asked."""
    world.write_profile(f'[approve]\nrequire = ["{pattern}"]\n')
    found = [each for each in findings(world) if "asks about nothing" in each]
    assert len(found) == (problem is not None)
    assert problem is None or problem in found[0]


def test_a_program_that_cannot_be_notified_is_told(world: World) -> None:
    world.write_profile('[approve]\nrequire = ["**"]\nnotify = ["/no/such/program"]\n')
    assert any("/no/such/program" in each for each in findings(world))
