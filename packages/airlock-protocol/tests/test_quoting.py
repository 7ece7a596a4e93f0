"""Quoting untrusted text for people."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock_wire import escape, is_shown, quote


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("push", '"push"'),
        ("", '""'),
        ("a b", '"a b"'),
        ("größe", '"größe"'),
        ('say "x"', '"say \\"x\\""'),
        ("a\\b", '"a\\\\b"'),
        ("a\nb\tc\r", '"a\\nb\\tc\\r"'),
        ("\x1b[31m", '"\\u{1b}[31m"'),
        ("a\u202eb", '"a\\u{202e}b"'),
        ("a\u200bb", '"a\\u{200b}b"'),
        ("a\u2066b\ufeff", '"a\\u{2066}b\\u{feff}"'),
        ("a\u00a0b\u2028", '"a\\u{a0}b\\u{2028}"'),
        ("\u3164\u115f\ufe0f", '"\\u{3164}\\u{115f}\\u{fe0f}"'),
        ("x/\u05d0/1\u0661\u0627y", '"x/\\u{5d0}/1\\u{661}\\u{627}y"'),
        ("\U0001e900\U00016fe4\U000e0061", '"\\u{1e900}\\u{16fe4}\\u{e0061}"'),
        ("\udcff\udc80", '"\\xff\\x80"'),
        ("\ud800", '"\\u{d800}"'),
        ("\x7f\x85", '"\\u{7f}\\u{85}"'),
    ],
)
def test_what_could_mislead_is_escaped(text: str, quoted: str) -> None:
    """Control, bidirectional, zero-width and other invisible characters are written out.

    So are letters and digits from right to left.
    """
    assert quote(text) == quoted
    assert is_shown(text) == (quoted.replace('\\"', '"').replace("\\\\", "\\") == f'"{text}"')


def test_what_is_kept_is_not_escaped() -> None:
    assert escape('a "b"\n\x1b', keep='"\n') == 'a "b"\n\\u{1b}'


def test_a_long_text_takes_little_time() -> None:
    """It may be the body of a request, and everything else waits meanwhile."""
    text = '{"ä": "b"}' * 100_000
    began = time.process_time()
    for _ in range(10):
        quote(text, limit=None)
    assert time.process_time() - began < 1


def test_long_text_is_cut_and_its_length_said() -> None:
    """A message stays short for any input of a client."""
    assert quote("x" * 1000) == '"' + "x" * 200 + '"... (1000 characters)'
    assert quote("abc", limit=2) == '"ab"... (3 characters)'
    assert quote("x" * 1000, limit=None) == '"' + "x" * 1000 + '"'


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_quoted_text_can_be_printed_and_encoded(text: str) -> None:
    """For any input the output is one printable line of valid UTF-8."""
    quoted = quote(text)
    assert quoted.isprintable()
    assert quoted.encode()


@given(st.text(), st.text())
def test_different_texts_are_shown_differently(one: str, other: str) -> None:
    """Nothing is dropped, so two arguments never look the same."""
    assert (quote(one, limit=None) == quote(other, limit=None)) == (one == other)
