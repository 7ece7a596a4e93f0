"""Running `airlock-daemon` commands to their end."""

import os
import pty
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack

import prepared
from worlds import World

Done = subprocess.CompletedProcess[str]


def airlock_daemon(
    *args: str, status: int = 0, before: Sequence[str] = (), says: str | bytes = ""
) -> Done:
    """Run `airlock-daemon` with these arguments, and check its exit status; `says` is its stdin.

    `before` is the command that runs the package, by default `python -m airlock_daemon`.
    """
    says = says.encode() if isinstance(says, str) else says
    with ExitStack() as stack:
        files = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(3)]
        stdin, stdout, stderr = (file.fileno() for file in files)
        os.pwrite(stdin, says, 0)
        process: prepared.Process | subprocess.Popen[bytes]
        if not before and prepared.can_fork(os.environ):
            process = prepared.Process(args, stdin=stdin, stdout=stdout, stderr=stderr)
        else:
            argv = [sys.executable, *(before or ("-m", "airlock_daemon")), *args]
            process = subprocess.Popen(argv, stdin=stdin, stdout=stdout, stderr=stderr)
        try:
            process.wait(60)
        finally:
            process.kill()
        said = [os.pread(number, os.fstat(number).st_size, 0) for number in (stdout, stderr)]
    done = Done(args, process.wait(), *(each.decode() for each in said))
    assert done.returncode == status, done.stdout + done.stderr
    return done


def run(world: World, *args: str, status: int = 0) -> Done:
    """Run it with a world's configuration and agents."""
    options = ("--config", str(world.config), "--agents", str(world.agents_file))
    return airlock_daemon(*options, *args, status=status)


def answer(keys: str, *args: str, question: bytes = b"[y/N] ") -> tuple[int, str]:
    """Run it on a terminal, and type `keys` at the question; return its status and output."""
    terminal, theirs = pty.openpty()
    process = prepared.Process(args, stdin=theirs, terminal=True)
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(terminal, 65536):
            shown += chunk
            if keys and question in shown:
                os.write(terminal, keys.encode())
                keys = ""
    except OSError:
        pass  # the terminal is closed at its other end
    os.close(terminal)
    return process.wait(60), shown.decode()


def reload(world: World, *args: str, status: int = 0) -> Done:
    """Reload the daemon by the command, which waits for it."""
    return airlock_daemon("--config", str(world.config), "reload", *args, status=status)
