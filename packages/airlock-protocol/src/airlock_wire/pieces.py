"""Encoding a piece of a stream as one message, in the protocol's two forms: text and base64.

A piece may have 64 KiB to 1 MiB, and most of a stream's time is spent here. So the constant prefix
and suffix of a message are bytes, and the piece is encoded directly into the returned buffer.
"""

from typing import Final

import msgspec

Piece = bytes | bytearray | memoryview
"""Bytes of a stream; a memoryview must be contiguous, with one-byte items."""

Line = bytes | bytearray
"""A message with its newline, owned by the caller; empty if there is nothing to send."""

_ENCODER: Final = msgspec.json.Encoder()
_END: Final = b"}}\n"


class PieceEncoder:
    """Encodes pieces of one stream as messages.

    `beginning` is the message up to the members `encoding` and `data`, including the comma.
    """

    def __init__(self, beginning: bytes) -> None:
        self._text = beginning + b'"data":'
        self._base64 = beginning + b'"encoding":"base64","data":'

    def encode_text(self, text: str) -> Line:
        """Return the message for `text`, which has no surrogates; empty for no text."""
        return _encode(self._text, text) if text else b""

    def encode_bytes(self, data: Piece) -> Line:
        """Return the message for exactly these bytes, in base64 if not UTF-8 or if NUL occurs.

        A NUL takes six characters in JSON, and whole files of them are common.
        """
        if b"\0" in data:
            return _encode(self._base64, data)
        try:
            return self.encode_text(str(data, "utf-8"))
        except UnicodeDecodeError:
            return _encode(self._base64, data)


def _encode(head: bytes, data: str | Piece) -> bytearray:
    # A bytearray grows in place; joining bytes would allocate and copy the piece again, which takes
    # most of the time for 256 KiB.
    line = bytearray(head)
    _ENCODER.encode_into(data, line, len(head))
    line += _END
    return line
