import pytest

from airlock_modules.rules.grammar_rules import GrammarRules
from written_modules import ask_module, faults_of, read_module

SYNTAX = "[syntax]\nsubcommands = 2\n"


def test_subcommands_and_their_flags_are_read() -> None:
    """With those of any subcommand, exceptions, and patterns of subcommands."""
    text = (
        '[allow]\nflags = ["-C"]\nexcept = ["run & --force"]\n'
        '[allow.commands]\n"" = ["--version"]\n"c, a b" = ["*"]\n"* get-*" = ["--x=y"]\n'
    )
    rules = read_module(SYNTAX + text).rules
    assert isinstance(rules, GrammarRules)
    assert [rule.text for rule in rules.exceptions.rules] == ["run & --force"]
    assert rules.permitted is not None
    assert list(rules.permitted.commands) == ["", "c", "a b"]
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
        ('[allow.commands]\n"a b c" = []', '[allow] commands: "a b c" has more words '),
        ('[allow.commands]\n"a, b" = []\nb = []', '[allow] commands.b: "b" is listed twice; '),
        ('[allow.commands]\n"a [" = []', '[allow] commands."a [": the pattern '),
        ('[allow.commands]\na = "x"', "[allow] commands.a: must be an array, "),
        ('[deny]\nargs = [{ rule = "a" }]', "[deny] args.1.reason: is missing; "),
        ('[deny]\nargs = [{ reason = "a" }]', "[deny] args.1: must have either rule or rules; "),
        ('[deny]\nargs = ["a", { rules = [""], reason = "b" }]', "[deny] args: item 2: a rule, "),
        ('[deny]\nargs = [{ rule = "a", reason = "b\\n" }]', "[deny] args.1.reason: is more than "),
        ('[allow]\nunlisted = ["a"]\n[allow.commands]', '[allow] unlisted: item 1: "a" has no '),
        ("[allow]\nargs = []\nunlisted = []", "[allow] unlisted: this key needs an [allow.com"),
    ],
)
def test_a_fault_of_the_rules_says_where(text: str, fault: str) -> None:
    """Whoever writes them is told where they are wrong."""
    found = faults_of(SYNTAX + text)
    assert len(found) == 1
    assert found[0].startswith("tool.toml: " + fault)


REASONS = """
[allow]
reason = "nothing else is needed"
except = [
  "push & +*",
  { rule = "push & --force", reason = "it overwrites the work of others" },
]
[[allow.unlisted]]
reason = "it shows passwords"
names = ["credential", "config --list"]
[[allow.unlisted]]
reason = "it destroys"
name = "{delete,terminate}-*"
[[allow.unlisted]]
reason = "it runs a program"
names = ["-c=*program*", "--exec"]
[allow.commands]
push = []
config = ["--get"]
"""


@pytest.mark.parametrize(
    ("line", "rule", "reason"),
    [
        ("push --force", "push & --force", "it overwrites the work of others"),
        ("push +x", "push & +*", None),
        ("credential fill", "command", "it shows passwords"),
        ("config --list", "--list", "it shows passwords"),
        ("terminate-x", "command", "it destroys"),
        ("push --exec x", "--exec", "it runs a program"),
        ("push -c=a.program=x", "-c", "it runs a program"),
        ("push -c=x", "-c", "nothing else is needed"),
        ("push --list", "--list", "nothing else is needed"),
        ("start-x", "command", "nothing else is needed"),
        ("", "command", "nothing else is needed"),
    ],
)
def test_a_refusal_gives_the_reason(line: str, rule: str, reason: str | None) -> None:
    """That of the rule, or that of what is not listed: the first that names it, else of all."""
    decision = ask_module(read_module(f"[syntax]\nsubcommands = 1\n{REASONS}"), *line.split())
    assert (decision.rule, decision.reason) == (rule, reason)
    end = reason or 'its module has the rule "push & +*"'
    assert decision.message.endswith(f" is refused: {end}")


def test_rules_without_a_grammar_have_reasons_too() -> None:
    """Several may share one; what only an allow list lacks has the reason of all."""
    deny = '[deny]\nargs = ["a", { rules = ["b", "--c=d"], reason = "no" }]'
    assert ask_module(read_module(deny), "--c", "d").message == (
        'tool with "--c", "d" is refused: no'
    )
    allow = '[allow]\nargs = [{ rule = "a", reason = "yes" }]\nreason = "only a is needed"'
    assert ask_module(read_module(allow), "a").reason == "yes"
    assert ask_module(read_module(allow), "b").message == (
        'tool with "b" is refused: only a is needed'
    )


@pytest.mark.parametrize("line", ["flags = []", "except = []", "commands = {}", "unlisted = []"])
def test_what_needs_a_grammar_is_refused_without_one(line: str) -> None:
    """Arguments that are read by their form alone could not be held to it."""
    found = faults_of(f"[allow]\nargs = []\n{line}\n")
    assert len(found) == 1
    assert "needs a [syntax]" in found[0]


def test_subcommands_that_are_too_long_are_one_fault() -> None:
    """A copy of a module lists dozens of them where its table has become a smaller one."""
    listed = '[allow.commands]\n"a b, a, c d e" = []\n"f g" = ["*"]\n'
    (found,) = faults_of(f"[syntax]\nsubcommands = 1\n[allow]\n{listed}")
    assert found == (
        'tool.toml: [allow] commands: "a b" and 2 more have more words than the option table says, '
        "1; list them by their beginnings, or write rules in args"
    )
