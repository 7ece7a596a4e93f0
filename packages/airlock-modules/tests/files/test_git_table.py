"""`[git]` of a profile."""

import pytest

from airlock_modules.files.remote_tables import names_git_grant, read_git_grant
from airlock_modules.files.toml_reader import Fault, TableReader
from airlock_modules.remotes.grants import fold


def reader(text: str) -> tuple[TableReader, list[Fault]]:
    """A reader of the table, and where its faults go."""
    faults: list[Fault] = []
    table = TableReader.parse(text, source="airlock.toml", faults=faults)
    assert table is not None
    return table, faults


def test_a_whole_table() -> None:
    """Everything that it can say."""
    table, faults = reader(
        'push = ["github.com/acme/*"]\nfetch = ["https://github.com/upstream/*"]\n'
        'refs = ["refs/heads/agent/*"]\nprotect = ["refs/heads/main"]\ndelete = true\n'
        'push_options = ["ci.skip"]\n'
    )
    grant = read_git_grant(table)
    table.finish()
    assert faults == []
    assert names_git_grant(table)
    assert grant.is_pinned
    assert grant.delete
    assert [place.text for place in (*grant.push, *grant.fetch)] == [
        "github.com/acme/*",
        "https://github.com/upstream/*",
    ]
    assert grant.names_refs
    assert [pattern.text for pattern in grant.refs] == ["refs/heads/agent/*"]
    assert any(map(grant.protect[0].fullmatch, fold("refs/heads/Main")))


@pytest.mark.parametrize(("text", "refs"), [("", ["refs/heads/agent/**"]), ("refs = []", [])])
def test_refs_that_are_left_out_are_the_branches_below_agent(text: str, refs: list[str]) -> None:
    """An empty list is none at all."""
    grant = read_git_grant(reader(text)[0])
    assert [pattern.text for pattern in grant.refs] == refs
    assert grant.names_refs == bool(text)


def test_an_empty_table_pins_nothing_and_an_empty_list_everything() -> None:
    """`push = []` is an agent that pushes nowhere."""
    assert not read_git_grant(reader("")[0]).is_pinned
    assert not names_git_grant(reader("")[0])
    assert read_git_grant(reader("push = []")[0]).is_pinned


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('push = ["github.com"]', "is not written as"),
        ('fetch = ["ftp://x/y"]', "is not written as"),
        ('push = ["github.com/[ab]"]', "is no pattern"),
        ('refs = ["main"]', "is no full name of a ref"),
        ('protect = ["refs/heads/ma?n"]', "is no pattern"),
        ('delete = "yes"', "must be a boolean"),
    ],
)
def test_a_fault_is_told_with_its_key(text: str, words: str) -> None:
    """What would protect or grant nothing is no configuration."""
    table, faults = reader(text)
    read_git_grant(table)
    assert [fault.key for fault in faults] == [text.split(" ", maxsplit=1)[0]]
    assert words in faults[0].problem
