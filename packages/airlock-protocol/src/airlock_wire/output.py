"""The command's output as messages: its text alone, or byte for byte."""

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
    """The notification for exactly these bytes (feature `base64`)."""
    return _ENCODERS[stream].encode_bytes(data)


class TextEncoder:
    """Makes notifications of the text of bytes: what is not UTF-8 becomes U+FFFD.

    The text of all notifications of a stream together is what decoding all its bytes at once would
    give, however they were cut: a character stays whole, its first bytes wait for the rest.
    """

    def __init__(self) -> None:
        # Of streams whose last piece was not all UTF-8; the others need none.
        self._decoders: dict[Stream, codecs.IncrementalDecoder] = {}

    def encode(self, stream: Stream, data: Piece) -> Line:
        """The notification for `data`; empty where all of it begins a character yet to come."""
        return _ENCODERS[stream].encode_text(self._decode(stream, data))

    def flush(self) -> bytes:
        """The notifications for characters that were begun and never ended."""
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
