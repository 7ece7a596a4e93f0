"""Tests of `airlock_modules.rules.grammar_rules`: why something is not listed."""

import pytest

from airlock_modules import RuleError, parse
from airlock_modules.rules.grammar_rules import parse_exclusion
from tool_table import TABLE


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("remote", "remote add"),
        ("* a*", "remote add"),
        ("--force", "push -f"),
        ("push --force", "push --forc"),
        ("p* --exec=x*", "push --exec xy"),
        ("-*", "push -t"),
    ],
)
def test_an_entry_covers_what_it_names(text: str, line: str) -> None:
    """A subcommand by the words that begin it, a flag by any name, or both."""
    parsed = parse(TABLE, line.split())
    flag = parsed.flags[0] if parsed.flags else None
    assert parse_exclusion(text, TABLE, "x").covers(parsed.command, flag)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("add", "remote add"),
        ("remote add x", "remote add"),
        ("push", "push -f"),
        ("--force", "push"),
        ("log --force", "push -f"),
        ("--exec=x*", "push --exec y"),
        ("--exec=x*", "push --exec"),
    ],
)
def test_an_entry_covers_nothing_else(text: str, line: str) -> None:
    """Another subcommand, the subcommand where a flag is refused, and another value."""
    parsed = parse(TABLE, line.split())
    flag = parsed.flags[0] if parsed.flags else None
    assert not parse_exclusion(text, TABLE, "x").covers(parsed.command, flag)


@pytest.mark.parametrize("text", ["", "--", "a [", "a --x=["])
def test_an_entry_that_cannot_be_read_is_an_error(text: str) -> None:
    """Patterns and names of flags are those of rules."""
    with pytest.raises(RuleError):
        parse_exclusion(text, TABLE, "x")
