"""Daemons that are killed one after the other, quickly enough to do it at every byte."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from typing import Self

from running import connect_to
from worlds import World

# Forks before anything of a daemon exists but its modules, and each child is a whole daemon.
_FORKING = """
import os, sys
import airlock_daemon.serving.daemon.daemon, airlock_daemon.setup.generation
from airlock_daemon.admin.cli import main
for _ in sys.stdin:
    pid = os.fork()
    if not pid:
        main()
        os._exit(0)
    print(pid, flush=True)
    os.waitpid(pid, 0)
    print("ended", flush=True)
"""


class Daemons:
    """One daemon at a time on a world; the block starts none, and ends the one that runs."""

    def __init__(self, world: World) -> None:
        self.world = world
        options = ["--config", str(world.config), "start", "--agents", str(world.agents_file)]
        self._forking = subprocess.Popen(
            [sys.executable, "-c", _FORKING, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=world.root,
        )
        self._pid = 0

    def _exchange(self, line: str) -> str:
        assert self._forking.stdin is not None
        assert self._forking.stdout is not None
        self._forking.stdin.write(line)
        self._forking.stdin.flush()
        return self._forking.stdout.readline().strip()

    def start(self) -> None:
        """Start the next one, and return when it serves."""
        self._pid = int(self._exchange("\n"))
        while True:
            with suppress(FileNotFoundError, ConnectionRefusedError):
                self.connect().close()
                return
            os.kill(self._pid, 0)
            os.sched_yield()

    def connect(self) -> socket.socket:
        """A new connection to the agent's socket."""
        return connect_to(self.world.socket)

    def end(self, number: int = signal.SIGKILL) -> None:
        """End the daemon by a signal, and return when it is gone."""
        os.kill(self._pid, number)
        assert self._exchange("") == "ended"
        self._pid = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pid:
            self.end()
        self._forking.communicate(timeout=30)
