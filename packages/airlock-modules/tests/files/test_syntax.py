import pytest

from airlock_modules import OptionTable, load_options, parse
from airlock_modules.rules.grammar_rules import GrammarRules
from airlock_modules.rules.rule import PlainRules
from written_modules import faults_of, read_module

DENY = "[deny]\nargs = []\n"


def read_table(syntax: str) -> OptionTable:
    rules = read_module(f"{DENY}[syntax]\n{syntax}").rules
    assert isinstance(rules, GrammarRules)
    return rules.table


def test_a_module_without_syntax_has_no_table() -> None:
    """It is read by form alone, as ever."""
    assert isinstance(read_module(DENY).rules, PlainRules)


def test_the_table_of_a_builtin_module_serves_another_module() -> None:
    """An override names it, too."""
    assert read_table('options = "ssh"') is load_options("ssh")


def test_a_small_table_takes_other_flags_for_switches() -> None:
    """Only those that take a value must be named."""
    table = read_table('subcommands = 1\nvalue_flags = ["-C"]')
    parsed = parse(table, ["--any", "-C", "d", "-zC", "e", "run", "x", "-y"])
    assert parsed.command == ("run",)
    assert [word.text for word in parsed.words] == ["x"]
    assert parsed.unknown == ()


def test_a_small_table_with_flags_is_complete() -> None:
    """Values and paths may be named in the notation of option tables."""
    table = read_table('flags = ["-v --verbose", "--to VALUE"]\ninterspersed = false')
    assert [word.text for word in parse(table, ["-vx", "--to=a"]).unknown] == ["-vx"]
    assert not parse(table, ["a", "-v"]).flags


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('options = "nope"', '[syntax] options: "nope" has no option table; '),
        ('style = "dos"', '[syntax] style: "dos" is not one of its values; '),
        ('value_flags = ["x"]', '[syntax] value_flags: "x" is not the name of a flag; '),
        ('path_flags = ["--x=y"]', '[syntax] path_flags: "--x=y" is not the name of a flag; '),
        ('flags = ["x"]', '[syntax] flags: item 1: "x" is not the name of a flag; '),
        ('flags = ["-x"]\nvalue_flags = ["-x"]', '[syntax] flags: "-x" is described twice; '),
        ("subcommands = -1", "[syntax] subcommands: -1 is too small; "),
        ("value_flag = []", "[syntax] value_flag: unknown key; "),
        ('options = "ssh"\nstyle = "gnu"', "[syntax] style: unknown key; "),
    ],
)
def test_a_fault_names_its_place(text: str, fault: str) -> None:
    """A slip never makes a table that reads something else."""
    found = faults_of(f"{DENY}[syntax]\n{text}")
    assert len(found) == 1
    assert found[0].startswith("tool.toml: " + fault)
