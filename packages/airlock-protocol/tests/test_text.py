"""Text that may not be UTF-8, and quoting untrusted text for people."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock_wire import escape, is_shown, quote
from airlock_wire.text import decode_base64, encode_text, is_utf8, replace_surrogates


@given(data=st.binary())
def test_bytes_survive_the_way_over_the_wire(data: bytes) -> None:
    """Any bytes of an argument reach the other side unchanged."""
    text = data.decode("utf-8", "surrogateescape")
    sent = json.loads(json.dumps(encode_text(text)))
    received = decode_base64(sent["base64"]) if isinstance(sent, dict) else sent
    assert received == text
    assert received.encode("utf-8", "surrogateescape") == data


@given(data=st.binary())
def test_only_what_is_not_utf8_is_encoded(data: bytes) -> None:
    """Text that JSON can represent is unchanged."""
    text = data.decode("utf-8", "surrogateescape")
    assert isinstance(encode_text(text), str) == is_utf8(text)


def test_surrogates_that_stand_for_no_byte_are_refused() -> None:
    """Text that no path or argument can be is an error, not something else silently."""
    with pytest.raises(UnicodeEncodeError):
        encode_text("\ud800")


@pytest.mark.parametrize(
    "encoded", ["a", "YQ", "YQ=", "YQ===", "!!!!", "_w==", "YQ==\n", " YQ==", "é", "YQ==YQ=="]
)
def test_only_one_spelling_of_base64_is_read(encoded: str) -> None:
    """Padding, alphabet and the absence of white space are checked."""
    with pytest.raises(ValueError, match="not base64"):
        decode_base64(encoded)


@given(text=st.text() | st.binary().map(lambda data: data.decode("utf-8", "surrogateescape")))
def test_messages_can_always_be_written(text: str) -> None:
    """Replacing surrogates gives text that UTF-8 can carry, and leaves other text alone."""
    replaced = replace_surrogates(text)
    replaced.encode()
    if is_utf8(text):
        assert replaced == text


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
