"""Moves bytes between pipes without losing one (read(2), write(2), poll(2))."""

import errno
import os
import select


def copy(source: int, target: int, most: int) -> int:
    """Move at most `most` bytes from `source` to `target`, without blocking; 0 at the end.

    A pipe that poll(2) calls writable takes PIPE_BUF bytes whole, so that nothing that was read is
    left over, whether its descriptors block or not. Nobody else may write to `target` meanwhile.
    Raises BlockingIOError if the source is empty or the target full, and OSError.
    """
    moved = 0
    while moved < most:
        if not (_is_ready(target, select.POLLOUT) and _is_ready(source, select.POLLIN)):
            break
        piece = os.read(source, min(select.PIPE_BUF, most - moved))
        if not piece:
            return moved
        os.write(target, piece)
        moved += len(piece)
    if most and not moved:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return moved


def _is_ready(pipe: int, event: int) -> bool:
    """Also True where the call would fail, or find the end, without blocking."""
    asked = select.poll()
    asked.register(pipe, event)
    return bool(asked.poll(0))
