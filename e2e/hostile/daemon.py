"""The daemon under attack."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from e2e.hostile.world import ENDLESS_LOG, HONEST, HOSTILE, World
from e2e.world.client import Client
from e2e.world.daemon import Daemon
from e2e.world.errors import BrokenError
from e2e.world.lines import make_request


class Target(Daemon):
    """A running daemon and the world that it serves."""

    def __init__(self, world: World, executable: str | None, *, descriptors: int = 0) -> None:
        """Start `executable`, or the airlock-daemon of this Python's environment."""
        self.world = world
        super().__init__(
            world.argv([executable] if executable else [sys.executable, "-m", "airlock_daemon"]),
            said=world.said,
            sockets=world.list_sockets,
            environment={**os.environ, "HOME": str(world.home), "TMPDIR": str(world.temporary)},
            descriptors=descriptors,
        )

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


@contextmanager
def run_daemon(
    executable: str | None = None,
    *,
    limits: Mapping[str, float] | None = None,
    descriptors: int = 0,
    settings: str = ENDLESS_LOG,
    boxed: bool = False,
) -> Iterator[Target]:
    """Run a daemon on a new world until the block ends; it is killed if it has not ended by then.

    `executable` is called as ``EXE --config DIR --sockets DIR --agents FILE start``; without one it
    is the airlock-daemon of this Python's environment. `limits`, `settings` and `boxed` are those
    of `World`, `descriptors` is its RLIMIT_NOFILE, 0 for ours.
    """
    with new_world(limits=limits, settings=settings, boxed=boxed) as world:
        target = Target(world, executable, descriptors=descriptors)
        try:
            yield target
        finally:
            target.kill()


@contextmanager
def new_world(
    *,
    limits: Mapping[str, float] | None = None,
    settings: str = ENDLESS_LOG,
    boxed: bool = False,
) -> Iterator[World]:
    """Make a world for a daemon, which is removed when the block ends."""
    # pytest's own directories are too deep for a socket's path.
    root = Path(tempfile.mkdtemp(prefix="airlock-")).resolve()
    try:
        yield World(root, limits=limits, settings=settings, boxed=boxed)
    finally:
        shutil.rmtree(root, ignore_errors=True)
