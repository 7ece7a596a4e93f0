"""Encoding a command's output as messages, as text or byte for byte."""

import codecs
from typing import Final

from airlock_wire.notifications import Stream
from airlock_wire.pieces import Line, Piece, PieceEncoder

_ENCODERS: Final[dict[Stream, PieceEncoder]] = {
    stream: PieceEncoder(
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
