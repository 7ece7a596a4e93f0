"""Tests of `airlock_daemon.migrate.released_module`: what an override meant."""

import pytest

from airlock_daemon.migrate.layout import Layout
from airlock_daemon.migrate.released_module import Override, read_override
from airlock_modules import Sandbox, parse_module

BIN = '[command]\nbin = "tool"\n'
DENY = BIN + '[deny]\nargs = ["--force"]\n'


def read(text: str | None, layout: Layout, command: str = "tool") -> Override:
    return read_override(text, command=command, source="tool.toml", layout=layout)


@pytest.mark.parametrize("layout", ["v0.1", "v0.2", "v0.3", "v0.4"])
def test_an_override_that_every_release_used_stays_as_it_is(layout: Layout) -> None:
    """To the last byte, where it is of a built-in, whose box it keeps; or has no need of one."""
    for text, command in ((DENY, "git"), (DENY.replace("tool", "ssh"), "tool")):
        override = read(text, layout, command)
        assert (override.meaning, override.text, override.changes) == ("used", text, ())
        assert not override.is_boxed


@pytest.mark.parametrize("layout", ["v0.1", "v0.2", "v0.3", "v0.4"])
def test_an_override_of_another_command_gets_the_box_with_which_it_works_on(layout: Layout) -> None:
    """The human's home: a module that names none is refused. The reason stands beside it."""
    override = read(DENY, layout)
    assert override.is_boxed
    assert override.text.startswith(DENY)
    added = override.text.removeprefix(DENY)
    assert added.endswith('\n[sandbox]\nbox = "home"\n')
    assert "can read and send away every credential in your home" in added
    assert all(line.startswith("#") for line in added.split("[sandbox]")[0].strip().splitlines())
    module = parse_module(override.text, name="tool", source="tool.toml")
    assert module.sandbox == Sandbox(box="home")


@pytest.mark.parametrize("layout", ["v0.1", "v0.2", "v0.3", "v0.4"])
@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "[command\n",
        '[command]\nbin = ""\n',
        "[command]\nbin = 3\n[deny]\nargs = []\n",
        "command = 'x'\n",
        BIN + "[deny]\nargs = 'x'\n",
        BIN + "[deny]\nargs = [1]\n",
        DENY + "[env]\nset = { A = 1 }\n",
        DENY + "[exec]\nconcurrent = 'no'\n",
    ],
)
def test_what_no_release_could_read_was_skipped_by_all(text: str | None, layout: Layout) -> None:
    """They used the built-in module instead, and so it goes on."""
    assert read(text, layout).meaning == "skipped"


@pytest.mark.parametrize(
    ("text", "meanings"),
    [
        (BIN, {"v0.1": "used", "v0.2": "used", "v0.3": "unclear", "v0.4": "skipped"}),
        (BIN + "[allow]\nargs = ['a']\n", {"v0.2": "unclear", "v0.3": "used", "v0.4": "used"}),
        (DENY + "[allow]\nargs = ['a']\n", {"v0.3": "unclear", "v0.4": "skipped"}),
        (DENY + "[syntax]\nsubcommands = 1\n", {"v0.2": "unclear", "v0.4": "skipped"}),
        (DENY + "[env]\ninherit = ['A']\n", {"v0.1": "unclear", "v0.4": "skipped"}),
        (BIN + "[deny]\nargs = ['--x=[']\n", {"v0.1": "unclear", "v0.3": "skipped"}),
    ],
)
def test_what_releases_read_differently_is_told_for_each(
    text: str, meanings: dict[Layout, str]
) -> None:
    """Nothing is turned on or off by a guess."""
    assert {layout: read(text, layout).meaning for layout in meanings} == meanings


def test_one_without_rules_gets_an_empty_list_of_them() -> None:
    """Whether or not its last line was ended; and that is said."""
    override = read(BIN.removesuffix("\n"), "v0.2")
    assert override.text.startswith(f"{BIN}\n[deny]\nargs = []\n\n#")
    assert "it refuses nothing, as before" in override.changes[0]


def test_rules_that_were_compared_with_whole_arguments_are_named() -> None:
    """Flags refuse at least what they did; words and what are patterns now may not."""
    text = BIN + '[deny]\nargs = ["--force", "destroy", "a & b", "--x=*"]\n'
    word, both, pattern = read(text, "v0.1").changes
    assert '"destroy" refused this word anywhere' in word
    assert '"a & b" was this very text' in both
    assert '"--x=*" was this very text' in pattern
    assert read(text, "v0.3").changes == ()


def test_a_name_that_no_command_can_have_is_left_behind() -> None:
    """Since nothing can ask for it; it was used until then."""
    override = read(DENY, "v0.1", command="my tool")
    assert override.meaning == "skipped"
    assert override.told.startswith("is not used any more, since no command can have that name")
    assert read("[", "v0.1").told.startswith("has never been used, since not valid TOML")
