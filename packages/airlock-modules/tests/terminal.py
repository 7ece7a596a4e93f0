"""Running a tool on a pseudo-terminal, as for a person."""

import os
import pty
import select
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

PATIENCE_S = 60.0
"""After this many seconds a tool counts as hanging. None takes a tenth of it."""

PROGRAMS = (
    *("less", "more", "most", "pager", "sensible-pager"),
    *("vi", "vim", "nano", "emacs", "ed", "editor", "sensible-editor"),
    *("gitk", "tig", "xdg-open", "ssh-askpass"),
)


class Ended(Struct, frozen=True):
    """A tool's terminal output, and its exit status."""

    text: str
    status: int


def run_on_terminal(
    *argv: str, directory: Path, environment: Mapping[str, str], typed: str = ""
) -> Ended:
    """Run a tool whose standard streams and controlling terminal are a new pseudo-terminal.

    `typed` is input present from the start. A hanging tool is killed, and fails the test.
    """
    pid, terminal = pty.fork()
    if pid == 0:
        try:
            os.chdir(directory)
            os.execvpe(argv[0], argv, dict(environment))
        finally:
            os._exit(127)
    os.write(terminal, typed.encode())
    written = b""
    deadline = time.monotonic() + PATIENCE_S
    while chunk := _read(terminal, deadline - time.monotonic()):
        written += chunk
    if time.monotonic() >= deadline:
        os.killpg(pid, signal.SIGKILL)
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert time.monotonic() < deadline, f"{argv} hangs, having written {written!r}"
    text = written.decode(errors="replace").replace("\r\n", "\n")
    return Ended(text, os.waitstatus_to_exitcode(status))


def _read(terminal: int, wait_s: float) -> bytes:
    """Read the next output; empty once no process has the terminal open, or after the wait."""
    readable, _, _ = select.select([terminal], [], [], max(0.0, wait_s))
    try:
        return os.read(terminal, 65536) if readable else b""
    except OSError:  # EIO on Linux: the last process has closed its end
        return b""
