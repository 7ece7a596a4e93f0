"""A piece of a stream as one message, in the two forms of the protocol: text, and base64.

A piece may be 64 KiB to 1 MiB, and most of a stream's time goes here. So the beginning and the end
of a message, which never change, are put around the piece as bytes, and the piece is encoded
straight into the buffer that is returned.
"""

from typing import Final

import msgspec

Piece = bytes | bytearray | memoryview
"""Bytes of a stream; a memoryview must be contiguous, with items of one byte."""

Line = bytes | bytearray
"""A message with its newline, which is the caller's alone; empty where nothing is to be sent."""

_ENCODER: Final = msgspec.json.Encoder()
_END: Final = b"}}\n"


class PieceEncoder:
    """Makes messages of the pieces of one stream.

    `beginning` is what comes before the members `encoding` and `data`, with its comma.
    """

    def __init__(self, beginning: bytes) -> None:
        self._text = beginning + b'"data":'
        self._base64 = beginning + b'"encoding":"base64","data":'

    def encode_text(self, text: str) -> Line:
        """The message for `text`, which holds no surrogate; empty for no text."""
        return _encode(self._text, text) if text else b""

    def encode_bytes(self, data: Piece) -> Line:
        """The message for exactly these bytes; base64 where they are not UTF-8, or hardly text.

        A zero byte is UTF-8 and takes six characters in JSON. Whole files of them are common.
        """
        if b"\0" in data:
            return _encode(self._base64, data)
        try:
            return self.encode_text(str(data, "utf-8"))
        except UnicodeDecodeError:
            return _encode(self._base64, data)


def _encode(head: bytes, data: str | Piece) -> bytearray:
    # A bytearray grows in place, where joining bytes would allocate and copy the piece once more:
    # for 256 KiB that is the better part of the time.
    line = bytearray(head)
    _ENCODER.encode_into(data, line, len(head))
    line += _END
    return line
