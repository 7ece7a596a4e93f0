"""A pseudo-terminal on which shims are started."""

import fcntl
import os
import pty
import select
import struct
import termios
from typing import Any, Self

from fake_tools import PATIENCE_S


class Terminal:
    """A pseudo-terminal whose slave is the shim's terminal."""

    def __init__(self) -> None:
        """Open one with 33 rows and 77 columns."""
        self.keyboard, self.terminal = pty.openpty()
        self.resize(33, 77)
        self.modes = termios.tcgetattr(self.terminal)

    def __enter__(self) -> Self:
        """Return the open terminal."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close both ends."""
        os.close(self.keyboard)
        os.close(self.terminal)

    def resize(self, rows: int, columns: int) -> None:
        """Change the window size."""
        fcntl.ioctl(self.keyboard, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self.keyboard, keys)

    def read_screen(self, count: int) -> bytes:
        """The next `count` bytes of output."""
        received = b""
        while len(received) < count:
            assert select.select([self.keyboard], [], [], PATIENCE_S)[0], "nothing appears"
            received += os.read(self.keyboard, count - len(received))
        return received

    @property
    def is_as_before(self) -> bool:
        """Whether all modes are the initial ones."""
        return termios.tcgetattr(self.terminal) == self.modes

    def streams(self) -> dict[str, Any]:
        """The arguments to start a process on it."""
        return dict.fromkeys(("stdin", "stdout", "stderr"), self.terminal)
