"""Packets, one after the other."""

import pytest

from airlock_modules.remotes.destination import RemoteError
from airlock_modules.remotes.git_protocol import PacketReader, frame


def test_a_packet_comes_out_when_its_last_byte_is_there() -> None:
    """Bytes one by one: nothing before the end, and what follows stays."""
    reader = PacketReader(limit=100)
    for byte in b"0009refs":
        reader.feed(bytes([byte]))
        assert reader.take() is None
    reader.feed(b"/0000")
    assert [reader.take(), reader.take(), reader.take()] == [b"refs/", b"", None]
    assert reader.received == b"0009refs/0000"


@pytest.mark.parametrize(
    "data",
    [b"000G", b"00A0", b"+005", b" 005", b"0x05", b"0001", b"0002", b"0003", b"0004", b"fff1"],
)
def test_what_is_no_packet_of_a_list_is_refused(data: bytes) -> None:
    """Signs, blanks, upper case, delimiters, empty packets, and lengths past git's largest."""
    reader = PacketReader(limit=1 << 20)
    reader.feed(data)
    with pytest.raises(RemoteError):
        reader.take()


def test_a_list_has_an_end() -> None:
    """Packets beyond the limit are not given."""
    reader = PacketReader(limit=10)
    reader.feed(frame(b"refs/heads/a") * 2)
    assert reader.take() == b"refs/heads/a"
    with pytest.raises(RemoteError, match="more than 10 bytes"):
        reader.take()
