import pytest

from airlock_modules import GrammarRules, ModuleError, parse_module

HEAD = '[command]\nbin = "x"\n'
SYNTAX = "[syntax]\nsubcommands = 2\n"


def faults_of(text: str) -> list[str]:
    with pytest.raises(ModuleError) as caught:
        parse_module(HEAD + text, name="tool", source="tool.toml")
    return [str(fault) for fault in caught.value.faults]


def test_subcommands_and_their_flags_are_read() -> None:
    """With those of any subcommand, exceptions, and patterns of subcommands."""
    text = (
        '[allow]\nflags = ["-C"]\nexcept = ["run & --force"]\n'
        '[allow.commands]\n"" = ["--version"]\n"a b" = ["*"]\n"* get-*" = ["--x=y"]\n'
    )
    rules = parse_module(HEAD + SYNTAX + text, name="tool", source="tool.toml").rules
    assert isinstance(rules, GrammarRules)
    assert rules.texts == ("run & --force",)
    assert rules.permitted is not None
    assert list(rules.permitted.commands) == ["", "a b"]
    assert [group.entries for _, group in rules.permitted.patterns] == [("--x=y",)]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "deny: is missing; "),
        ("[allow]", "[allow] args: is missing; "),
        ("[deny]", "[deny] args: is missing; "),
        ("[deny]\nargs = []\n[allow.commands]", "allow: stands beside [deny]; "),
        ("[allow]\nargs = []\n[allow.commands]", "[allow] args: stands beside [allow.commands]; "),
        (
            '[allow]\nargs = []\nflags = ["-x"]',
            "[allow] flags: this key needs an [allow.commands]; ",
        ),
        ('[deny]\nargs = ["a & "]', "[deny] args: item 1: a rule, and each part of one, "),
        ('[allow]\nexcept = ["--x={"]\n[allow.commands]', "[allow] except: item 1: the pattern "),
        ('[allow.commands]\na = ["x"]', '[allow] commands.a: "x" is not a flag, '),
        ('[allow.commands]\n"a b c" = []', '[allow] commands."a b c": "a b c" has 3 words, '),
        ('[allow.commands]\n"a [" = []', '[allow] commands."a [": the pattern '),
        ('[allow.commands]\na = "x"', "[allow] commands.a: must be an array, "),
    ],
)
def test_a_fault_of_the_rules_names_its_place(text: str, fault: str) -> None:
    """Whoever writes them is told where they are wrong."""
    found = faults_of(SYNTAX + text)
    assert len(found) == 1
    assert found[0].startswith("tool.toml: " + fault)


@pytest.mark.parametrize("line", ["flags = []", "except = []", "commands = {}"])
def test_what_needs_a_grammar_is_refused_without_one(line: str) -> None:
    """Arguments that are read by their form alone could not be held to it."""
    found = faults_of(f"[allow]\nargs = []\n{line}\n")
    assert len(found) == 1
    assert "needs a [syntax]" in found[0]
