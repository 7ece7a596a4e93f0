"""Bodies that must be read whole before they are passed on: in memory, long ones in a file.

The file has no name, so that it is gone with the process, and lies in the daemon's own directory.
"""

import io
import tempfile
from collections.abc import Awaitable, Callable
from typing import BinaryIO

from airlock_daemon.errors import Failed

IN_MEMORY = 1 << 20
"""Bytes of a body that stay in memory."""
MOST = 1 << 28
"""Bytes of all bodies of an agent that are held at once."""
_PIECE = 1 << 17


class Spool:
    """What the bodies of one agent take. Each `Held` gives its bytes back when it is closed."""

    def __init__(self, folder: str, *, most: int = MOST) -> None:
        """Long bodies are written into an unnamed file in `folder`."""
        self._folder = folder
        self._left = most

    async def hold(self, read: Callable[[], Awaitable[bytes]]) -> "Held":
        """Read a body to its end. Raises Failed where it, or all of them, are too long."""
        held = Held(self._give_back)
        try:
            while piece := await read():
                if len(piece) > self._left:
                    raise Failed(
                        "the bodies that must be read before they are sent are too long together",
                        hint="send fewer at once, or a smaller one",
                    )
                self._left -= len(piece)
                held.add(piece, self._folder)
        except BaseException:
            held.close()
            raise
        return held

    def _give_back(self, size: int) -> None:
        self._left += size


class Held:
    """A body that has been read. Its owner must `close` it."""

    def __init__(self, give_back: Callable[[int], None]) -> None:
        self._give_back = give_back
        self._file: BinaryIO = io.BytesIO()
        self._is_in_memory = True
        self.size = 0

    def add(self, piece: bytes, folder: str) -> None:
        """Put a piece at its end."""
        if self._is_in_memory and self.size + len(piece) > IN_MEMORY:
            file: BinaryIO = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by `close`
            file.write(self.read(0, self.size))
            self._file = file
            self._is_in_memory = False
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
        self._give_back(self.size)
        self.size = 0
