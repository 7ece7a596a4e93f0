"""Calls on pipes that only Linux has, and what stands for them elsewhere."""

import fcntl
import os
import sys
from contextlib import suppress


def enlarge_pipe(pipe: int, size: int) -> None:
    """Enlarge a pipe if possible: it is not if its user has many pipes, or outside of Linux."""
    command = getattr(fcntl, "F_SETPIPE_SZ", None)
    if command is not None:
        with suppress(OSError):
            fcntl.fcntl(pipe, command, size)


def splice(source: int, target: int, most: int) -> int:
    """Move at most `most` bytes between pipes (splice(2)), without blocking; 0 at the end.

    Raises BlockingIOError if the source is empty or the target full, and OSError.
    """
    if sys.platform == "linux" and hasattr(os, "splice"):
        return os.splice(source, target, most, flags=os.SPLICE_F_NONBLOCK)
    from airlock_daemon.platform.posix.copying import copy  # noqa: PLC0415 - for macOS

    return copy(source, target, most)
