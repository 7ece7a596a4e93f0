"""What a client sends for its tool's stdin, between the connection and the tool."""

import os
from collections import deque


class Input:
    """Bytes on their way into a pipe or pseudo-terminal that does not block, which it owns.

    It holds what it is given; that this is no more than the client's credit is for the session to
    watch.
    """

    def __init__(self, descriptor: int, *, end: bytes = b"") -> None:
        """`end` is what means the end of input; without it that is the end of the file."""
        self.descriptor = descriptor
        self.written = 0
        self._end = end
        self._is_ended = False
        self._waiting: deque[memoryview] = deque()

    @property
    def is_waiting(self) -> bool:
        """Whether there is something to write, or the end is due."""
        return self.descriptor >= 0 and (bool(self._waiting) or self._is_ended)

    @property
    def is_over(self) -> bool:
        """Whether everything was written that will ever come."""
        return self._is_ended and not self._waiting

    def put(self, data: bytes) -> None:
        """Take what the client sent next."""
        if data and not self._is_ended:
            self._waiting.append(memoryview(data))

    def end(self) -> None:
        """The client sends nothing more."""
        if not self._is_ended:
            self.put(self._end)
            self._is_ended = True

    def write(self) -> int:
        """Write what fits without waiting; returns how many bytes."""
        count = 0
        while self._waiting:
            piece = self._waiting[0]
            try:
                written = os.write(self.descriptor, piece)
            except BlockingIOError:
                break
            except OSError:
                # A terminal that its tool has closed takes nothing, and the client cannot know.
                written = len(piece)
            count += written
            if written == len(piece):
                self._waiting.popleft()
            else:
                self._waiting[0] = piece[written:]
        self.written += count
        return count

    def close(self) -> None:
        """Close the descriptor, which is the end of a pipe's input."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
