"""Tests of profiles, config.toml and registrations of earlier releases."""

import tomllib
from pathlib import Path

import pytest

from airlock_daemon.errors import AirlockError
from airlock_daemon.migrate.layout import Layout
from airlock_daemon.migrate.released_config import convert_config
from airlock_daemon.migrate.released_profile import convert_profile
from airlock_daemon.migrate.released_registration import (
    clean_names,
    read_released,
    write_registration,
)


@pytest.mark.parametrize(
    ("text", "layout", "commands"),
    [
        ('commands = ["git"]\n', "v0.2", ["git"]),
        ('commands = ["git"]', "v0.3", ["git"]),
        ("", "v0.2", []),
        ("# only a comment", "v0.2", []),
        ("[env]\nset = { A = 'b' }\n", "v0.2", []),
        ("commands = []\n", "v0.3", []),
        ("commands = []\n", "v0.2", ["nothing"]),
        ("commands = [\n  # none\n]  # at all\n[env]\nset = { A = 'b' }\n", "v0.2", ["nothing"]),
    ],
)
def test_a_profile_grants_what_it_granted(text: str, layout: Layout, commands: list[str]) -> None:
    """And everything else in it stays."""
    converted = convert_profile(text, layout=layout, known=("git",))
    read = tomllib.loads(converted.text)
    assert read["commands"] == commands == list(converted.commands)
    assert read.get("env") == tomllib.loads(text).get("env")


def test_a_command_that_is_called_nothing_is_not_granted_by_that() -> None:
    """Another name is taken, as long as it takes."""
    converted = convert_profile("commands = []", layout="v0.2", known=("nothing", "git"))
    assert converted.commands == ("nothing-at-all",)


def test_a_profile_that_v03_did_not_start_with_is_refused() -> None:
    """Instead of granting everything, as v0.2 did."""
    with pytest.raises(AirlockError, match="has no commands"):
        convert_profile("[env]\n", layout="v0.3", known=())


def test_what_was_not_read_becomes_a_comment_and_the_ceiling_is_written() -> None:
    """A table [commands] that v0.2 did not know included."""
    text = "[commands]\nenable = []\n[daemon]\nsocket = '/x'\nlog_level = 'debug'\n"
    converted = convert_config(text, layout="v0.2", enable=("git", "tool"))
    assert tomllib.loads(converted.text) == {
        "commands": {"enable": ["git", "tool"]},
        "daemon": {"log_level": "debug"},
    }
    assert len(converted.changes) == 2


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
