"""Programs that are listened to while they run, and processes whose end is waited for."""

import os
import select
import subprocess
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

PATIENCE_S = 30.0
"""Whatever these tests wait for has to come about within so many seconds."""


class NothingHappened(AssertionError):
    """What a test waited for did not come about."""


class Running:
    """A program whose two streams come by one pipe. As a context manager it ends at last."""

    def __init__(self, argv: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            list(argv),
            bufsize=0,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._heard = b""

    @property
    def heard(self) -> str:
        """Return what the program said so far, as far as it was waited for."""
        return self._heard.decode(errors="replace")

    def wait_for(self, text: str, *, times: int = 1) -> list[str]:
        """Wait until the program has said so many whole lines with `text`, and return them.

        Raises NothingHappened where it ends before or does not say them in PATIENCE_S.
        """
        until = time.monotonic() + PATIENCE_S
        while True:
            whole = self.heard.rpartition("\n")[0].splitlines()
            found = [line for line in whole if text in line]
            if len(found) >= times:
                return found
            if not self._listen(until):
                raise NothingHappened(f"no {times} lines with {text!r} in:\n{self.heard}")

    def wait(self) -> int:
        """Wait for the end and return the exit status; `heard` is complete then."""
        until = time.monotonic() + PATIENCE_S
        while self._listen(until):
            pass
        return self._process.wait(timeout=PATIENCE_S)

    def _listen(self, until: float) -> bool:
        """Wait for more output, at most until then (monotonic clock); False at its end."""
        pipe = self._process.stdout
        assert pipe is not None
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        if not poll.poll(max(0.0, until - time.monotonic()) * 1000):
            raise NothingHappened(f"silence for {PATIENCE_S} s after:\n{self.heard}")
        data = os.read(pipe.fileno(), 65536)
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
        if self._process.stdout is not None:
            self._process.stdout.close()


class Witness:
    """Watches processes of this host by descriptor, so that a reused process id fools nobody."""

    def __init__(self, processes: Iterable[int]) -> None:
        """Take the ids of processes that are alive now."""
        self._stack = ExitStack()
        self._alive: dict[int, int] = {}
        for process in processes:
            descriptor = os.pidfd_open(process)
            self._stack.callback(os.close, descriptor)
            self._alive[descriptor] = process

    def wait_for_end(self) -> None:
        """Wait until all have ended; raises NothingHappened with those that live on."""
        until = time.monotonic() + PATIENCE_S
        with self._stack:
            while self._alive:
                poll = select.poll()
                for descriptor in self._alive:
                    poll.register(descriptor, select.POLLIN)
                ended = poll.poll(max(0.0, until - time.monotonic()) * 1000)
                if not ended:
                    raise NothingHappened(f"these live on: {sorted(self._alive.values())}")
                for descriptor, _ in ended:
                    del self._alive[descriptor]
