"""The command's output as text: characters stay whole, and what is not UTF-8 is replaced."""

import codecs
from typing import Final

from airlock_wire.messages import OutputMessage, OutputParams, Stream, encode_message

_STREAMS: Final[tuple[Stream, ...]] = ("stdout", "stderr")


class OutputEncoder:
    """Makes output notifications of bytes.

    The text of all notifications of a stream together is what decoding all its bytes at once with
    U+FFFD for errors would give, however the bytes were cut.
    """

    def __init__(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")
        self._decoders = {stream: decoder("replace") for stream in _STREAMS}

    def encode(self, stream: Stream, data: bytes) -> bytes:
        """The notification for `data`; empty where all of it begins a character yet to come."""
        return _encode(stream, self._decoders[stream].decode(data))

    def flush(self) -> bytes:
        """The notifications for characters that were begun and never ended."""
        return b"".join(
            _encode(stream, decoder.decode(b"", final=True))
            for stream, decoder in self._decoders.items()
        )


def _encode(stream: Stream, text: str) -> bytes:
    if not text:
        return b""
    params = OutputParams(stream=stream, data=text)
    return encode_message(OutputMessage(jsonrpc="2.0", method="output", params=params))
