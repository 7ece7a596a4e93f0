"""Output as text."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock_wire.messages import Stream
from airlock_wire.output import OutputEncoder

PIECES = st.lists(
    st.binary(max_size=6)
    | st.text(max_size=4).map(str.encode)
    | st.sampled_from([b"\xe2", b"\x82", b"\xac", b"\xf0\x9f", b"\xed\xa0\x80", b"\xc3"])
)


def read_text(lines: bytes, stream: Stream) -> str:
    messages = [json.loads(line)["params"] for line in lines.splitlines()]
    return "".join(params["data"] for params in messages if params["stream"] == stream)


@given(pieces=PIECES)
def test_any_chunking_gives_the_text_of_the_whole(pieces: list[bytes]) -> None:
    """A character that is split stays whole, and U+FFFD stands where the whole would have it."""
    encoder = OutputEncoder()
    sent = b"".join(encoder.encode("stdout", piece) for piece in pieces) + encoder.flush()
    assert read_text(sent, "stdout") == b"".join(pieces).decode("utf-8", "replace")


@given(pieces=st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.binary(max_size=4))))
def test_streams_do_not_mix(pieces: list[tuple[Stream, bytes]]) -> None:
    """A character begun on one stream does not wait for, or take from, the other."""
    encoder = OutputEncoder()
    sent = b"".join(encoder.encode(stream, piece) for stream, piece in pieces) + encoder.flush()
    for stream in ("stdout", "stderr"):
        written = b"".join(piece for name, piece in pieces if name == stream)
        assert read_text(sent, stream) == written.decode("utf-8", "replace")


@given(data=st.binary(max_size=64))
def test_at_most_three_bytes_are_held_back(data: bytes) -> None:
    """All but the beginning of one character is sent at once."""
    sent = read_text(OutputEncoder().encode("stdout", data), "stdout")
    assert any(
        data[: len(data) - held].decode("utf-8", "replace") == sent
        for held in range(min(4, len(data) + 1))
    )


@pytest.mark.parametrize("data", [b"", b"\xe2", b"\xe2\x82", b"\xf0\x9f\x98"])
def test_there_is_no_message_without_text(data: bytes) -> None:
    """An incomplete character alone gives no notification."""
    assert OutputEncoder().encode("stdout", data) == b""


def test_a_notification_has_one_form() -> None:
    """The members come in one order and without spaces, so that a reader may match them."""
    sent = OutputEncoder().encode("stderr", 'a"\n\x00é'.encode())
    assert sent == (
        b'{"jsonrpc":"2.0","method":"output","params":{"stream":"stderr",'
        b'"data":"a\\"\\n\\u0000\xc3\xa9"}}\n'
    )
