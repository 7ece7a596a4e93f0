"""How much memory a request takes."""

import sys

from airlock_wire import Request

# A character takes so many bytes at most, and each text with its place in a list or dict fewer than
# that beside them.
_WIDEST = 4
_TEXT = 256


def bound_weight(request: Request, size: int) -> int:
    """More than a request weighs that came in a line of `size` bytes; takes no time to find."""
    texts = 4 + len(request.args) + len(request.features or ()) + 2 * len(request.env)
    return _WIDEST * size + _TEXT * texts


def weigh(request: Request) -> int:
    """Bytes that a request's texts take in memory, which may be many times those of its line.

    A character takes up to four bytes, and each text some fifty more.
    """
    texts = (request.id, request.command, request.cwd, request.container_id)
    lists = (request.args, request.features or (), request.env, request.env.values())
    return sum(map(sys.getsizeof, texts)) + sum(
        sys.getsizeof(texts) + sum(map(sys.getsizeof, texts)) for texts in lists
    )
