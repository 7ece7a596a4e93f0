"""Bodies that must be read whole before they are passed on: in memory, long ones in a file.

The file has no name, so that it is gone with the process, and lies in the daemon's own directory.
"""

import io
import tempfile
from collections.abc import Awaitable, Callable
from typing import BinaryIO

from airlock_daemon.errors import Failed

IN_MEMORY = 1 << 20
"""Bytes of a body that stay in memory, while those of all have room there."""
_ALL_IN_MEMORY = 4 << 20
MOST = 1 << 28
"""Bytes of all bodies of an agent that are held at once."""
_PIECE = 1 << 17


class Spool:
    """What the bodies of one agent take. Each `Held` gives its bytes back when it is closed."""

    def __init__(self, folder: str, *, most: int = MOST) -> None:
        """Long bodies are written into an unnamed file in `folder`."""
        self._folder = folder
        self._left = most
        self._memory = _ALL_IN_MEMORY

    async def hold(self, read: Callable[[], Awaitable[bytes]]) -> "Held":
        """Read a body to its end. Raises Failed where it, or all of them, are too long."""
        held = Held(self)
        try:
            while piece := await read():
                if len(piece) > self._left:
                    raise Failed(
                        "the bodies that must be read before they are sent are too long together",
                        hint="send fewer at once, or a smaller one",
                    )
                self._left -= len(piece)
                held.add(piece)
        except BaseException:
            held.close()
            raise
        return held

    def take_memory(self, size: int) -> bool:
        """Whether there is room in memory for so many more bytes, which is taken then."""
        if size > self._memory:
            return False
        self._memory -= size
        return True

    def open_file(self) -> BinaryIO:
        """A file without a name."""
        return tempfile.TemporaryFile(dir=self._folder)

    def give_back(self, size: int, *, memory: int) -> None:
        """Bytes that are held no more, and those of them that are in memory no more."""
        self._left += size
        self._memory += memory


class Held:
    """A body that has been read. Its owner must `close` it."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._file: BinaryIO = io.BytesIO()
        self._is_in_memory = True
        self.size = 0

    def add(self, piece: bytes) -> None:
        """Put a piece at its end."""
        if self._is_in_memory:
            is_short = self.size + len(piece) <= IN_MEMORY
            if not is_short or not self._spool.take_memory(len(piece)):
                file = self._spool.open_file()
                file.write(self.read(0, self.size))
                self._file, self._is_in_memory = file, False
                self._spool.give_back(0, memory=self.size)
        self._file.seek(self.size)
        self._file.write(piece)
        self.size += len(piece)

    def read(self, start: int, size: int = _PIECE) -> bytes:
        """The bytes from `start`, b"" at the end."""
        self._file.seek(start)
        return self._file.read(size)

    def close(self) -> None:
        """Forget it."""
        self._file.close()
        self._spool.give_back(self.size, memory=self.size if self._is_in_memory else 0)
        self.size = 0
