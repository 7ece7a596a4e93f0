"""An HTTP answer as it comes: its head is checked, and its body read in pieces."""

import zlib
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import h11

from airlock_daemon.errors import Failed
from airlock_wire import quote

PIECE = 65536

TRY_AGAIN = "try again; whoever runs the server, or a proxy before it, can see what it answers"
"""What to do about an answer that is not taken."""

# zlib's word for a stream with the header of gzip or of its own (zlib.decompressobj).
_ANY_HEADER = 47
_PACKED = ("gzip", "x-gzip", "deflate")

Event = h11.Data | h11.EndOfMessage


class Answer:
    """What a server says to one request. `status` is of three digits, and no 1xx."""

    def __init__(self, head: h11.Response, next_event: Callable[[], Awaitable[Event]]) -> None:
        """`next_event` gives what follows. Raises Failed for a head that has two senses."""
        self.status = head.status_code
        self.headers = _read_headers(head)
        self._next_event = next_event
        self._decoder: zlib._Decompress | None = None
        packed = self.headers.get("content-encoding", "identity").lower()
        if packed in _PACKED:
            self._decoder = zlib.decompressobj(_ANY_HEADER)
        elif packed != "identity":
            raise broken(f"it is packed by {quote(packed, limit=20)}, which was not asked for")

    async def read(self) -> bytes:
        """The next piece, of at most PIECE bytes; b"" at the end.

        Raises Failed where the answer is cut off or cannot be unpacked.
        """
        while True:
            if self._decoder is not None and self._decoder.unconsumed_tail:
                piece = self._unpack(self._decoder, self._decoder.unconsumed_tail)
            else:
                event = await self._next_event()
                if isinstance(event, h11.EndOfMessage):
                    if self._decoder is not None and not self._decoder.eof:
                        raise cut_off()
                    return b""
                piece = bytes(event.data)
                if self._decoder is not None:
                    piece = self._unpack(self._decoder, piece)
            if piece:
                return piece

    async def drop(self, *, most: int = PIECE) -> None:
        """Read the rest, if it has at most so many bytes, so that the connection can be kept."""
        with suppress(Failed):
            while most > 0 and (piece := await self.read()):
                most -= len(piece)

    def _unpack(self, decoder: "zlib._Decompress", data: bytes) -> bytes:
        try:
            piece = decoder.decompress(data, PIECE)
        except zlib.error as error:
            raise broken("it cannot be unpacked") from error
        if decoder.unused_data:
            raise broken("something stands behind what is packed in it")
        return piece


def _read_headers(head: h11.Response) -> Mapping[str, str]:
    """The headers by their names in lower case; those that stand there twice joined by commas."""
    headers: dict[str, str] = {}
    for name, value in head.headers:
        key, text = name.decode("ascii"), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    # RFC 9112, 6.3: where both stand there somebody between may have taken the other.
    if "content-length" in headers and "transfer-encoding" in headers:
        raise broken("it has two lengths")
    return headers


def broken(why: str) -> Failed:
    """An answer that is not taken."""
    return Failed(f"the answer of the server is not taken: {why}", hint=TRY_AGAIN)


def cut_off() -> Failed:
    """An answer, or a connection, that ended in its middle."""
    return broken("it was cut off")
