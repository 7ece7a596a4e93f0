import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airlock_modules.reading.grammar import parse
from airlock_modules.rules.grammar_rules import (
    AllowList,
    GrammarRules,
    parse_grammar_rule,
    parse_permission,
)
from airlock_modules.rules.rule import RuleList
from tool_table import TABLE
from written_modules import ask_module, read_module

COMMANDS = {
    "": ["--version"],
    "push": ["-u", "--verify", "-f", "--push-option=ci.*", "-o=x", "--profile=me"],
    "log": ["*"],
    "remote add": ["*"],
    "run": ["-i", "-t"],
}


def rules(*, texts: tuple[str, ...] = ()) -> GrammarRules:
    return GrammarRules(
        mode="allow",
        table=TABLE,
        permitted=AllowList(
            flags=parse_permission(["-p", "-c=user.*"], TABLE),
            commands={key: parse_permission(flags, TABLE) for key, flags in COMMANDS.items()},
        ),
        exceptions=RuleList(tuple(parse_grammar_rule(text, TABLE) for text in texts)),
    )


def decide(line: str, *, texts: tuple[str, ...] = ()) -> str | bool:
    """Return True where the arguments are allowed, else the rule that refuses them."""
    verdict = rules(texts=texts).judge(line.split())
    return verdict.allowed or str(verdict.rule)


@pytest.mark.parametrize(
    "line",
    [
        "--version",
        "",
        "push",
        "push -fu origin main",
        "push --set-up",
        "push --no-verify",
        "push --push-option=ci.skip -oci.x -o x",
        "-p",
        "-p push",
        "-c user.name=x log -p -3 x",
        "push --profile me",
        "remote add -f x",
        "run -it image -v /:/h --privileged",
    ],
)
def test_what_is_listed_may_run(line: str) -> None:
    """In every spelling, with every alias, and with negations of listed flags."""
    assert decide(line) is True


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("lfs pull", "command"),
        ("plain", "command"),
        ("remote", "command"),
        ("remote nuke", "command"),
        ("config get x", "command"),
        ("push --nope", "unknown-flag"),
        ("push -fz", "unknown-flag"),
        ("push --ex x", "unknown-flag"),
        ("-- push", "unknown-flag"),
        ("push --exe=x", "--exec"),
        ("push --push-option=y", "--push-option"),
        ("push -o=x", "--push-option"),
        ("push --force-with-lease", "--force-with-lease"),
        ("push --forc", "--forc"),
        ("remote -v add x", "-v"),
        ("-c core.x=y log", "-c"),
        ("-C d log", "-C"),
        ("log --debug", "--debug"),
        ("--debug log", "--debug"),
        ("push --profile you", "--profile"),
        ("run -itv /:/h image", "--volume"),
    ],
)
def test_what_is_not_listed_is_refused_by_name(line: str, rule: str) -> None:
    """The rule says whether the subcommand, an unknown flag or which flag decided."""
    assert decide(line) == rule


def test_an_exception_refuses_what_is_listed() -> None:
    """It goes before the lists, and its own text is the rule."""
    assert decide("push -uf", texts=("push & --force",)) == "push & --force"
    assert decide("push +x", texts=("push & +*",)) == "push & +*"
    assert decide("push x", texts=("push & +*",)) is True


SMALL = (
    '[syntax]\nsubcommands = 1\nabbreviations = true\nvalue_flags = ["-o", "--output"]\n'
    'path_flags = ["-C"]\n'
)


DENY = '[deny]\nargs = ["--exec", "-v=/*:*", "credential", "push & --force"]'


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("run --exec x", "--exec"),
        ("run --exe=x", "--exec"),
        ("--verbose credential fill", "credential"),
        ("-o x credential", "credential"),
        ("run -itv /:/h", "-v=/*:*"),
        ("run -v=/:/h", "-v=/*:*"),
        ("run -v /:/h", "-v=/*:*"),
        ("push x --force", "push & --force"),
        ("--outp x run", "unknown-flag"),
        ("-- credential", "credential"),
    ],
)
def test_deny_rules_see_through_spellings_with_a_small_table(line: str, rule: str) -> None:
    """Flags that only the rules name are looked for in every spelling, too."""
    made = read_module(
        SMALL + '[deny]\nargs = ["--exec", "-v=/*:*", "credential", "push & --force"]'
    )
    assert ask_module(made, *line.split()).rule == rule


@pytest.mark.parametrize(
    "line", ["checkout credential", "run -o --exec", "run -- --exec", "log --force", "x -vo /:/h"]
)
def test_deny_rules_leave_the_rest_alone(line: str) -> None:
    """A value, a word elsewhere, or a flag of another subcommand."""
    made = read_module(
        SMALL + '[deny]\nargs = ["--exec", "-v=/*:*", "credential", "push & --force"]'
    )
    assert ask_module(made, *line.split()).allowed


def test_a_complete_small_table_refuses_other_flags() -> None:
    """With `flags` the table is complete, for deny rules as well."""
    made = read_module('[syntax]\nflags = ["-x", "--y VALUE"]\n[deny]\nargs = ["-x"]')
    assert ask_module(made, "--y", "-x", "a").allowed
    assert ask_module(made, "-x").rule == "-x"
    assert ask_module(made, "-z").rule == "unknown-flag"


def test_allow_rules_must_match_under_every_reading() -> None:
    """A value that is perhaps none permits nothing."""
    made = read_module('[syntax]\nvalue_flags = ["--to"]\n[allow]\nargs = ["--to=x", "--kind=y"]')
    assert ask_module(made, "--to", "x").rule == "--to=x"
    assert ask_module(made, "--kind=y").allowed
    assert not ask_module(made, "--kind", "y").allowed
    assert ask_module(made, "z").message == (
        "tool with these arguments is refused: no rule of its module allows it"
    )


def test_a_refusal_says_who_can_change_it_and_an_agreement_which_paths() -> None:
    """The hint names the table of the module; paths are handed on."""
    made = read_module(SMALL + '[allow.commands]\nrun = ["-C"]')
    refused = ask_module(made, "run", "--x")
    why = "its module does not list that flag there"
    assert refused.message == f'tool "run" with "--x" is refused: {why}'
    assert refused.hint is not None
    assert "[allow] in commands/tool.toml" in refused.hint
    assert refused.steps[-1].layer == "rules"
    assert [use.path for use in ask_module(made, "run", "-C", "../a").paths] == ["../a", "../a"]


def test_messages_show_what_was_written_quoted_and_cut() -> None:
    """Escape sequences and megabytes of a client do not reach a terminal."""
    made = read_module('[syntax]\noptions = "ssh"\n[deny]\nargs = []')
    for argument in ("--\x1b[2J" + "x" * 100_000, "-\x1b" + "v" * 100_000):
        decision = ask_module(made, argument)
        assert decision.rule == "unknown-flag"
        assert decision.message.isprintable()
        assert len(decision.message) < 600


ANYTHING = st.text(st.characters(), max_size=8)
LIKELY = st.sampled_from(
    [
        *("--", "-", "", "-=", "--=", "-5", "-f", "-o", "-ox", "-C", "-cc", "--exec", "--exe="),
        *("--filters", "--git-dir=..", "--no", "--profile"),
        *("push", "remote", "add", "run", "log", "config", "get"),
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(ANYTHING, LIKELY), max_size=12))
def test_nothing_that_a_client_sends_raises(args: list[str]) -> None:
    """Any strings give a verdict, and every refusal says why."""
    verdict = rules(texts=("push & +*", "--*=x")).judge(args)
    assert verdict.reading == parse(TABLE, args)
    assert verdict.detail
    assert verdict.allowed != bool(verdict.problem)


def test_an_allowing_pattern_covers_no_control_character() -> None:
    """Whatever the arguments are read by; one that refuses covers it."""
    for syntax in ("", "[syntax]\nsubcommands = 1\nflags = ['--to VALUE']\n"):
        allow = read_module(f"{syntax}[allow]\nargs = ['--to=a*']\n")
        deny = read_module(f"{syntax}[deny]\nargs = ['--to=a*']\n")
        for form in (["x", "--to", "{}"], ["x", "--to={}"]):
            for value, is_plain in (("ab", True), ("a\nb", False), ("a\0", False)):
                args = [each.format(value) for each in form]
                assert ask_module(allow, *args).allowed is is_plain
                assert not ask_module(deny, *args).allowed
