"""Output that is held back for a post-exec hook, and the message in which the hook gets it."""

import binascii
import codecs
from collections.abc import Iterator

import msgspec

from airlock_daemon.command.launch import Ended
from airlock_wire import Stream

# What is encoded at once, in bytes: a multiple of three, so that base64 can be put together.
PIECE = 3 * 4096


class Captured:
    """The bytes of one stream, and whether they are UTF-8."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._is_text = True

    def add(self, data: bytes) -> None:
        """Take what comes next."""
        self.data += data
        if self._is_text:
            try:
                self._decoder.decode(data)
            except UnicodeDecodeError:
                self._is_text = False

    def encode(self) -> Iterator[bytes]:
        """The JSON of it, in pieces: a string, or `{"base64": ...}` where it is not UTF-8."""
        is_text = self._is_text and not self._decoder.getstate()[0]
        yield b'"' if is_text else b'{"base64":"'
        decoder = codecs.getincrementaldecoder("utf-8")()
        for start in range(0, len(self.data), PIECE):
            piece = self.data[start : start + PIECE]
            if is_text:
                yield msgspec.json.encode(decoder.decode(piece))[1:-1]
            else:
                yield binascii.b2a_base64(piece, newline=False)
        yield b'"' if is_text else b'"}'


class Capture:
    """What one command puts out: the first `most` bytes, both streams together.

    The rest is counted in `dropped`.
    """

    def __init__(self, most: int) -> None:
        self._left = most
        self.stdout = Captured()
        self.stderr = Captured()
        self.dropped = 0

    async def take(self, stream: Stream, data: bytes) -> None:
        """Take the next piece."""
        kept = data[: self._left]
        (self.stdout if stream == "stdout" else self.stderr).add(kept)
        self._left -= len(kept)
        self.dropped += len(data) - len(kept)

    def encode(self, ended: Ended) -> Iterator[bytes]:
        """The message for the hook, in pieces, with how the command ended."""
        yield b'{"jsonrpc":"2.0","id":1,"result":{"exit_code":%d,"stdout":' % ended.exit_code
        yield from self.stdout.encode()
        yield b',"stderr":'
        yield from self.stderr.encode()
        if self.dropped:
            yield b',"dropped_bytes":%d' % self.dropped
        yield b"}}\n"
