"""`airlock-daemon` as a process of its own, which ends."""

import os
import pty
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


def answer(keys: str, *args: str, question: bytes = b"[y/N] ") -> tuple[int, str]:
    """Run it on a terminal, where a person types `keys` at the question.

    Returns its status, and what was shown.
    """
    process, terminal = pty.fork()
    if not process:
        os.execv(sys.executable, [sys.executable, "-m", "airlock_daemon", *args])
    shown = b""
    try:
        while chunk := os.read(terminal, 65536):
            shown += chunk
            if keys and question in shown:
                os.write(terminal, keys.encode())
                keys = ""
    except OSError:
        pass  # how a terminal says that nobody has it open any more
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), shown.decode()


def reload(world: World, *args: str, status: int = 0) -> Done:
    """Have the daemon reload by the command, which waits for it."""
    return airlock_daemon("--config", str(world.config), "reload", *args, status=status)
