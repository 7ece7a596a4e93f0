"""A shim under test as a process: called through a link, its output taken as it comes."""

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from airlock_conformance.matching import brief
from airlock_conformance.shim_streams import ShimStreams
from airlock_conformance.violation import TimedOut

_CLOSINGS = {0: "<&-", 1: ">&-", 2: "2>&-"}
_TICK_S = 0.01


class ShimProcess:
    """One call of the shim as the tool of a link's name. Every user closes it.

    `arguments` are the raw words after the name. `closed` are descriptors that are closed when it
    starts, `ignored` signals that are ignored then. A terminal among the streams is its
    controlling terminal. The streams stay the caller's.
    """

    def __init__(
        self,
        link: Path,
        arguments: Sequence[bytes],
        *,
        socket: Path,
        directory: Path,
        streams: ShimStreams,
        closed: Sequence[int] = (),
        ignored: Sequence[str] = (),
        environment: Mapping[str, bytes] | None = None,
        patience: float,
    ) -> None:
        self._patience = patience
        self._streams = streams
        terminal = "" if streams.terminal is None else streams.terminal.path
        command = [os.fsencode(link), *arguments]
        if closed or ignored or terminal:
            script = _write_script(closed, ignored, terminal)
            command = [b"/bin/sh", b"-c", script.encode(), *command]
        stdin, stdout, stderr = streams.theirs
        usual: dict[str, str | bytes] = {
            "AIRLOCK_SOCKET": str(socket),
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        }
        self._process = subprocess.Popen(
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=directory,
            env={**usual, **(environment or {})},
            # With a session of its own the first terminal that it opens is its controlling one.
            start_new_session=bool(terminal),
        )
        self._exited = os.pidfd_open(self._process.pid)
        streams.close_theirs()

    def close(self) -> None:
        """End the shim if it still runs, and take it off the process table."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._exited)

    def send_signal(self, name: str) -> None:
        """Send the shim a signal by name."""
        self._process.send_signal(signal.Signals[name])

    def await_output(self, name: str, data: bytes) -> None:
        """Return when the shim wrote exactly this so far to stdout, stderr or the terminal."""
        output = self._streams.output
        self.await_that(lambda: output[name] == data, f"{name} {brief(data)}")

    def await_that(self, done: Callable[[], bool], what: str) -> None:
        """Return when something holds that the shim's output, or nothing, tells of."""
        deadline = time.monotonic() + self._patience
        self.take()
        while not done():
            if time.monotonic() > deadline:
                output = {name: bytes(data) for name, data in self._streams.output.items()}
                raise TimedOut(f"expected {what} by now; output so far: {brief(output)}")
            # Settings of a terminal and a file's length change without an event.
            select.select(self._streams.readers(), [], [], _TICK_S)
            self.take()

    def status(self) -> int:
        """Wait for the end and return the exit status, 128+n where a signal n ended it."""
        deadline = time.monotonic() + self._patience
        ready: list[int] = []
        while self._exited not in ready:
            left = max(0.0, deadline - time.monotonic())
            ready, _, _ = select.select([self._exited, *self._streams.readers()], [], [], left)
            self.take()
            if not ready:
                output = {name: bytes(data) for name, data in self._streams.output.items()}
                raise TimedOut(f"the shim did not end within {self._patience:g} s; {brief(output)}")
        self.take()
        code = self._process.wait()
        return 128 - code if code < 0 else code

    def take(self) -> None:
        """Take what the shim has written by now, so that a full pipe does not stop it."""
        self._streams.take()


def _write_script(closed: Sequence[int], ignored: Sequence[str], terminal: str) -> str:
    """Return a shell script that prepares what needs a process of its own, and becomes the shim."""
    lines = [f"trap '' {name.removeprefix('SIG')}" for name in ignored]
    if terminal:
        lines.append(f"exec 3<>{terminal} 3>&-")
    closings = " ".join(_CLOSINGS[number] for number in closed)
    return "\n".join([*lines, f'exec "$0" "$@" {closings}'])


@contextlib.contextmanager
def linked(executable: str, name: str, directory: Path) -> Iterator[Path]:
    """Yield a link of a tool's name to the shim, below `directory`."""
    link = directory / name
    link.symlink_to(Path(executable).resolve())
    try:
        yield link
    finally:
        link.unlink()
