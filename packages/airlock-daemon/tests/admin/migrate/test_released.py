"""Tests of `admin.migrate.released`: files of earlier releases, and their meaning."""

import tomllib
from pathlib import Path

import pytest

from airlock_daemon.admin.migrate.layout import Layout
from airlock_daemon.admin.migrate.released import (
    Override,
    clean_names,
    convert_config,
    convert_profile,
    read_override,
    read_released,
    write_registration,
)
from airlock_daemon.errors import AirlockError


def test_a_command_that_is_called_nothing_is_not_granted_by_that() -> None:
    """Another name is taken, as long as it takes."""
    converted = convert_profile("commands = []", layout="v0.2", known=("nothing", "git"))
    assert converted.commands == ("nothing-at-all",)


def test_a_profile_that_v03_did_not_start_with_is_refused() -> None:
    """Instead of granting everything, as v0.2 did."""
    with pytest.raises(AirlockError, match="has no commands"):
        convert_profile("[env]\n", layout="v0.3", known=())


def test_a_config_that_means_the_same_is_not_touched() -> None:
    """Of v0.3 and v0.4, whose ceiling it has."""
    text = "# mine\r\n[commands]\r\nenable = ['git']\r\n[log]\r\nmax_size_mb = 0\r\n"
    assert convert_config(text, layout="v0.4", enable=()).text == text


def test_names_that_none_may_have_any_more_get_others() -> None:
    """Those that may keep theirs, whichever comes first."""
    before = ("a b", "a-b", "a  b", "-", "é", "x" * 70, "ok.1")
    names = clean_names(before)
    assert tuple(names) == before
    assert names["a-b"] == "a-b"
    assert names["ok.1"] == "ok.1"
    assert names["a b"] == "a-b-2"
    assert names["a  b"] == "a-b-3"
    assert names["-"] == "agent"
    assert len(set(names.values())) == len(before)


def test_paths_are_from_the_directory_that_has_the_agent(tmp_path: Path) -> None:
    """An absolute one is what it is; one that two directories have is left to its owner."""
    for name in ("one/agents/a", "two/agents/b", "one/agents/c", "two/agents/c"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "airlock.toml").write_text("")
    places = (str(tmp_path / "one"), str(tmp_path / "two"))

    def find(path: str) -> str:
        (agent,) = read_released(f'[x]\npath = "{path}"\n', directories=places)
        return agent.directory

    assert find("agents/a") == f"{tmp_path}/one/agents/a"
    assert find("agents/b") == f"{tmp_path}/two/agents/b"
    assert find("/srv/x") == "/srv/x"
    with pytest.raises(AirlockError, match=r"may be .*one/agents/c or .*two/agents/c"):
        find("agents/c")


def test_a_registration_is_written_with_paths_below_it_made_relative() -> None:
    """So that the configuration can be moved as a whole."""
    agents = read_released('["a b"]\npath = "/c/agents/x"\n[y]\npath = "/y"\n', directories=("/",))
    text = write_registration(agents, relative_to="/c")
    assert tomllib.loads(text) == {"a-b": {"path": "agents/x"}, "y": {"path": "/y"}}


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
