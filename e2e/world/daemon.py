"""A daemon as a process of its own: started, waited for until it serves, and ended."""

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
    """A daemon that serves once this is made. As a context manager it ends at last."""

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
        """Start `argv`; return when all `sockets` take connections and `says` was said.

        What it writes goes to the file `said`. Without an `environment` it has ours.
        `descriptors` is its RLIMIT_NOFILE, 0 for ours. Raises BrokenError where it ends or does not
        serve within `patience_s` seconds, which it also has to end in.
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
                # Ctrl-C at the terminal is for us, who then end the daemon in order.
                start_new_session=True,
            )
        self.pid = self._process.pid
        try:
            self._wait_until_up(sockets, says)
        except BaseException:
            self.kill()
            raise

    def is_running(self) -> bool:
        """Say whether the process is still there."""
        return self._process.poll() is None

    def read_words(self) -> str:
        """Return the end of what the daemon itself wrote."""
        return self._said.read_text(errors="replace")[-4000:]

    def stop(self) -> int:
        """End it by SIGTERM and return its exit status.

        Raises BrokenError where it does not heed that, and kills it.
        """
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(self._patience_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise BrokenError(self._tell("did not end on SIGTERM")) from None

    def kill(self) -> None:
        """End it so that it can do nothing about it."""
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        """Return the daemon, which serves already."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it in order, if it still runs."""
        self.stop()

    def _wait_until_up(self, sockets: Callable[[], Iterable[Path]], says: str) -> None:
        # A daemon is known to be up by those who connect, so that is what is tried.
        until = time.monotonic() + self._patience_s
        up: set[Path] = set()
        while True:
            # Where a daemon puts them is seen once they are there.
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
    """Whether somebody takes connections at a socket's path."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(os.fspath(path)) == 0
