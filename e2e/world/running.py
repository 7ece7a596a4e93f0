"""Programs whose output is read while they run, and waiting for the end of processes."""

import os
import select
import subprocess
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from .errors import PATIENCE_S, NothingHappened
from .program import Program


class Running(Program):
    """A program with one pipe for both streams."""

    def __init__(self, argv: Sequence[str]) -> None:
        output, end = os.pipe()
        super().__init__(argv, stdin=subprocess.DEVNULL, output=output, end=end)

    def wait_for(self, text: str, *, times: int = 1) -> list[str]:
        """Wait until the program has printed `times` whole lines with `text`, and return them.

        Raises NothingHappened if it ends before, and after PATIENCE_S.
        """
        until = time.monotonic() + PATIENCE_S
        while True:
            whole = self.heard.rpartition("\n")[0].splitlines()
            found = [line for line in whole if text in line]
            if len(found) >= times:
                return found
            if not self._listen(until):
                raise NothingHappened(f"no {times} lines with {text!r} in:\n{self.heard}")


class Witness:
    """Watches processes of this host by pidfd, so that a reused pid is not mistaken."""

    def __init__(self, processes: Iterable[int]) -> None:
        """Watch these processes, which must be alive."""
        self._stack = ExitStack()
        self._alive: dict[int, int] = {}
        for process in processes:
            descriptor = os.pidfd_open(process)
            self._stack.callback(os.close, descriptor)
            self._alive[descriptor] = process

    def wait_for_end(self) -> None:
        """Wait until all have ended; raises NothingHappened with those still alive."""
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


def find_process(process: int, namespace: str) -> int:
    """Return the pid on this host of a process by its pid in a namespace, `pid:[4026531836]`.

    Raises NothingHappened if there is none.
    """
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.readlink(folder / "ns/pid") == namespace:
                lines = (folder / "status").read_text().splitlines()
                ids = next(line.split()[1:] for line in lines if line.startswith("NSpid:"))
                if int(ids[-1]) == process:
                    return int(ids[0])
    raise NothingHappened(f"no process {process} in {namespace}")
