"""Tests of `airlock_modules.operation`: one line for any words."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock_modules.files.approvals import parse_operation
from airlock_modules.operation import LINE, MAX_WORD, Operation


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("gh", "POST", "/repos/acme/app/pulls"), "gh POST /repos/acme/app/pulls"),
        (
            ("git", "push", "github.com/acme/app", "refs/heads/x", "1111111..2222222"),
            "git push github.com/acme/app refs/heads/x 1111111..2222222",
        ),
        (("ssh", "deploy@build", "uptime; id"), 'ssh deploy@build "uptime; id"'),
        (("run", "sh", "-c", ""), 'run sh -c ""'),
        (("run", "a\nb", "\x1b[2J", "\u202e"), r'run "a\nb" "\u{1b}[2J" "\u{202e}"'),
        (("run", 'a"b'), r'run "a\"b"'),
    ],
)
def test_a_word_that_is_not_plain_is_quoted(words: tuple[str, ...], line: str) -> None:
    """So that different operations never share a line, and no line controls a terminal."""
    assert Operation(words).line == line


@given(st.lists(st.text(), max_size=50).map(tuple))
def test_a_line_is_printable_and_short(words: tuple[str, ...]) -> None:
    """Words that do not fit are counted."""
    line = Operation(words).line
    assert line.isprintable()
    assert len(line) <= LINE + len("... (50 more)")


@given(st.lists(st.text(st.characters(max_codepoint=126), max_size=8), max_size=5).map(tuple))
def test_the_words_can_be_told_apart(words: tuple[str, ...]) -> None:
    """A word with a space is not two words, and a quote in a word does not end it."""
    assert len(shlex.split(Operation(words).line.replace(r"\u{", "u"))) == len(words)


def test_long_words_and_many_of_them_are_cut() -> None:
    """The line says how much was cut."""
    line = Operation(("run", "x" * 1000, *["word"] * 1000)).line
    assert f'"{"x" * MAX_WORD}"... (1000 characters)' in line
    assert line.endswith(" more)")


@given(st.lists(st.text(), min_size=1, max_size=8).map(tuple))
def test_a_whole_line_parses_back(words: tuple[str, ...]) -> None:
    """Nothing is left out, and no other words have the same line."""
    line = Operation(words).whole
    assert line.isprintable()
    assert parse_operation(line).words == words


@given(st.text('ab *"\\\\nxu{}0fd.', max_size=20))
def test_whatever_parses_has_one_meaning(line: str) -> None:
    """Its words have a line of their own, with the same meaning; the rest is refused."""
    try:
        operation = parse_operation(line)
    except ValueError:
        return
    assert parse_operation(operation.whole) == operation


def test_bytes_that_were_not_utf_8_parse_back() -> None:
    """They are surrogates, as in Python's file names."""
    operation = Operation(("run", b"a\xff".decode("utf-8", "surrogateescape")))
    assert operation.whole == r'run "a\xff"'
    assert parse_operation(operation.whole) == operation


@pytest.mark.parametrize(
    "line",
    ["", " ", "run ", " run", "run  x", 'run "x', 'run "x"y', r'run "\q"', "run ... (3 more)"],
)
def test_what_is_no_line_is_refused(line: str) -> None:
    """Also a line from which words were left out."""
    with pytest.raises(ValueError, match="it has"):
        parse_operation(line)


def test_a_truncated_word_does_not_parse_back() -> None:
    """It would be taken for a shorter one."""
    with pytest.raises(ValueError, match="it has"):
        parse_operation(Operation(("run", "x" * (MAX_WORD + 1))).line)
