"""Text that may not be UTF-8."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
