"""A pseudo-terminal of which the suite has the outer side and a program the inner one."""

import array
import fcntl
import os
import struct
import termios
from typing import Any


class Terminal:
    """One pseudo-terminal. `outer` is a descriptor for the suite, `inner` one to give away.

    Every user closes it; `close_inner` closes the inner side alone, once others have it.
    """

    def __init__(self, *, rows: int = 24, cols: int = 80) -> None:
        self.outer, self.inner = os.openpty()
        self.path = os.ttyname(self.inner)
        self.resize(rows=rows, cols=cols)
        self._first = self._settings()

    def close(self) -> None:
        """Close both sides."""
        self.close_inner()
        if self.outer >= 0:
            os.close(self.outer)
            self.outer = -1

    def close_inner(self) -> None:
        """Close the suite's own copy of the inner side."""
        if self.inner >= 0:
            os.close(self.inner)
            self.inner = -1

    def resize(self, *, rows: int, cols: int) -> None:
        """Set the size; the kernel tells the foreground process group by SIGWINCH."""
        fcntl.ioctl(self.outer, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def is_raw(self) -> bool:
        """Whether the line discipline neither echoes nor edits nor makes signals of keys."""
        flags: int = self._settings()[3]
        return not flags & (termios.ICANON | termios.ECHO | termios.ISIG)

    def is_as_first(self) -> bool:
        """Whether every setting is what it was when the terminal was made."""
        return self._settings() == self._first

    def _settings(self) -> list[Any]:
        # On Linux the outer side tells the settings of the inner one, which may be closed by now.
        return termios.tcgetattr(self.outer)


def count_unread(descriptor: int) -> int:
    """Return how many bytes wait to be read from a descriptor (FIONREAD, ioctl_tty(2))."""
    count = array.array("i", [0])
    fcntl.ioctl(descriptor, termios.FIONREAD, count)
    return count[0]
