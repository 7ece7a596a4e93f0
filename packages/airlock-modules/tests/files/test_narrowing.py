"""Rules by which an agent's profile narrows a module, whichever module that is."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airlock_modules import (
    Fault,
    Module,
    TableReader,
    load_builtin,
    narrow_module,
    parse_module,
    review_narrowing,
)
from written_modules import ask_module, read_module

SMALL = "[syntax]\nsubcommands = 1\n"
MODULES = {
    "plain deny": '[deny]\nargs = ["bad"]\n',
    "plain allow": '[allow]\nargs = ["push", "pull"]\n',
    "small deny": SMALL + '[deny]\nargs = ["bad"]\n',
    "small allow": SMALL + '[allow]\nargs = ["push", "pull"]\n',
    "listed": SMALL + '[allow.commands]\npush = ["*"]\npull = ["*"]\n',
    "git": '[syntax]\noptions = "git"\n[deny]\nargs = []\n',
}


def narrow(module: Module, text: str) -> tuple[Module, list[Fault]]:
    """Narrow a module by the TOML array `text`, as it stands in a profile; the faults beside it."""
    faults: list[Fault] = []
    reader = TableReader.parse(f"tool = {text}\n", source="airlock.toml", faults=faults)
    assert reader is not None
    narrowed = narrow_module(module, reader, "tool")
    reader.finish()
    return narrowed, faults


def narrowed(module: Module, text: str) -> Module:
    """The same without faults."""
    found, faults = narrow(module, text)
    assert faults == []
    return found


@pytest.mark.parametrize("name", MODULES)
def test_a_narrowed_module_refuses_more(name: str) -> None:
    """In its own words, whether it denies or allows, and with and without an option table."""
    module = read_module(MODULES[name])
    more = narrowed(module, '["push & --force"]')
    assert ask_module(module, "push", "--force").allowed
    decision = ask_module(more, "push", "--force")
    assert (decision.allowed, decision.layer, decision.rule) == (
        False, "profile", "push & --force",
    )  # fmt: skip
    assert decision.message == (
        'tool with "push", "--force" is refused: '
        'the profile of this agent has the rule "push & --force"'
    )
    assert (
        decision.hint == "a person on the host can change [deny] tool in this agent's "
        "airlock.toml, and run: airlock reload"
    )
    assert [(step.layer, step.verdict) for step in decision.steps] == [
        ("ceiling", "passed"),
        ("module", "found"),
        ("profile", "passed"),
        ("rules", "passed"),
        ("profile", "refused"),
    ]
    assert ask_module(more, "pull", "--force").allowed
    assert ask_module(more, "push").allowed


def test_what_the_module_refuses_is_refused_in_its_name() -> None:
    """The profile adds to it, and takes nothing away."""
    module = narrowed(read_module(MODULES["plain deny"]), '["x"]')
    assert (ask_module(module, "bad", "x").layer, ask_module(module, "bad", "x").rule) == (
        "module", "bad",
    )  # fmt: skip


def test_a_rule_of_a_profile_sees_through_the_spellings_of_the_tool() -> None:
    """As one of the module would: abbreviations, clusters, and flags before the subcommand."""
    git = narrowed(load_builtin("git"), '["push & --delete", "commit & --no-verify", "remote add"]')
    for line in ("push --delet x", "push origin -qd", "commit -nm x", "commit --no-ver",
                 "-C sub remote add x", "remote -v add x", "remote --new value add x"):  # fmt: skip
        assert ask_module(git, *line.split()).layer == "profile", line
    for line in ("push --follow-tags", "commit -m -n", "remote show add", "remote", "x remote add"):
        assert ask_module(git, *line.split()).allowed, line


def test_a_flag_that_an_open_table_does_not_describe_is_seen() -> None:
    """Also with its value as the next word; other flags are read as before."""
    module = narrowed(read_module(MODULES["small deny"]), '["--to=prod"]')
    for args in (["run", "--to", "prod"], ["run", "--to=prod"], ["--to", "prod", "run"]):
        assert ask_module(module, *args).rule == "--to=prod"
    assert ask_module(module, "run", "--to", "test").allowed


def test_a_reason_is_told() -> None:
    """A table has a rule or several, and why."""
    text = '[{ rules = ["push & --tags", "push & --all"], reason = "others work on it" }, "x"]'
    decision = ask_module(narrowed(load_builtin("git"), text), "push", "--all")
    assert decision.reason == "others work on it"
    assert decision.message.endswith(" is refused: others work on it")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('"push"', "airlock.toml: tool: must be an array, "),
        ('["a & "]', "airlock.toml: tool: item 1: a rule, "),
        ('["a", "-x={"]', "airlock.toml: tool: item 2: the pattern "),
        ('[{ rule = "a" }]', "airlock.toml: [tool] 1.reason: is missing; "),
        ('[{ rule = "a", reason = "b", more = 1 }]', "airlock.toml: [tool] 1.more: unknown key; "),
    ],
)
def test_a_fault_is_told_where_it_stands(text: str, fault: str) -> None:
    """In the profile, and all at once with those of other keys."""
    for rules in (MODULES["plain deny"], MODULES["small deny"]):
        (found,) = narrow(read_module(rules), text)[1]
        assert str(found).startswith(fault)


def test_rules_without_effect_are_found() -> None:
    """Those that can never match, and those that another one makes needless."""
    closed = read_module('[syntax]\noptions = "ssh"\n[deny]\nargs = []\n')
    told = list(review_narrowing(narrowed(closed, '["-4", "-4 & -6", "-z"]'), source="x", key="y"))
    assert {(fault.source, fault.key) for fault in told} == {("x", "y")}
    assert [fault.problem.split('"')[1] for fault in told] == ["-4 & -6", "-z"]
    plain = narrowed(read_module(MODULES["plain deny"]), '["a", "a & b"]')
    (fault,) = review_narrowing(plain, source="airlock.toml", key="deny.tool")
    assert 'the rule "a & b" changes nothing beside "a"' in fault.problem


WORDS = st.sampled_from(
    ["push", "pull", "bad", "--force", "-f", "--to", "--to=x", "-x", "-xy", "--", "x", "", "-"]
)


@settings(deadline=None)
@given(st.sampled_from([*MODULES]), st.lists(WORDS, max_size=6))
def test_a_narrowed_module_allows_nothing_that_it_did_not(name: str, args: list[str]) -> None:
    """Though its rules name flags that it did not know before."""
    module = read_module(MODULES[name])
    more = narrowed(module, '["--to=x", "-x", "push & --force"]')
    if ask_module(more, *args).allowed:
        assert ask_module(module, *args).allowed


def test_a_module_is_narrowed_as_a_copy() -> None:
    """Other agents have the one that it was."""
    module = parse_module('[command]\nbin = "x"\n[deny]\nargs = []\n', name="x", source="x.toml")
    assert narrowed(module, '["a"]') != module
    assert module.rules.narrowing.rules == ()
