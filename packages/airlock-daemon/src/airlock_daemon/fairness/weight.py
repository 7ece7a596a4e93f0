"""How much memory a request takes."""

import sys

from airlock_wire import Request


def weigh(request: Request) -> int:
    """Bytes that a request's texts take in memory, which may be many times those of its line.

    A character takes up to four bytes, and each text some fifty more.
    """
    texts = (request.id, request.command, request.cwd, request.container_id)
    lists = (request.args, request.features or (), request.env, request.env.values())
    return sum(map(sys.getsizeof, texts)) + sum(
        sys.getsizeof(texts) + sum(map(sys.getsizeof, texts)) for texts in lists
    )
