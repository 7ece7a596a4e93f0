"""Tests of `airlock_daemon.setup.overrides`: what an override of a built-in gives up."""

import pytest

from airlock_daemon.setup.overrides import compare, find_losses
from airlock_modules import Module, builtin_names, builtin_text, load_builtin, parse_module
from worlds import World

BUILTIN = """
[command]
bin = "dig"
[syntax]
subcommands = 1
flags = ["--deep", "--wide", "--far VALUE"]
[allow]
flags = ["--deep"]
except = ["dig & --far=/*", "bury"]
[allow.commands]
dig = ["--far"]
bury = []
[env]
inherit = ["A", "B"]
forward = ["LANG"]
strip = ["C", "D", "E", "F"]
set = { G = "1", H = "2" }
[args]
prepend = ["--quiet"]
[exec]
workspace = "required"
"""


def parse(text: str) -> Module:
    return parse_module(text, name="spade", source="spade.toml")


def told(text: str) -> dict[str, str]:
    """What is said about an override with this text, by key."""
    return {note.key: note.problem for note in compare(parse(text), parse(BUILTIN))}


def test_a_module_gives_up_nothing_of_itself() -> None:
    """Whatever it has."""
    assert told(BUILTIN) == {}


@pytest.mark.parametrize("name", builtin_names())
def test_a_copy_of_a_built_in_gives_up_nothing(name: str) -> None:
    """What `show` prints can be put in place as it is."""
    copy = parse_module(builtin_text(name), name=name, source="copy")
    assert list(compare(copy, load_builtin(name))) == []


def test_the_short_form_gives_up_everything() -> None:
    """That of v0.4, which the hint of a denial leads to: each kind is told with its count."""
    assert told('[command]\nbin = "dig"\n[deny]\nargs = ["bury"]\n') == {
        "syntax": "lacks the option table of the built-in spade",
        "allow": "allows all that its rules do not refuse; the built-in spade allows 3 subcommands",
        "deny.args": "the built-in spade refuses by 2 rules, this override lacks 1 of them",
        "env.strip": "the built-in spade strips 4 variables, this override has none of them",
        "env.set": "the built-in spade sets 2 variables, this override has none of them",
        "env.inherit": "the built-in spade inherits 2 variables, this override has none of them",
        "env.forward": "the built-in spade forwards 1 variable, this override has none of them",
        "args.prepend": "the built-in spade prepends 1 argument, this override has none of them",
        "exec.workspace": "the built-in spade runs in a mapped directory only, this override "
        "anywhere",
    }


@pytest.mark.parametrize(
    ("before", "after", "key", "problem"),
    [
        ('bury = []', 'bury = []\nplant = []', "allow", "allows 1 subcommand more than .*: plant"),
        ('bury = []', 'bury = ["--wide"]', "allow", "allows 1 flag more .*: bury --wide"),
        ('flags = ["--deep"]', 'flags = ["--wide"]', "allow", "1 flag more .*: --wide"),
        (', "bury"]', ']', "allow.except", "lacks 1 of them.*\\(bury\\)"),
        ('G = "1"', 'G = "0"', "env.set", "lacks 1 of them.*\\(G=1\\)"),
        ('"C", ', '', "env.strip", "strips 4 variables, .* lacks 1 of them.*\\(C\\)"),
    ],
)  # fmt: skip
def test_a_changed_copy_gives_up_what_was_changed(
    before: str, after: str, key: str, problem: str
) -> None:
    """And nothing else is told."""
    changed = BUILTIN.replace(before, after)
    assert changed != BUILTIN
    (note,) = compare(parse(changed), parse(BUILTIN))
    assert note.key == key
    assert note.source == "spade.toml"
    with pytest.raises(AssertionError, match=problem):
        raise AssertionError(str(note))


def test_a_narrower_override_gives_up_nothing() -> None:
    """One that allows less, strips more, and sets what the built-in strips."""
    narrower = BUILTIN.replace('dig = ["--far"]\n', "").replace('strip = ["C", ', 'strip = ["Z", ')
    assert told(narrower.replace("set = { ", 'set = { C = "x", ')) == {}


def test_overrides_in_use_are_compared(world: World) -> None:
    """Those of built-in modules, and of commands that are enabled; an agent's and the host's."""
    for name in ("git", "ssh"):
        world.write_module(name, name)
        world.write_shared_module(name, name)
    setup = world.load()
    modules = setup.generations["my"].agent.modules
    notes = list(find_losses([modules.shared, modules.own], setup.config.enable))
    assert {note.source for note in notes} == {
        str(world.agent / "commands" / "git.toml"),
        str(world.config / "modules" / "git.toml"),
    }
    assert any("GIT_EXEC_PATH" in note.remedy for note in notes)
