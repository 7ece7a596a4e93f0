"""Which processors what is started here may run on."""

import contextlib
import os
from collections.abc import Iterator


def find_one() -> frozenset[int] | None:
    """One of several processors, None where there is only one."""
    first, *others = sorted(os.sched_getaffinity(0))
    return frozenset((first,)) if others else None


@contextlib.contextmanager
def starting_on(processors: frozenset[int] | None) -> Iterator[None]:
    """What is started meanwhile, and all that it starts, has these alone; None for no change."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, processors or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
