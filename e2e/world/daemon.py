"""A daemon process: starting it, waiting until it serves, and stopping it."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self

from .errors import PATIENCE_S, BrokenError

_TICK_S = 0.001


class Daemon:
    """A serving daemon; as a context manager it stops the daemon at the end."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        said: Path,
        sockets: Callable[[], Iterable[Path]] = tuple,
        says: str = "",
        environment: Mapping[str, str] | None = None,
        descriptors: int = 0,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Start `argv`; wait until all `sockets` accept connections and it has printed `says`.

        Its output goes to the file `said`. Without an `environment` it inherits ours. `descriptors`
        is its RLIMIT_NOFILE, 0 for ours. Raises BrokenError if it ends or does not serve within
        `patience_s` seconds, which is also the limit for stopping.
        """
        if descriptors:
            argv = ["/bin/sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh", *argv]
        self._said = said
        self._patience_s = patience_s
        with said.open("wb") as output:
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env=environment,
                # Ctrl-C at the terminal goes to us; we then stop the daemon gracefully.
                start_new_session=True,
            )
        self.pid = self._process.pid
        try:
            self._wait_until_up(sockets, says)
        except BaseException:
            self.kill()
            raise

    def is_running(self) -> bool:
        """Return whether the process still runs."""
        return self._process.poll() is None

    def read_words(self) -> str:
        """Return the end of the daemon's output."""
        return self._said.read_text(errors="replace")[-4000:]

    def stop(self) -> int:
        """Stop it by SIGTERM and return its exit status.

        If it does not end, kills it and raises BrokenError.
        """
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(self._patience_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise BrokenError(self._tell("did not end on SIGTERM")) from None

    def kill(self) -> None:
        """Kill it by SIGKILL."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        """Return the serving daemon."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it gracefully if it still runs."""
        self.stop()

    def _wait_until_up(self, sockets: Callable[[], Iterable[Path]], says: str) -> None:
        # A daemon is up when clients can connect, so try that.
        until = time.monotonic() + self._patience_s
        up: set[Path] = set()
        while True:
            # A daemon's choice of paths is known once they exist.
            found = set(sockets())
            up |= {path for path in found - up if accepts(path)}
            if found <= up and says in self.read_words():
                return
            try:
                self._process.wait(_TICK_S)
            except subprocess.TimeoutExpired:
                if time.monotonic() > until:
                    raise BrokenError(self._tell("does not serve")) from None
            else:
                raise BrokenError(self._tell("ended instead of serving"))

    def _tell(self, what: str) -> str:
        return f"{self._process.args!r} {what}; it said:\n{self.read_words()}"


def accepts(path: str | os.PathLike[str]) -> bool:
    """Whether a process accepts connections at a socket's path."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(os.fspath(path)) == 0
