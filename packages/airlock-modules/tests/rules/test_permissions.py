import pytest

from airlock_modules import RuleError, parse
from airlock_modules.rules.grammar_rules import (
    AllowList,
    Permission,
    parse_command_pattern,
    parse_permission,
)
from tool_table import TABLE


def permits(entries: list[str], line: str) -> bool:
    allow = AllowList(flags=Permission(), commands={"push": parse_permission(entries, TABLE)})
    return allow.find_refused(TABLE, parse(TABLE, line.split())) is None


@pytest.mark.parametrize(
    ("entries", "line"),
    [
        (["--force"], "push -f"),
        (["-f"], "push --force"),
        (["--verify"], "push --no-verify"),
        (["--verify=x"], "push --no-verify"),
        (["--exec=a*"], "push --exec ab"),
        (["--exec=a*", "--exec=b"], "push --exec ab --exec=b"),
        (["--filters=?"], "push --filters a b"),
        (["*"], "push --exec=x -f --no-verify"),
        (["--profile"], "--profile x push --profile y"),
        (["--force", "--force-with-lease"], "push --forc"),
    ],
)
def test_a_listed_flag_is_permitted(entries: list[str], line: str) -> None:
    """By any name, as the negation of one, or by each of its values."""
    assert permits(entries, line)


@pytest.mark.parametrize(
    ("entries", "line"),
    [
        ([], "push -f"),
        (["--no-verify"], "push --verify"),
        (["--exec=a*"], "push --exec b"),
        (["--exec=a*"], "push --exec ab --exec b"),
        (["--exec=a*"], "push --exec"),
        (["--filters=?"], "push --filters a bb"),
        (["--force"], "push --forc"),
        (["*"], "push --profile x"),
        (["*"], "-p push"),
        (["-p"], "-p push"),
        (["--push-option=x"], "push -o=x"),
    ],
)
def test_another_flag_is_not(entries: list[str], line: str) -> None:
    """What may mean something else, or belongs to another place, must be listed there."""
    assert not permits(entries, line)


def test_the_subcommand_as_written_goes_before_patterns() -> None:
    """Patterns are compared word by word, and the first that matches counts."""
    allow = AllowList(
        flags=Permission(),
        commands={"s3 rm": Permission(("a",))},
        patterns=tuple(
            (globs, Permission((name,)))
            for name, key in (("b", "* describe-*"), ("c", "s3 *"), ("d", "* *"))
            if (globs := parse_command_pattern(key))
        ),
    )

    def find(*command: str) -> tuple[str, ...] | None:
        found = allow.find_command(command)
        return found.entries if found else None

    assert find("s3", "rm") == ("a",)
    assert find("s3", "describe-x") == ("b",)
    assert find("s3", "ls") == ("c",)
    assert find("x", "y") == ("d",)
    assert find("s3") is None
    assert find("s3 describe-x") is None
    assert parse_command_pattern("s3 rm") is None


@pytest.mark.parametrize("entry", ["force", "-", "--", "", "--x=[", "=x"])
def test_an_entry_that_names_no_flag_is_an_error(entry: str) -> None:
    """A slip permits nothing."""
    with pytest.raises(RuleError):
        parse_permission([entry], TABLE)


def test_a_listed_pattern_permits_no_control_character() -> None:
    """It may end one setting and begin another for whoever reads the value."""
    allow = AllowList(flags=Permission(), commands={"push": parse_permission(["-o=ci.*"], TABLE)})
    for value, refused in (("ci.skip", False), ("ci.skip\n", True), ("ci.\0x", True)):
        found = allow.find_refused(TABLE, parse(TABLE, ["push", "--push-option", value]))
        assert (found is not None) is refused
