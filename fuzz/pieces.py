"""Bytes in pieces, as a stream brings them, and how much is kept of them."""

import gc
import random
import sys
from collections.abc import Iterator
from types import FunctionType, ModuleType


def cut(stream: bytes, seed: int) -> Iterator[bytes]:
    """Yield the bytes in pieces, the same ones for the same `seed`; 20 bytes on the average."""
    choices = random.Random(seed)  # noqa: S311 - only cuts
    start = 0
    while start < len(stream):
        end = start + 1 + int(choices.expovariate(0.05))
        yield stream[start:end]
        start = end


def measure(root: object) -> int:
    """Return the bytes of all data that can be reached from an object, code left out."""
    seen: dict[int, object] = {}
    waiting: list[object] = [root]
    while waiting:
        value = waiting.pop()
        if id(value) in seen or isinstance(value, type | ModuleType | FunctionType):
            continue
        seen[id(value)] = value
        waiting += gc.get_referents(value)
    return sum(map(sys.getsizeof, seen.values()))
