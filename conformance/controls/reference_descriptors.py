"""What a descriptor is, and what waits in it, for the reference daemon and shim."""

import array
import fcntl
import os
import stat
import termios


def is_passable(descriptor: int) -> bool:
    """Whether a daemon may be given this: an anonymous pipe, a terminal or /dev/null."""
    link = os.readlink(f"/proc/self/fd/{descriptor}")
    return link == os.devnull or link.startswith("pipe:[") or os.isatty(descriptor)


def is_seekable(descriptor: int) -> bool:
    """Whether the descriptor has a position that can be put back."""
    return stat.S_ISREG(os.fstat(descriptor).st_mode)


def count_unread(descriptor: int) -> int:
    """Return how many bytes wait in a pipe (FIONREAD)."""
    count = array.array("i", [0])
    fcntl.ioctl(descriptor, termios.FIONREAD, count)
    return count[0]
