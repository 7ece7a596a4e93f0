"""A running program whose output is read."""

import errno
import os
import select
import subprocess
import time
from collections.abc import Sequence
from typing import Self

from .errors import PATIENCE_S, NothingHappened


class Program:
    """A program with one descriptor for its output; a context manager that ends it."""

    def __init__(self, argv: Sequence[str], *, stdin: int, output: int, end: int) -> None:
        """Start `argv` with both streams to `end`, the other side of `output`.

        It owns both: `end` is closed now, and `output` when the program has ended.
        """
        try:
            self._process = subprocess.Popen(argv, stdin=stdin, stdout=end, stderr=end)
        except BaseException:
            os.close(output)
            raise
        finally:
            os.close(end)
        self._output = output
        self._heard = b""

    @property
    def heard(self) -> str:
        """Return the program's output read so far."""
        return self._heard.decode(errors="replace")

    def wait(self) -> int:
        """Wait for the end and return the exit status; `heard` is then complete."""
        until = time.monotonic() + PATIENCE_S
        while self._listen(until):
            pass
        return self._process.wait(timeout=PATIENCE_S)

    def _listen(self, until: float) -> bool:
        """Read the next output, waiting at most until then (monotonic clock); False at the end."""
        while not self._has_more(max(0.0, until - time.monotonic())):
            if time.monotonic() >= until:
                raise NothingHappened(f"silence for {PATIENCE_S} s after:\n{self.heard}")
        try:
            data = os.read(self._output, 65536)
        except OSError as error:
            # A terminal raises it once its other end is closed.
            if error.errno != errno.EIO:
                raise
            return False
        self._heard += data
        return bool(data)

    def _has_more(self, seconds: float) -> bool:
        """Whether there is output, or its end, within so many seconds."""
        poll = select.poll()
        poll.register(self._output, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the program if it still runs."""
        self._process.kill()
        self._process.wait()
        os.close(self._output)
