from airlock_modules.files.toml_reader import Fault, join_key


def test_a_fault_is_one_line_with_file_table_key_problem_and_remedy() -> None:
    """A key in a table is shown as `[table] key`."""
    fault = Fault("git.toml", "command.bin", "is missing", "add it")
    assert str(fault) == "git.toml: [command] bin: is missing; add it"


def test_a_fault_of_a_top_level_key_names_the_key_alone() -> None:
    """A key outside of tables has no brackets."""
    assert str(Fault("a.toml", "commands", "is empty", "fill it")) == (
        "a.toml: commands: is empty; fill it"
    )


def test_a_fault_of_the_whole_file_names_no_key() -> None:
    """The empty key means the file."""
    assert str(Fault("a.toml", "", "is empty", "fill it")) == "a.toml: is empty; fill it"


def test_keys_are_quoted_where_toml_asks_for_it() -> None:
    """A part that is no bare key is quoted, and its control characters are escaped."""
    assert join_key(("workspace", "mounts", "/a.b")) == 'workspace.mounts."/a.b"'
    assert join_key(('a"\n',)) == '"a\\"\\u000A"'


def test_a_quoted_first_part_is_shown_as_the_table() -> None:
    """A dot inside quotes does not separate."""
    assert str(Fault("f", '"a.b".path', "p", "r")) == 'f: ["a.b"] path: p; r'
