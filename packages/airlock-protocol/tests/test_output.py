"""Output as messages."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock_wire import NEED_DATA, ClientSession, Line, Output, Request, Stream
from airlock_wire.output import TextEncoder, encode_bytes

PIECES = st.lists(
    st.binary(max_size=6)
    | st.text(max_size=4).map(str.encode)
    | st.sampled_from([b"\xe2", b"\x82", b"\xac", b"\xf0\x9f", b"\xed\xa0\x80", b"\xc3"])
)

IGNORED = b'{"method":"later"}\n'


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


@given(pieces=PIECES)
def test_bytes_are_exact_however_they_are_cut(pieces: list[bytes]) -> None:
    """Each piece is sent at once and whole, even if it ends within a character."""
    session = ClientSession()
    request = Request(id=1, method="exec", command="git", args=(), features=("base64",))
    session.send_request(request)
    session.receive_data(b'{"method":"start","params":{"features":["base64"]}}\n')
    session.next_event()
    for piece in pieces:
        session.receive_data(encode_bytes("stdout", piece) or IGNORED)
        event = session.next_event()
        assert event == (Output(stream="stdout", data=piece) if piece else NEED_DATA)


def test_a_decoder_is_kept_no_longer_than_needed() -> None:
    """After a broken piece that ends whole, the next one takes the short way again."""
    encoder = TextEncoder()
    assert read_text(encoder.encode("stdout", b"\xff"), "stdout") == "\ufffd"
    assert not encoder._decoders
    encoder.encode("stdout", b"\xc3")
    assert read_text(encoder.encode("stdout", memoryview(b"\xa9")), "stdout") == "é"
    assert not encoder._decoders
    assert encoder.flush() == b""
