"""A program that runs while somebody reads what it says."""

import errno
import os
import select
import subprocess
import time
from collections.abc import Sequence
from typing import Self

from .errors import PATIENCE_S, NothingHappened


class Program:
    """A program whose output comes by one descriptor. As a context manager it ends at last."""

    def __init__(self, argv: Sequence[str], *, stdin: int, output: int, end: int) -> None:
        """Start `argv`, which writes both its streams to `end`, the other side of `output`.

        Both are taken over: `end` is closed now, and `output` when the program has ended.
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
        """Return what the program said, as far as it was waited for."""
        return self._heard.decode(errors="replace")

    def wait(self) -> int:
        """Wait for the end and return the exit status; `heard` is complete then."""
        until = time.monotonic() + PATIENCE_S
        while self._listen(until):
            pass
        return self._process.wait(timeout=PATIENCE_S)

    def _listen(self, until: float) -> bool:
        """Take what comes next, at most until then (monotonic clock); False at the end."""
        while not self._has_more(max(0.0, until - time.monotonic())):
            if time.monotonic() >= until:
                raise NothingHappened(f"silence for {PATIENCE_S} s after:\n{self.heard}")
        try:
            data = os.read(self._output, 65536)
        except OSError as error:
            # A terminal says so when nobody has its other end open any more.
            if error.errno != errno.EIO:
                raise
            return False
        self._heard += data
        return bool(data)

    def _has_more(self, seconds: float) -> bool:
        """Whether there is output, or its end, after so many seconds at most."""
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
