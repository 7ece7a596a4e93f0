"""The terminal of the reference shim: what the request says of it, and raw mode."""

import fcntl
import os
import re
import struct
import termios
import tty
from typing import Any

_STREAMS = ("stdin", "stdout", "stderr")
_TERM = re.compile(r"[A-Za-z0-9+._-]{1,64}")


class LocalTerminal:
    """The terminal among the shim's three descriptors, if there is one."""

    def __init__(self) -> None:
        self._are_terminals = [os.isatty(number) for number in range(3)]
        self._settings: list[Any] | None = None

    def describe(self) -> dict[str, Any] | None:
        """Return the request's ``tty``, None without a terminal."""
        if not any(self._are_terminals):
            return None
        described: dict[str, Any] = dict(zip(_STREAMS, self._are_terminals, strict=True))
        term = os.environ.get("TERM", "")
        known = {"term": term} if _TERM.fullmatch(term) else {}
        return {**described, **self.size(), **known}

    def size(self) -> dict[str, int]:
        """Return the rows and columns."""
        number = self._are_terminals.index(True)
        rows, cols, _, _ = struct.unpack("HHHH", fcntl.ioctl(number, termios.TIOCGWINSZ, b"\0" * 8))
        return {"rows": rows, "cols": cols}

    def make_raw(self) -> None:
        """Let keys through as they are typed, if stdin is the terminal."""
        if self._are_terminals[0]:
            self._settings = termios.tcgetattr(0)
            tty.setraw(0, termios.TCSANOW)

    def restore(self) -> None:
        """Undo `make_raw`."""
        if self._settings is not None:
            termios.tcsetattr(0, termios.TCSANOW, self._settings)
            self._settings = None
