import pytest

from airlock_modules import OptionTable, PathUse, parse
from tool_table import TABLE
from written_modules import ask_module, read_module


def paths_of(line: str, *, table: OptionTable = TABLE) -> list[str]:
    return [use.path for use in parse(table, line.split()).paths]


def test_a_path_says_which_argument_and_flag_named_it() -> None:
    """So that a refusal can show it, and the host's own path be put there."""
    (use,) = parse(TABLE, ["push", "x", "--receipt=/a"]).paths
    assert use == PathUse("/a", 2, 10, "--receipt")


@pytest.mark.parametrize(
    "line",
    [
        "add x /a",
        "add -- /a",
        "push --receipt /a",
        "push --receipt=/a",
        "push --rec=/a",
        "-C /a log",
        "-C/a log",
        "-C=/a log",
        "-C x -C /a log",
        "-pC/a log",
    ],
)
def test_a_path_runs_from_its_offset_to_the_end_of_its_argument(line: str) -> None:
    """However it was given, so that another path can be put there."""
    args = line.split()
    (use,) = {use for use in parse(TABLE, args).paths if use.text == "/a"}
    assert use.offset is not None
    assert args[use.argument][use.offset :] == "/a"


def test_a_path_that_was_joined_stands_nowhere_as_a_whole() -> None:
    """The tool enters one directory after the other."""
    uses = parse(TABLE, ["-C", "a", "-C", "b", "-C", "/c", "-C", "d", "log"]).paths
    assert [(use.text, use.argument, use.offset) for use in uses] == [
        ("a/b", 3, None),
        ("/c", 5, 0),
        ("/c/d", 7, None),
    ]


def test_every_path_starts_where_the_tool_enters() -> None:
    """Wherever the flags stand: first all directories are entered, then files are opened."""
    assert paths_of("--git-dir g -C a -C ../.. add x /y") == [
        "a/../..",
        "a/../../g",
        "a/../../x",
        "/y",
    ]


def test_an_absolute_directory_is_told_by_itself() -> None:
    """It is where the following ones start, and what came before it was entered as well."""
    assert paths_of("-C a -C /b -C c log") == ["a", "/b", "/b/c"]


def test_directories_are_not_joined_past_the_longest_path() -> None:
    """What is returned grows with the arguments and no faster, and is too long to be used."""
    uses = parse(TABLE, [*["-C", "a" * 100] * 2_000, "add", *["x"] * 1_000]).paths
    assert len(uses) == 1_001
    assert 4_096 < len(uses[0].path) < 4_300
    assert sum(len(use.text) for use in uses) < 6_000


def test_a_path_flag_of_a_small_table_may_enter_or_open() -> None:
    """Nobody said which, so both are told."""
    module = read_module(
        "[deny]\nargs = []\n[syntax]\nsubcommands = 1\n"
        'path_flags = ["-C", "--file"]\npath_words = ["read"]\n'
    )
    found = ask_module(module, *["-C", "a", "--file", "../b", "read", "../c"]).paths
    assert {use.path for use in found} == {"a", "a/../b", "../b", "a/../b/../c"}
    assert ask_module(module, "write", "../c").paths == ()
