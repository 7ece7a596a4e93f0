"""Pieces of a stream as messages."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock_wire.pieces import Piece, PieceEncoder

ENCODER = PieceEncoder(b'{"params":{"x":1,')


def read(line: bytes | bytearray) -> bytes:
    params = json.loads(line)["params"]
    if params.get("encoding") == "base64":
        return base64.b64decode(params["data"], validate=True)
    data = params["data"]
    assert isinstance(data, str)
    return data.encode()


@given(data=st.binary(min_size=1) | st.text(min_size=1).map(lambda text: text.encode("utf-8")))
def test_bytes_survive(data: bytes) -> None:
    """For any bytes the message is one line that encodes exactly them."""
    line = ENCODER.encode_bytes(data)
    assert line.index(b"\n") == len(line) - 1
    assert read(line) == data


@pytest.mark.parametrize("data", ["plain", "é", '"\\\n\x01\x7f'])
def test_what_is_utf8_goes_as_text(data: str) -> None:
    """Base64 is for what has no other form."""
    assert json.loads(ENCODER.encode_bytes(data.encode())) == {"params": {"x": 1, "data": data}}


@pytest.mark.parametrize("data", [b"\xff", b"caf\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"a\0b"])
def test_what_is_not_text_goes_in_base64(data: bytes) -> None:
    """The encoding comes before the data, so that a reader knows it in time."""
    encoded = base64.b64encode(data)
    assert ENCODER.encode_bytes(data) == (
        b'{"params":{"x":1,"encoding":"base64","data":"' + encoded + b'"}}\n'
    )


@pytest.mark.parametrize("data", [b"a\xff", b"ab"])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_may_lie_in_any_buffer(kind: type[Piece], data: bytes) -> None:
    """A reader's own buffer need not be copied first, and stays usable."""
    assert ENCODER.encode_bytes(kind(data)) == ENCODER.encode_bytes(data)


def test_nothing_makes_no_message() -> None:
    """There is no message for an empty piece."""
    assert ENCODER.encode_bytes(b"") == ENCODER.encode_bytes(memoryview(b"")) == b""
    assert ENCODER.encode_text("") == b""


def test_each_message_is_the_callers_own() -> None:
    """The next one does not change it."""
    first = ENCODER.encode_bytes(b"a" * 9)
    second = ENCODER.encode_bytes(b"b")
    assert (read(first), read(second)) == (b"a" * 9, b"b")
