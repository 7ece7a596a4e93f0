"""FIFOs by which the suite and a tool wait for each other, without sleeping.

A tool that must wait reads a line from a FIFO; the suite opens the gate when it wants it to go
on. A tool whose end matters holds a FIFO open for writing; when it and all that inherited the
descriptor have ended, the kernel tells the reader (POLLHUP, poll(2) and fifo(7)).
"""

import os
import select
from pathlib import Path

from airlock_conformance.violation import TimedOut


class Fifos:
    """The FIFOs of one case, by name, in one directory. Every user closes it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._descriptors: dict[str, int] = {}

    def close(self) -> None:
        """Close all that was opened."""
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        self._descriptors.clear()

    def open_gate(self, name: str) -> None:
        """Put one line in the FIFO, for the tool that reads it now or later in this case."""
        # Read-write never blocks on a FIFO, and the line stays while the suite holds it open.
        descriptor = self._open(name, os.O_RDWR)
        os.write(descriptor, b"\n")

    def watch(self, name: str) -> None:
        """Open the reading end, so that a tool can open the other without waiting."""
        self._open(name, os.O_RDONLY)

    def await_release(self, name: str, *, patience: float) -> None:
        """Return when no process holds the watched FIFO for writing any more.

        Raises `TimedOut` when that takes longer than `patience` seconds. The tool must have
        opened it before, which its first output proves.
        """
        poll = select.poll()
        poll.register(self._descriptors[name], select.POLLHUP)
        if not poll.poll(patience * 1000):
            raise TimedOut(
                f"a process of the command still runs after {patience:g} s (it holds {name!r})"
            )

    def _open(self, name: str, flags: int) -> int:
        if name not in self._descriptors:
            path = self._directory / name
            self._descriptors[name] = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
        return self._descriptors[name]


def release_all(directory: Path) -> None:
    """Let every process go on that still waits for the other end of a FIFO in a directory.

    A daemon that does not end its commands leaves tools behind; this ends them.
    """
    for path in directory.iterdir():
        if path.is_fifo():
            os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
