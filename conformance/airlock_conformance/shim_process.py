"""A shim under test as a process: called through a link, its output taken as it comes."""

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from airlock_conformance.violation import Violation

_CHUNK = 65_536
_CLOSINGS = {0: "<&-", 1: ">&-", 2: "2>&-"}


class ShimProcess:
    """One call of the shim as the tool of a link's name. Every user closes it.

    `arguments` are the raw words after the name. `closed` are descriptors that are closed when it
    starts.
    """

    def __init__(
        self,
        link: Path,
        arguments: Sequence[bytes],
        *,
        socket: Path,
        directory: Path,
        closed: Sequence[int] = (),
        patience: float,
    ) -> None:
        self.output = {1: bytearray(), 2: bytearray()}
        self._patience = patience
        command: list[bytes] = [os.fsencode(link), *arguments]
        if closed:
            # Only a shell closes descriptors without a fork hook; it then becomes the shim.
            closings = " ".join(_CLOSINGS[number] for number in closed)
            command = [b"/bin/sh", b"-c", f'exec "$0" "$@" {closings}'.encode(), *command]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=directory,
            env={"AIRLOCK_SOCKET": str(socket), "PATH": os.environ.get("PATH", "/usr/bin:/bin")},
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._pipes = {1: self._process.stdout, 2: self._process.stderr}

    def close(self) -> None:
        """End the shim if it still runs, and take it off the process table."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for number in tuple(self._pipes):
            self._pipes.pop(number).close()

    def close_stdout(self) -> None:
        """Close the reading end of the shim's stdout: its next write there fails with EPIPE."""
        self._pipes.pop(1).close()

    def send_signal(self, name: Literal["SIGINT", "SIGTERM"]) -> None:
        """Send the shim a signal by name."""
        self._process.send_signal(signal.Signals[name])

    def await_stdout(self, data: bytes) -> None:
        """Return when the shim wrote exactly this to stdout so far."""
        deadline = time.monotonic() + self._patience
        while self.output[1] != data:
            if not self._read(deadline):
                raise Violation(f"stdout: expected {data!r} by now, got {self.output[1]!r}")

    def status(self) -> int:
        """Wait for the end and return the exit status, 128+n where a signal n ended it."""
        deadline = time.monotonic() + self._patience
        while self._read(deadline):
            pass
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self._process.wait(timeout=max(0.01, deadline - time.monotonic()))
            return 128 - code if code < 0 else code
        raise Violation(f"the shim did not end within {self._patience:g} s; wrote {self.output}")

    def take(self) -> None:
        """Take what the shim has written by now, so that a full pipe does not stop it."""
        while self._read(time.monotonic()):
            pass

    def _read(self, deadline: float) -> bool:
        """Read once from each pipe that has something; False at the deadline or at both ends."""
        if not self._pipes:
            return False
        left = max(0.0, deadline - time.monotonic())
        ready, _, _ = select.select(list(self._pipes.values()), [], [], left)
        for number, pipe in tuple(self._pipes.items()):
            if pipe in ready:
                data = os.read(pipe.fileno(), _CHUNK)
                self.output[number] += data
                if not data:
                    self._pipes.pop(number).close()
        return bool(ready)


@contextlib.contextmanager
def linked(executable: str, name: str, directory: Path) -> Iterator[Path]:
    """Yield a link of a tool's name to the shim, below `directory`."""
    link = directory / name
    link.symlink_to(Path(executable).resolve())
    try:
        yield link
    finally:
        link.unlink()
