"""A user's terminal: the master of a pseudo-terminal with a program on it."""

import os
import pty
import signal
import termios
import time
from collections.abc import Sequence

from .errors import PATIENCE_S, NothingHappened
from .program import Program

NUDGE_S = 0.2
"""After this much silence the new size of the terminal is signalled again.

docker's client misses a resize while it is still sending the first size to the engine.
"""


class Terminal(Program):
    """A terminal of `rows` x `cols` whose session is the program `argv`."""

    def __init__(self, argv: Sequence[str], *, rows: int = 24, cols: int = 80) -> None:
        master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (rows, cols))
        # Make it the controlling terminal: otherwise a new size sends no signal.
        super().__init__(["setsid", "--ctty", *argv], stdin=slave, output=master, end=slave)
        self._is_resized = False

    def enter(self, text: str) -> None:
        """Type `text`. A line ends with a carriage return, as the Enter key sends."""
        os.write(self._output, text.encode())

    def resize(self, rows: int, cols: int) -> None:
        """Change the size, which the kernel signals to the session."""
        termios.tcsetwinsize(self._output, (rows, cols))
        self._is_resized = True

    def wait_for(self, text: str) -> str:
        """Wait until `text` is shown and return the output up to its end.

        The returned output is consumed and no longer in `heard`. Raises NothingHappened after
        PATIENCE_S, and if the program ends before.
        """
        expected = text.encode()
        until = time.monotonic() + PATIENCE_S
        while expected not in self._heard:
            if not self._listen(until):
                raise NothingHappened(f"it ended without {text!r}; it showed:\n{self.heard}")
        end = self._heard.index(expected) + len(expected)
        shown, self._heard = self._heard[:end], self._heard[end:]
        return shown.decode(errors="replace")

    def _has_more(self, seconds: float) -> bool:
        if not self._is_resized:
            return super()._has_more(seconds)
        has_more = super()._has_more(min(NUDGE_S, seconds))
        if not has_more:
            self._process.send_signal(signal.SIGWINCH)
        return has_more
