"""Tests of `airlock_daemon.boundary.approval.asked`: what a person is asked about a tool."""

import pytest

from airlock_daemon.boundary.approval.asked import describe_tool
from airlock_modules import load_builtin
from airlock_modules.files.approvals import read_approvals
from airlock_modules.files.toml_reader import TableReader


def find(pattern: str, *command: str) -> str | None:
    """The pattern, if it asks about the command."""
    table = TableReader.parse(f"require = ['{pattern}']", source="airlock.toml", faults=[])
    assert table is not None
    asked = describe_tool(command, load_builtin(command[0]), directory="", variables={})
    return read_approvals(table).find(asked.forms)


@pytest.mark.parametrize(
    "command",
    [
        ("terraform", "apply"),
        ("terraform", "-chdir=x", "apply", "plan.out"),
        ("terraform", "apply", "-auto-approve", "-no-color"),
    ],
)
def test_flags_before_a_subcommand_avoid_no_question(command: tuple[str, ...]) -> None:
    assert find("run terraform apply", *command) is not None


@pytest.mark.parametrize("words", [("-C", "x", "push", "origin"), ("-c", "a=b", "push"), ("push",)])
def test_a_table_tells_values_from_subcommands(words: tuple[str, ...]) -> None:
    """As the tool itself parses them."""
    assert find("run git push", "git", *words) is not None
    assert find("run git x", "git", *words) is None


def test_directory_and_variables_are_part_of_the_value() -> None:
    """They change what a command does."""
    module = load_builtin("git")
    digests = {
        describe_tool(("git", "gc"), module, directory=directory, variables=variables).digest
        for directory in ("/a", "/b")
        for variables in ({}, {"GIT_AUTHOR_NAME": "x"}, {"GIT_AUTHOR_NAME": "y"})
    }
    assert len(digests) == 6
