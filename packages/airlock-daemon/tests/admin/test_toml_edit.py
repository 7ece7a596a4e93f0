"""Tests of the edits of TOML in `airlock_daemon.files`: nothing else of a file changes."""

import subprocess
import sys
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tomlkit import TOMLDocument

from airlock_daemon.admin.toml_edit import (
    append_table,
    comment_out,
    extend_array,
    quote_string,
    remove_table,
)

CONFIG = """\
# What may run here.

[commands] # the ceiling
enable = ["git"] # and nothing else

[daemon]
log_level = 'info'
"""


def enable(text: str, *names: str) -> str | None:
    return extend_array(text, "commands", "enable", names)


def test_only_the_line_of_the_array_changes() -> None:
    """Comments, quotes and blank lines stay."""
    assert enable(CONFIG, "ssh", "aws") == CONFIG.replace('["git"]', '["git", "ssh", "aws"]')


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('[\n    "git"\n]', '[\n    "git",\n    "x"\n]'),
        ('[\n\t"git", # ]\n]', '[\n\t"git", # ]\n\t"x",\n]'),
        ('["#", "]", """\n]""", \'\'\'"\'\'\']', '["#", "]", """\n]""", \'\'\'"\'\'\', "x"]'),
    ],
)
def test_an_array_is_continued_as_it_is_written(before: str, after: str) -> None:
    """On one line or many, whatever its strings and comments have."""
    head, tail = "[commands]\nother = [1]\nenable = ", "\n[log]\nenable = []\n"
    assert enable(head + before + tail, "x") == head + after + tail


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '[commands]\nenable = ["x"]\n'),
        ("[log]\na = 1", '[log]\na = 1\n\n[commands]\nenable = ["x"]\n'),
        ("[commands] # c\n\n[log]\n", '[commands] # c\nenable = ["x"]\n\n[log]\n'),
        ('commands.enable = ["git"]\n', 'commands.enable = ["git", "x"]\n'),
    ],
)
def test_what_is_missing_is_made(before: str, after: str) -> None:
    """The key in its table, or both after all else."""
    assert enable(before, "x") == after


@pytest.mark.parametrize(
    "text", ["commands = 3\n", "commands.enable = 3\n", "[[commands]]\nenable = []\n"]
)
def test_another_form_is_left_to_its_owner(text: str) -> None:
    """Rather than written anew, or broken."""
    assert enable(text, "x") is None


def test_what_the_library_would_break_is_left_to_its_owner() -> None:
    """It puts the comma behind a comment here, and the result is no TOML."""
    assert enable('[commands]\nenable = [\n  "git" # one\n  # two\n]\n', "x") is None


def test_line_ends_of_another_system_stay() -> None:
    """In a line that is added too."""
    text = '[commands]\r\nenable = [\r\n  "git"\r\n]\r\n'
    assert enable(text, "x") == text.replace('"git"', '"git",\r\n  "x"')
    assert append_table("[a]\r\n", "b", {"c": "d"}) == '[a]\r\n\r\n[b]\r\nc = "d"\r\n'
    assert remove_table("[a]\r\n\r\n[b]\r\nc = 1\r\n\r\n[d]\r\n", "b") == "[a]\r\n\r\n[d]\r\n"


def test_mixed_line_ends_stay_as_they_are() -> None:
    """No line is changed that says the same as before."""
    text = '# a\r\n[commands]\nenable = ["git"]\r\n'
    assert enable(text, "x") == text.replace('"git"', '"git", "x"')
    assert append_table("[a]\r\n# b\n", "b", {"c": "d"}) == '[a]\r\n# b\n\n[b]\nc = "d"\n'


def test_a_table_is_added_after_all_else() -> None:
    """Its name is quoted where TOML asks for it, and another one of that name stays."""
    assert append_table("# c", "a.b", {"path": 'x"\\'}) == '# c\n\n["a.b"]\npath = "x\\"\\\\"\n'
    assert append_table("[my]\n", "my", {"path": "x"}) is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[my]\npath = 'x'\n", ""),
        ("# all\n[my] # c\npath = [\n]\n# left\n", "# all\n# left\n"),
        ("[a]\n\n[my]\npath = 'x'\n\n# of b\n[b]\n", "[a]\n\n# of b\n[b]\n"),
        ("[a]\n\n[my]\npath = 'x'\n", "[a]\n"),
        ("['my']\npath = 'x'\n[my2]\n", "[my2]\n"),
        ("my.path = 'x'\r\n[a]\n", "[a]\n"),
    ],
)
def test_a_table_is_removed_and_what_stands_around_it_stays(before: str, after: str) -> None:
    """Comments outside of it, and the blank line between its neighbours."""
    assert remove_table(before, "my") == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x = 1 # one\n[t]\na = 1\nb = 2\n", "# x = 1 # one\n[t]\n# a = 1\nb = 2\n"),
        ("[t]\n  a = [\n  1, # one\n]\n", "[t]\n#   a = [\n#   1, # one\n# ]\n"),
        ('t.a = """\n[x]\n"""\r\nt.b = 1', '# t.a = """\n# [x]\n# """\r\nt.b = 1'),
        ("[x]\na = 1\n[x.y]\nb = 2\n[t]\nb = 1", "# [x]\n# a = 1\n# [x.y]\n# b = 2\n[t]\nb = 1"),
        ("[[x]]\na = 1\n[[x]]\n", "# [[x]]\n# a = 1\n# [[x]]\n"),
        ("[u]\nx = 1\n", "[u]\nx = 1\n"),
        ("", ""),
    ],
)
def test_what_is_commented_out_is_there_still(before: str, after: str) -> None:
    """With all of its lines, and what is below it; what has the same name elsewhere stays."""
    assert comment_out(before, [("x",), ("t", "a")]) == after


def test_of_tables_that_end_alike_the_right_one_becomes_a_comment() -> None:
    """Its header comes before its lines."""
    text = "[a]\nx = 1\n[b]\nx = 1\n[c]\nx = 1\n"
    assert comment_out(text, [("b",)]) == "[a]\nx = 1\n# [b]\n# x = 1\n[c]\nx = 1\n"


def test_what_the_library_drops_beside_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left is held against what another reader of TOML says."""
    pop: Any = TOMLDocument.pop

    def drop_more(document: Any, name: str, *rest: Any) -> Any:
        pop(document, "deny", None)
        return pop(document, name, *rest)

    monkeypatch.setattr(TOMLDocument, "pop", drop_more)
    assert remove_table("[old]\nx = 1\n\n[deny]\ny = 1\n", "old") is None


def test_what_cannot_be_commented_out_alone_is_left_to_its_owner() -> None:
    """A key of an inline table, whose line has others."""
    assert comment_out("t = { a = 1, b = 2 }\n", [("t", "a")]) is None


WORDS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=8)


@given(old=st.lists(WORDS, max_size=4), new=st.lists(WORDS, min_size=1, max_size=3))
def test_every_string_comes_back_as_it_was(old: list[str], new: list[str]) -> None:
    """Whatever it has in it, on one line and on several."""
    for gap in (" ", "\n"):
        items = f",{gap}".join(map(quote_string, old))
        text = f"[commands]\nenable = [{gap}{items}{gap}]\n"
        changed = enable(text, *new)
        assert changed is not None
        assert tomllib.loads(changed) == {"commands": {"enable": [*old, *new]}}


def test_a_daemon_that_serves_edits_nothing() -> None:
    """The library is imported by an edit alone."""
    program = "import sys, airlock_daemon.serving.daemon.daemon; print('tomlkit' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
