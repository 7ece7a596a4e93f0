"""Lines out of bytes (newline-delimited JSON), with a bound on what one line may hold."""


class LineTooLong(Exception):
    """The line that is being read is longer than the limit."""


class LineReader:
    """Cuts a stream of bytes into lines.

    Each byte is searched once, however small the pieces are in which it comes. A line of more
    than `limit` bytes (its newline not counted) is an error as soon as that is known, also before
    a newline comes; from then on bytes are dropped, so that a peer that goes on costs no memory.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._end = -1
        self._is_too_long = False

    @property
    def has_line(self) -> bool:
        """Whether a whole line waits to be taken."""
        return self._end >= 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits, not even the beginning of a line."""
        return not self._buffer and not self._is_too_long

    def receive(self, data: bytes | bytearray) -> None:
        """Take what came next on the stream."""
        if self._is_too_long:
            return
        seen = len(self._buffer)
        self._buffer += data
        if self._end < 0:
            self._search(seen)

    def next_line(self) -> bytes | None:
        """Take the next line, without its newline; None where no whole line is there yet.

        Raises LineTooLong, and does so again whenever it is called afterwards.
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
        """Forget what waits."""
        self._buffer = bytearray()
        self._end = -1

    def _search(self, start: int) -> None:
        self._end = self._buffer.find(b"\n", start)
        length = len(self._buffer) if self._end < 0 else self._end
        if length > self._limit:
            self._is_too_long = True
            self.discard()
