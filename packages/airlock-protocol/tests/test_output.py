"""Output as messages."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock_wire import Line, Piece, Stream
from airlock_wire.output import TextEncoder, encode_bytes

PIECES = st.lists(
    st.binary(max_size=6)
    | st.text(max_size=4).map(str.encode)
    | st.sampled_from([b"\xe2", b"\x82", b"\xac", b"\xf0\x9f", b"\xed\xa0\x80", b"\xc3"])
)


def read_text(lines: Line, stream: Stream) -> str:
    messages = [json.loads(line)["params"] for line in lines.splitlines()]
    return "".join(params["data"] for params in messages if params["stream"] == stream)


@given(pieces=PIECES)
def test_any_chunking_gives_the_text_of_the_whole(pieces: list[bytes]) -> None:
    """A split character stays whole, and U+FFFD appears as in decoding all bytes at once."""
    encoder = TextEncoder()
    sent = b"".join(encoder.encode("stdout", piece) for piece in pieces) + encoder.flush()
    assert read_text(sent, "stdout") == b"".join(pieces).decode("utf-8", "replace")


@given(pieces=st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.binary(max_size=4))))
def test_streams_do_not_mix(pieces: list[tuple[Stream, bytes]]) -> None:
    """A character begun on one stream does not wait for, or take from, the other."""
    encoder = TextEncoder()
    sent = b"".join(encoder.encode(stream, piece) for stream, piece in pieces) + encoder.flush()
    for stream in ("stdout", "stderr"):
        written = b"".join(piece for name, piece in pieces if name == stream)
        assert read_text(sent, stream) == written.decode("utf-8", "replace")


@given(data=st.binary(max_size=64))
def test_at_most_three_bytes_are_held_back(data: bytes) -> None:
    """All but the beginning of one character is sent at once."""
    sent = read_text(TextEncoder().encode("stdout", data), "stdout")
    assert any(
        data[: len(data) - held].decode("utf-8", "replace") == sent
        for held in range(min(4, len(data) + 1))
    )


@pytest.mark.parametrize("data", [b"", b"\xe2", b"\xe2\x82", b"\xf0\x9f\x98"])
def test_there_is_no_message_without_text(data: bytes) -> None:
    """An incomplete character alone gives no notification."""
    assert TextEncoder().encode("stdout", data) == b""


def test_a_notification_has_one_form() -> None:
    """The members come in one order and without spaces, so that a reader may match them."""
    sent = TextEncoder().encode("stderr", 'a"\n\x00é'.encode())
    assert sent == (
        b'{"jsonrpc":"2.0","method":"output","params":{"stream":"stderr",'
        b'"data":"a\\"\\n\\u0000\xc3\xa9"}}\n'
    )


def test_a_decoder_is_kept_no_longer_than_needed() -> None:
    """After a broken piece that ends whole, the next one takes the short way again."""
    encoder = TextEncoder()
    assert read_text(encoder.encode("stdout", b"\xff"), "stdout") == "\ufffd"
    assert not encoder._decoders
    encoder.encode("stdout", b"\xc3")
    assert read_text(encoder.encode("stdout", memoryview(b"\xa9")), "stdout") == "é"
    assert not encoder._decoders
    assert encoder.flush() == b""


def read_bytes(line: Line) -> bytes:
    params = json.loads(line)["params"]
    if params.get("encoding") == "base64":
        return base64.b64decode(params["data"], validate=True)
    data = params["data"]
    assert isinstance(data, str)
    return data.encode()


@given(data=st.binary(min_size=1) | st.text(min_size=1).map(lambda text: text.encode("utf-8")))
def test_bytes_survive(data: bytes) -> None:
    """For any bytes the message is one line that encodes exactly them."""
    line = encode_bytes("stdout", data)
    assert line.index(b"\n") == len(line) - 1
    assert read_bytes(line) == data


@pytest.mark.parametrize("data", ["plain", "é", '"\\\n\x01\x7f'])
def test_what_is_utf8_goes_as_text(data: str) -> None:
    """Base64 is for what has no other form."""
    params = json.loads(encode_bytes("stdout", data.encode()))["params"]
    assert params == {"stream": "stdout", "data": data}


@pytest.mark.parametrize("data", [b"\xff", b"caf\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"a\0b"])
def test_what_is_not_text_goes_in_base64(data: bytes) -> None:
    """The encoding comes before the data, so that a reader knows it in time."""
    encoded = base64.b64encode(data)
    assert encode_bytes("stdout", data) == (
        b'{"jsonrpc":"2.0","method":"output","params":{"stream":"stdout",'
        b'"encoding":"base64","data":"' + encoded + b'"}}\n'
    )


@pytest.mark.parametrize("data", [b"a\xff", b"ab"])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_may_lie_in_any_buffer(kind: type[Piece], data: bytes) -> None:
    """A reader's own buffer need not be copied first, and stays usable."""
    assert encode_bytes("stdout", kind(data)) == encode_bytes("stdout", data)


def test_nothing_makes_no_message() -> None:
    """There is no message for an empty piece."""
    assert encode_bytes("stdout", b"") == encode_bytes("stdout", memoryview(b"")) == b""


def test_each_message_is_the_callers_own() -> None:
    """The next one does not change it."""
    first = encode_bytes("stdout", b"a" * 9)
    second = encode_bytes("stdout", b"b")
    assert (read_bytes(first), read_bytes(second)) == (b"a" * 9, b"b")
