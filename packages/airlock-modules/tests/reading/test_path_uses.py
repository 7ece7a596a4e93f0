import pytest

from airlock_modules import OptionTable, PathUse, parse, parse_module, parse_options
from tool_table import TABLE


def paths_of(line: str, *, table: OptionTable = TABLE) -> list[str]:
    return [use.path for use in parse(table, line.split()).paths]


def test_a_path_says_which_argument_and_flag_named_it() -> None:
    """So that a refusal can show it, and the host's own path be put in its place."""
    (use,) = parse(TABLE, ["push", "x", "--receipt=/a"]).paths
    assert (use.path, use.place, use.by) == ("/a", 2, "--receipt")


def test_words_are_paths_where_the_table_says_so() -> None:
    """Of other subcommands they are not."""
    assert paths_of("add a ../b") == ["a", "../b"]
    assert paths_of("push a ../b") == []


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


def test_either_spelling_of_a_glued_directory_is_told() -> None:
    """A tool that drops the = would go somewhere else."""
    assert set(paths_of("-C=../x log")) >= {"=../x", "../x"}


def test_directories_are_not_joined_past_the_longest_path() -> None:
    """What is returned grows with the arguments and no faster, and is too long to be used."""
    uses = parse(TABLE, [*["-C", "a" * 100] * 2_000, "add", *["x"] * 1_000]).paths
    assert len(uses) == 1_001
    assert 4_096 < len(uses[0].path) < 4_300
    assert sum(len(use.text) for use in uses) < 6_000


def test_a_path_behind_a_prefix_is_found_in_values_and_words() -> None:
    """Wherever the tool would read the file in place of the text."""
    table = parse_options(
        'tool = "x"\nversion = "1"\nsource = "y"\npath_prefixes = ["file://"]\n'
        'global = ["--body VALUE", "-b VALUE"]\n',
        "options.toml",
    )
    line = "--body=file:///a -bfile://../b file://c x=file://d"
    assert paths_of(line, table=table) == ["c", "/a", "../b"]


def test_a_path_flag_of_a_small_table_may_enter_or_open() -> None:
    """Nobody said which, so both are told."""
    module = parse_module(
        '[command]\nbin = "x"\n[deny]\nargs = []\n[syntax]\nsubcommands = 1\n'
        'path_flags = ["-C", "--file"]\npath_words = ["read"]\n',
        name="x",
        source="x.toml",
    )
    assert module.options is not None
    found = paths_of("-C a --file ../b read ../c", table=module.options)
    assert set(found) == {"a", "a/../b", "../b", "a/../b/../c"}
    assert paths_of("write ../c", table=module.options) == []


@pytest.mark.parametrize(
    ("base", "text", "path"), [("", "a", "a"), ("b", "a", "b/a"), ("b", "/a", "/a")]
)
def test_a_path_leads_from_its_base(base: str, text: str, path: str) -> None:
    """An absolute one leads from nowhere else."""
    assert PathUse(text, 0, "", base).path == path
