import pytest

from airlock_modules import ModuleError, load_options, parse_options
from tool_table import TEXT

HEAD = 'tool = "x"\nversion = "1"\nsource = "y"\n'


def faults_of(text: str) -> list[str]:
    with pytest.raises(ModuleError) as caught:
        parse_options(text, "options.toml")
    return [str(fault) for fault in caught.value.faults]


def test_a_table_says_what_it_is_of() -> None:
    """Tool and version stand in messages."""
    table = parse_options(TEXT, "options.toml")
    assert (table.tool, table.version) == ("tool", "1")
    assert (table.depth, table.is_closed) == (2, True)


def test_a_command_inherits_the_style_of_its_tool_and_may_differ() -> None:
    """What a command says goes before what the file says."""
    table = parse_options(TEXT, "options.toml")
    assert (table.commands["push"].abbreviations, table.commands["plain"].abbreviations) == (
        True,
        False,
    )
    assert (table.commands["push"].interspersed, table.commands["plain"].interspersed) == (
        True,
        False,
    )
    assert (table.commands["run"].stops, table.commands["push"].stops) == (True, False)


def test_a_command_with_nested_ones_has_words_only_where_that_is_said() -> None:
    """Else an unlisted nested command would pass for a word."""
    commands = parse_options(TEXT, "options.toml").commands
    assert [(key, commands[key].takes_words) for key in ("remote", "config", "push")] == [
        ("remote", False),
        ("config", True),
        ("push", True),
    ]
    assert commands["add"].path_words


def test_words_that_only_begin_subcommands_have_a_scope() -> None:
    """Each of them can be read, and is found to have nothing of its own."""
    table = parse_options(HEAD + 'subcommands = 3\n[commands."a b c"]\n', "options.toml")
    assert [(key, scope.nested) for key, scope in table.commands.items()] == [
        ("a", True),
        ("a b", True),
        ("a b c", False),
    ]


def test_an_open_table_is_open_behind_the_whole_subcommand_only() -> None:
    """Before it is complete an unlisted flag could have one of its words for a value."""
    text = HEAD + 'subcommands = 2\nopen = true\n[commands."a b"]\n[commands.a]\n'
    table = parse_options(text, "options.toml")
    is_open = {" ".join(scope.key): scope.is_open for scope in table.commands.values()}
    assert is_open == {"a b": True, "a": False}
    assert table.elsewhere is not None
    assert (table.root.is_open, table.elsewhere.is_open) == (False, True)


def test_a_command_may_have_several_names() -> None:
    """Each of them is read as the first, and a name stands for one command."""
    text = HEAD + 'subcommands = 2\n[commands.run]\nflags = ["-x"]\nalso = ["a run"]\n'
    commands = parse_options(text, "options.toml").commands
    assert commands["a run"].key == ("a", "run")
    assert commands["a run"].flags == commands["run"].flags
    for again in ("[commands.a]", '[commands."a run"]'):
        found = faults_of(f'{text}{again}\nalso = ["a run"]\n')
        assert any('.also: "a run" is there twice; ' in line for line in found), found


def test_flags_without_a_subcommand_may_stand_under_the_empty_name() -> None:
    """They are those before a subcommand, and the only ones where there is none."""
    table = parse_options(HEAD + '[commands.""]\nflags = ["-x"]\nwords = "paths"\n', "o.toml")
    assert "-x" in table.root.flags.exact
    assert table.root.path_words
    assert table.commands == {}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "options.toml: tool: is missing; "),
        (HEAD + 'style = "dos"', 'options.toml: style: "dos" is not one of its values; '),
        (HEAD + "subcommands = 9", "options.toml: subcommands: 9 is too large; "),
        (HEAD + "subcommands = 1", "options.toml: commands: lists none; "),
        (HEAD + 'global = ["x"]', 'options.toml: global: item 1: "x" is not the name of a flag'),
        (HEAD + 'global = ["-x", "-y -x"]', 'options.toml: global: item 2: "-x" is there twice'),
        (
            HEAD + '[commands."a b"]',
            'options.toml: [commands] "a b": has 2 words, and subcommands says 0; ',
        ),
        (
            HEAD + 'subcommands = 2\n[commands."a "]',
            'options.toml: [commands] "a ": has a space too many; ',
        ),
        (
            HEAD + 'subcommands = 1\n[commands.a]\nflag = ["-x"]',
            "options.toml: [commands] a.flag: unknown key; ",
        ),
        (
            HEAD + 'subcommands = 1\n[commands.a]\nstops = "now"',
            'options.toml: [commands] a.stops: "now" is not one of its values; ',
        ),
    ],
)
def test_a_fault_of_a_table_says_where(text: str, fault: str) -> None:
    """Whoever writes a table is told where it is wrong."""
    assert any(line.startswith(fault) for line in faults_of(text)), faults_of(text)


def test_a_text_that_is_no_toml_is_one_fault() -> None:
    """As for every other file."""
    assert len(faults_of("[")) == 1


def test_the_table_of_a_builtin_module_is_found_by_its_name() -> None:
    """Another name has none."""
    assert load_options("ssh").tool == "ssh"
    with pytest.raises(KeyError):
        load_options("../ssh")
