"""Splitting bytes into lines (newline-delimited JSON) of bounded length."""


class LineTooLong(Exception):
    """The current line exceeds the limit."""


class LineReader:
    """Splits a stream of bytes into lines.

    Each byte is searched once, however small the chunks. A line of more than `limit` bytes (without
    its newline) is an error as soon as the limit is exceeded, even before its newline; later bytes
    are dropped, so a peer that continues costs no memory.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._end = -1
        self._is_too_long = False

    @property
    def has_line(self) -> bool:
        """Whether a complete line is available."""
        return self._end >= 0

    @property
    def is_empty(self) -> bool:
        """Whether the buffer is empty, without even a partial line."""
        return not self._buffer and not self._is_too_long

    def receive(self, data: bytes | bytearray) -> None:
        """Add the next bytes of the stream."""
        if self._is_too_long:
            return
        seen = len(self._buffer)
        self._buffer += data
        if self._end < 0:
            self._search(seen)

    def next_line(self) -> bytes | None:
        """Return the next line, without its newline; None while it is incomplete.

        Raises LineTooLong, and again on every later call.
        """
        if self._is_too_long:
            raise LineTooLong
        if self._end < 0:
            return None
        line = bytes(memoryview(self._buffer)[: self._end])
        del self._buffer[: self._end + 1]
        self._search(0)
        return line

    def discard(self) -> None:
        """Drop all buffered bytes."""
        self._buffer = bytearray()
        self._end = -1

    def _search(self, start: int) -> None:
        self._end = self._buffer.find(b"\n", start)
        length = len(self._buffer) if self._end < 0 else self._end
        if length > self._limit:
            self._is_too_long = True
            self.discard()
