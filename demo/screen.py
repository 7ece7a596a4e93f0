"""The demo's output on the terminal."""

import os
import textwrap
from typing import TextIO

_BOLD, _DIM, _GREEN, _RED = "1", "2", "32", "31"
_WIDTH = 92


class Screen:
    """Writes the demo's lines: plain text, coloured only on a terminal and without NO_COLOR."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        dumb = os.environ.get("TERM", "") in {"", "dumb"}
        self._colour = stream.isatty() and not dumb and not os.environ.get("NO_COLOR")
        self._number = 0

    def title(self, text: str) -> None:
        """Begin the demo."""
        self._write(self._paint(_BOLD, text))

    def step(self, text: str) -> None:
        """Begin the next numbered step."""
        self._number += 1
        self._write("")
        self._write(self._paint(_BOLD, f"{self._number}. {text}"))

    def say(self, text: str) -> None:
        """Print an explanation, wrapped as needed."""
        self._write(textwrap.fill(text, _WIDTH, initial_indent="   ", subsequent_indent="   "))

    def command(self, words: str, output: str) -> None:
        """Show a client's command and all its output."""
        self._write(f"   $ {words}")
        for line in output.splitlines():
            # A program's output could control the terminal: only printable text is shown.
            shown = "".join(char if char.isprintable() else "?" for char in line.expandtabs())
            self._write(self._paint(_DIM, f"   | {shown}".rstrip()))

    def row(self, text: str) -> None:
        """Show one line as it is."""
        self._write(f"   {text}")

    def passed(self, text: str) -> None:
        """Report that the step succeeded."""
        self._write(self._paint(_GREEN, f"   ok: {text}"))

    def failed(self, text: str) -> None:
        """Report that it failed."""
        self._write(self._paint(_RED, f"   not so: {text}"))

    def close(self, text: str, *, good: bool) -> None:
        """Report how the demo ended."""
        self._write("")
        self._write(self._paint(_GREEN if good else _RED, text))

    def _paint(self, code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self._colour else text

    def _write(self, line: str) -> None:
        print(line, file=self._stream, flush=True)
