import pytest

from airlock_modules import builtin_names, load_builtin, review_module
from airlock_modules.files import option_files
from airlock_modules.files.option_files import load_options, parse_options
from written_modules import read_module


def problems(rules: str, *, syntax: str = "") -> list[str]:
    module = read_module(f"{syntax}\n{rules}")
    return [f"{fault.key}: {fault.problem}" for fault in review_module(module)]


SSH = '[syntax]\noptions = "ssh"'
TOOL = """
tool = "tool"
version = "1"
source = "a test"
subcommands = 2
[commands.kill]
flags = ["-s --signal VALUE"]
[commands.rm]
flags = ["-f --force"]
[commands."volume rm"]
flags = ["-f --force"]
"""


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> str:
    """A syntax whose option table lists all subcommands."""
    own = {"tool": parse_options(TOOL, "tool")}
    monkeypatch.setattr(
        option_files, "load_options", lambda name: own.get(name) or load_options(name)
    )
    return '[syntax]\noptions = "tool"'


@pytest.mark.parametrize("name", builtin_names())
def test_every_rule_of_a_builtin_module_has_an_effect(name: str) -> None:
    """None is shadowed, none names what the option table does not know, none steers the tool."""
    assert [str(fault) for fault in review_module(load_builtin(name))] == []


@pytest.mark.parametrize("syntax", ["", "[syntax]\nsubcommands = 1"])
def test_a_rule_that_another_covers_is_found(syntax: str) -> None:
    """The same parts, more parts, or a value of a flag that is refused whatever its value."""
    args = '"push & -f", "-f & push", "push & -f & -q", "--x", "--x=a", "push & --y=a"'
    assert problems(f"[deny]\nargs = [{args}]", syntax=syntax) == [
        'deny.args: the rule "-f & push" changes nothing beside "push & -f"',
        'deny.args: the rule "push & -f & -q" changes nothing beside "-f & push"',
        'deny.args: the rule "--x=a" changes nothing beside "--x"',
    ]


def test_a_flag_that_the_table_does_not_know_is_found(closed: str) -> None:
    """In rules, in exceptions and in lists."""
    (found,) = problems('[deny]\nargs = ["-v", "-z", "-*=x"]', syntax=SSH)
    assert found.startswith('deny.args: the rule "-z" cannot match: the option table of ssh ')
    rules = '[allow]\nflags = ["--nope"]\nexcept = ["--what"]\n[allow.commands]\nkill = ["-x", "*"]'
    assert [line.partition(":")[0] for line in problems(rules, syntax=closed)] == [
        "allow.except",
        "allow.flags",
        "allow.commands.kill",
    ]


def test_a_subcommand_that_the_table_does_not_know_is_found(closed: str) -> None:
    """In rules and in lists; the words of nested ones are known."""
    rules = (
        '[allow]\nexcept = ["rm & --force", "nuke"]\n[allow.commands]\nkil = []\n"volume rm" = []'
    )
    assert [line.partition(":")[0] for line in problems(rules, syntax=closed)] == [
        "allow.except",
        "allow.commands.kil",
    ]


def test_an_open_table_knows_every_flag() -> None:
    """Nothing can be missed in it."""
    assert problems('[deny]\nargs = ["--x", "run"]', syntax="[syntax]\nsubcommands = 1") == []


def test_a_forwarded_variable_that_steers_the_tool_is_found() -> None:
    """The finding names the entry and what it lets in; what strip or set overrule is not found."""
    text = """
    [deny]
    args = ["-x", "-x"]
    [env]
    forward = ["LD_PRELOAD", "HOME", "TZ", "P*", "GIT_D*", "GIT_AUTHOR_*", "A_PAGER"]
    strip = ["GIT_DIR"]
    """
    found = [(fault.key, fault.problem) for fault in review_module(read_module(text))]
    steers = "can choose programs, files, accounts or peers for the tool"
    assert found == [
        ("deny.args", 'the rule "-x" changes nothing beside "-x"'),
        ("env.forward", f"LD_PRELOAD lets in LD_*, which {steers}"),
        ("env.forward", f"HOME {steers}"),
        ("env.forward", f"P* lets in PATH, which {steers}"),
        ("env.forward", f"A_PAGER {steers}"),
    ]
    boxed = [*review_module(read_module(f'{text}[sandbox]\nbox = "closed"\n'))]
    assert [fault.key for fault in boxed] == ["deny.args"]
