"""A terminal at which somebody sits: the other end of a pseudo-terminal, with a program on it."""

import os
import pty
import select
import signal
import subprocess
import termios
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from .running import PATIENCE_S, NothingHappened

NUDGE_S = 0.2
"""After so long a silence the program is reminded of a new size of its terminal.

docker's client does not notice one as long as it is busy telling the engine of the first.
"""


class Terminal:
    """A terminal of `rows` x `cols` whose session is the program `argv`.

    As a context manager it ends the program at last.
    """

    def __init__(self, argv: Sequence[str], *, rows: int = 24, cols: int = 80) -> None:
        self._master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (rows, cols))
        # Its controlling terminal: else nobody would tell it of a new size.
        self._process = subprocess.Popen(
            ["setsid", "--ctty", *argv], stdin=slave, stdout=slave, stderr=slave
        )
        os.close(slave)
        self._heard = b""
        self._is_resized = False

    def enter(self, text: str) -> None:
        """Type `text`. A line ends with a carriage return, as the key of that name sends it."""
        os.write(self._master, text.encode())

    def resize(self, rows: int, cols: int) -> None:
        """Change the size, of which the kernel tells the session."""
        termios.tcsetwinsize(self._master, (rows, cols))
        self._is_resized = True

    def wait_for(self, text: str) -> str:
        """Wait until `text` is shown and return what was shown up to its end.

        What is returned is not looked at again. Raises NothingHappened after PATIENCE_S, and where
        the program ends before.
        """
        expected = text.encode()
        until = time.monotonic() + PATIENCE_S
        while expected not in self._heard:
            if not self._listen(until):
                raise NothingHappened(f"it ended without {text!r}; it showed:\n{self.shown}")
        end = self._heard.index(expected) + len(expected)
        shown, self._heard = self._heard[:end], self._heard[end:]
        return shown.decode(errors="replace")

    def wait(self) -> int:
        """Wait for the end of the program and return its exit status."""
        until = time.monotonic() + PATIENCE_S
        while self._listen(until):
            pass
        return self._process.wait(timeout=PATIENCE_S)

    @property
    def shown(self) -> str:
        """What was shown since what was waited for."""
        return self._heard.decode(errors="replace")

    def _listen(self, until: float) -> bool:
        """Wait for more, at most until then (monotonic clock); False at its end."""
        poll = select.poll()
        poll.register(self._master, select.POLLIN)
        pause = NUDGE_S if self._is_resized else PATIENCE_S
        while not poll.poll(min(pause, max(0.0, until - time.monotonic())) * 1000):
            if time.monotonic() >= until:
                raise NothingHappened(f"silence for {PATIENCE_S} s after:\n{self.shown}")
            self._process.send_signal(signal.SIGWINCH)
        try:
            data = os.read(self._master, 65536)
        except OSError:  # EIO: nobody has the other end open any more
            return False
        self._heard += data
        return bool(data)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the program if it still runs."""
        self._process.kill()
        self._process.wait()
        os.close(self._master)
