"""CPU affinity of what is started here."""

import contextlib
import os
from collections.abc import Iterator


def find_one() -> frozenset[int] | None:
    """Return one of several processors, None if there is only one."""
    first, *others = sorted(os.sched_getaffinity(0))
    return frozenset((first,)) if others else None


@contextlib.contextmanager
def starting_on(processors: frozenset[int] | None) -> Iterator[None]:
    """Restrict processes started in the block, and their children, to these; None for no change."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, processors or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
