"""Encoding a command's output as messages, in the protocol's two forms: text and base64.

A piece may have 64 KiB to 1 MiB, and most of a stream's time is spent here. So the constant prefix
and suffix of a message are bytes, and the piece is encoded directly into the returned buffer.
"""

import codecs
from typing import Final

import msgspec

from airlock_wire.events import Stream

Piece = bytes | bytearray | memoryview
"""Bytes of a stream; a memoryview must be contiguous, with one-byte items."""

Line = bytes | bytearray
"""A message with its newline, owned by the caller; empty if there is nothing to send."""

_ENCODER: Final = msgspec.json.Encoder()
_END: Final = b"}}\n"


class _PieceEncoder:
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


_ENCODERS: Final[dict[Stream, _PieceEncoder]] = {
    stream: _PieceEncoder(
        b'{"jsonrpc":"2.0","method":"output","params":{"stream":"%b",' % stream.encode()
    )
    for stream in ("stdout", "stderr")
}


def encode_bytes(stream: Stream, data: Piece) -> Line:
    """Return the notification for exactly these bytes (feature `base64`)."""
    return _ENCODERS[stream].encode_bytes(data)


class TextEncoder:
    """Encodes bytes as notifications of text; invalid UTF-8 becomes U+FFFD.

    The concatenated text of a stream is the same as decoding all its bytes at once, however they
    were split: the first bytes of a character wait for the rest.
    """

    def __init__(self) -> None:
        # Only streams whose last piece was not complete UTF-8 have one.
        self._decoders: dict[Stream, codecs.IncrementalDecoder] = {}

    def encode(self, stream: Stream, data: Piece) -> Line:
        """Return the notification for `data`; empty if it is only part of a character."""
        return _ENCODERS[stream].encode_text(self._decode(stream, data))

    def flush(self) -> bytes:
        """Return the notifications for incomplete characters at the end."""
        return b"".join(
            encoder.encode_text(self._decoders.pop(stream).decode(b"", final=True))
            for stream, encoder in _ENCODERS.items()
            if stream in self._decoders
        )

    def _decode(self, stream: Stream, data: Piece) -> str:
        decoder = self._decoders.get(stream)
        if decoder is None:
            try:
                return str(data, "utf-8")
            except UnicodeDecodeError:
                decoder = codecs.getincrementaldecoder("utf-8")("replace")
                self._decoders[stream] = decoder
        text = decoder.decode(bytes(data))
        if not decoder.getstate()[0]:
            del self._decoders[stream]
        return text


def _encode(head: bytes, data: str | Piece) -> bytearray:
    # A bytearray grows in place; joining bytes would allocate and copy the piece again, which takes
    # most of the time for 256 KiB.
    line = bytearray(head)
    _ENCODER.encode_into(data, line, len(head))
    line += _END
    return line
