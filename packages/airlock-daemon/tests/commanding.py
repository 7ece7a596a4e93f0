"""`airlock-daemon` as a process of its own, which ends."""

import subprocess
import sys
from collections.abc import Sequence

from worlds import World

Done = subprocess.CompletedProcess[str]


def airlock_daemon(*args: str, status: int = 0, before: Sequence[str] = ()) -> Done:
    """Run `airlock-daemon` with these arguments, and check its exit status.

    `before` are the words that run the package, where that is not `python -m airlock_daemon`.
    """
    argv = [sys.executable, *(before or ("-m", "airlock_daemon")), *args]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == status, done.stdout + done.stderr
    return done


def run(world: World, *args: str, status: int = 0) -> Done:
    """The same on a world's configuration and agents."""
    options = ("--config", str(world.config), "--agents", str(world.agents_file))
    return airlock_daemon(*options, *args, status=status)


def reload(world: World, *args: str, status: int = 0) -> Done:
    """Have the daemon reload by the command, which waits for it."""
    return airlock_daemon("--config", str(world.config), "reload", *args, status=status)
