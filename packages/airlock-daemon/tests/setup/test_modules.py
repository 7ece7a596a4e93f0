"""Tests of `airlock_daemon.setup.modules`: which module decides."""

import pytest

from airlock_daemon.errors import SetupError
from airlock_daemon.setup.checking import Checked
from airlock_modules import Module, PlainRules, evaluate, load_builtin
from worlds import UNSAID, World


def active(world: World, command: str) -> Module:
    """The module by which the agent's requests are decided."""
    return world.load().generations["my"].grant.modules[command]


def test_an_agents_module_comes_before_the_hosts_and_that_before_the_built_in(
    world: World,
) -> None:
    """Each replaces the next one in full: nothing is merged."""
    assert active(world, "git") == load_builtin("git")
    world.write_shared_module("git", "/bin/shared")
    module = active(world, "git")
    assert module.source == str(world.config / "modules" / "git.toml")
    assert (module.bin, module.strip, module.rules) == ("/bin/shared", (), PlainRules(mode="deny"))
    world.write_module("git", "/bin/own", "[deny]\nargs = ['x']\n[env]\nset = { A = '1' }\n")
    assert active(world, "git").bin == "/bin/own"
    world.write_shared_module("git", "/bin/shared", "[deny]\nargs = []\n[env]\nset = { B = '2' }\n")
    assert active(world, "git").set == {"A": "1"}


def test_a_module_of_the_host_serves_every_agent_without_one_of_its_own(world: World) -> None:
    """Also for a command that is no built-in."""
    other = world.root / "agents" / "other"
    other.mkdir()
    (other / "airlock.toml").write_text("commands = []\n")
    with world.agents_file.open("a") as file:
        file.write(f'[other]\npath = "{other}"\n')
    world.write_shared_module("sh", "/bin/true", '[deny]\nargs = ["push"]\n')
    grants = {name: each.grant for name, each in world.load().generations.items()}
    assert evaluate(grants["my"], "sh", ["push"]).allowed
    assert not evaluate(grants["other"], "sh", ["push"]).allowed


def test_a_module_for_what_cannot_be_a_command_is_refused(world: World) -> None:
    """With no agent too, as in commands/ of one."""
    (world.config / "modules").mkdir()
    (world.config / "modules" / "-x.toml").write_text("")
    world.agents_file.write_text("")
    with pytest.raises(SetupError, match=r"modules/-x\.toml: is no module"):
        world.load()


@pytest.mark.parametrize("name", ["git.tml", "git.toml~", "README"])
def test_a_file_of_another_kind_is_ignored_and_named(world: World, name: str) -> None:
    """As all earlier releases ignored it, in commands/ of an agent and in modules/ of the host."""
    (world.config / "modules").mkdir()
    for folder in (world.config / "modules", world.agent / "commands"):
        (folder / name).write_text("[command]\nbin = 'true'\n")
    setup = world.load()
    assert {each.source for each in setup.warnings if each.problem == "is ignored"} == {
        str(world.config / "modules" / name),
        str(world.agent / "commands" / name),
    }
    assert setup.generations["my"].grant.modules["git"].builtin


def test_a_fault_in_a_module_of_the_host_is_told_once(world: World) -> None:
    """However many agents there are."""
    world.write_shared_module("git", "git", "[deny]\nargs = []\n[allow]\nargs = []\n")
    with pytest.raises(SetupError) as caught:
        world.load()
    (fault,) = caught.value.faults
    assert fault.source == str(world.config / "modules" / "git.toml")


@pytest.mark.parametrize(
    ("name", "program", "box"),
    [
        ("sh", "/bin/sh", "refused"),
        ("git", "/opt/my-git", "git"),
        ("sh", "/usr/bin/git", "git"),
        ("sh", "git", "git"),
        ("git", "/usr/bin/ssh", None),
        # The one that is built in is a broker, and this is none.
        ("ssh", "/opt/mosh", "refused"),
    ],
)
def test_a_module_that_says_nothing_has_the_box_of_whose_program_it_runs(
    world: World, name: str, program: str, box: str | None
) -> None:
    """That of the built-in, by its name or its program; else none, and it is refused."""
    (world.config / "config.toml").write_text(
        f'[commands]\nenable = ["{name}"]\n[log]\npath = "{world.log}"\n'
    )
    world.write_module(name, program, f"[deny]\nargs = []\n{UNSAID}")
    module = active(world, name)
    assert module.sandbox == (load_builtin("git").sandbox if box == "git" else None)
    assert module.lacks_box == (box == "refused")
    decision = evaluate(world.load().generations["my"].grant, name, ["x"])
    assert decision.allowed == (box != "refused") or decision.rule != "no-box-named"
    told = [each for each in world.load().warnings if "names no box" in each.problem]
    assert len(told) == (box == "refused")


def test_unprotected_commands_are_told_once_a_class(world: World) -> None:
    """One line names those with the home, one those without a box, of all agents and modules."""
    world.write_config()
    config = world.config / "config.toml"
    config.write_text(config.read_text().replace('"sh"', '"sh", "a", "b", "c"'))
    home = '[deny]\nargs = []\n[sandbox]\nbox = "home"\n'
    world.write_module("a", "/bin/sh", home)
    world.write_shared_module("b", "/bin/sh", home)
    world.write_module("c", "/bin/sh", home.replace("home", "closed"))
    world.add_agent("other")
    checked = Checked.of(world.locations)
    assert [each.problem for each in checked.notes if each.name == "box"] == [
        '"home" is the box of a, b, which can read and send away every credential in your home',
        '"none" is the box of sh, which can do all that you can do on this host',
    ]
    assert not [each for each in checked.findings if each.name == "box"]
