"""The daemon under attack, as a process of its own."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from e2e.hostile.broken import BrokenError
from e2e.hostile.client import Client
from e2e.hostile.lines import make_request
from e2e.hostile.world import HONEST, HOSTILE, World

_STOP_S = 30


class Daemon:
    """A running daemon and the world that it serves."""

    def __init__(self, world: World, process: "subprocess.Popen[bytes]") -> None:
        self.world = world
        self.pid = process.pid
        self._process = process

    def connect(self, agent: str = HOSTILE, *, small: bool = False) -> Client:
        """Return a new connection to an agent's socket."""
        return Client(self.world.socket(agent), small=small)

    def ask_true(self, agent: str = HONEST) -> None:
        """Run `true` for an agent; raises BrokenError unless it ran."""
        with self.connect(agent) as client:
            client.send(make_request("true"))
            result = client.await_result()
        if result.get("exit_code") != 0:
            raise BrokenError(f"true ended with {result}")

    def is_running(self) -> bool:
        """Say whether the process is still there."""
        return self._process.poll() is None

    def read_words(self) -> str:
        """Return the end of what the daemon itself wrote."""
        return (self.world.root / "daemon.log").read_text(errors="replace")[-4000:]

    def stop(self) -> int:
        """Stop it in order and return its exit status."""
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            raise BrokenError(f"the daemon did not stop: {self.read_words()}") from None


@contextmanager
def run_daemon(
    executable: str | None = None,
    *,
    limits: Mapping[str, float] | None = None,
    descriptors: int | None = None,
) -> Iterator[Daemon]:
    """Run a daemon on a new world until the block ends; it is killed if it has not ended by then.

    `executable` is called as ``EXE --config DIR --sockets DIR --agents FILE start``; without one it
    is the airlock-daemon of this Python's environment. `limits` are those of `World`,
    `descriptors` is its RLIMIT_NOFILE.
    """
    # pytest's own directories are too deep for a socket's path.
    root = Path(tempfile.mkdtemp(prefix="airlock-")).resolve()
    world = World(root, limits=limits)
    argv = [*_find(executable), "--config", world.config, "--sockets", world.sockets]
    argv += ["--agents", world.agents, "start"]
    if descriptors is not None:
        argv = ["/bin/sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh", *argv]
    with (root / "daemon.log").open("wb") as log:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "HOME": str(world.home), "TMPDIR": str(world.temporary)},
        )
    try:
        started = Daemon(world, process)
        _wait_until_up(started)
        yield started
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(root, ignore_errors=True)


def _find(executable: str | None) -> list[str | Path]:
    return [sys.executable, "-m", "airlock_daemon"] if executable is None else [executable]


def _wait_until_up(daemon: Daemon) -> None:
    # Nobody is told that a daemon is up but who connects.
    while True:
        try:
            with daemon.connect() as probe:
                probe.half_close()
                probe.await_end()
        except (FileNotFoundError, ConnectionRefusedError):
            if not daemon.is_running():
                raise BrokenError(f"the daemon did not start: {daemon.read_words()}") from None
            os.sched_yield()
        else:
            return
