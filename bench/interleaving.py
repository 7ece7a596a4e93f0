"""The measuring loop: every variant once in each round, so that noise falls on all of them."""

import random
from collections.abc import Callable, Mapping

from bench.samples import Samples


def interleave(
    variants: Mapping[str, Callable[[], float]],
    *,
    rounds: int,
    warm_up: int = 1,
    settle: Callable[[], object] | None = None,
    budget_s: float = float("inf"),
) -> dict[str, Samples]:
    """Call each variant once per round; each returns its measured seconds.

    The order is shuffled each round, so that no variant always follows the same other one, and
    `settle` is called before each call, so that work left by one is not charged to the next. A
    variant that has taken `budget_s` in total is skipped in the remaining rounds; its earlier
    values count. The results of `warm_up` rounds are discarded.
    """
    order = random.Random(1)  # noqa: S311 - the same order in each run
    names = list(variants)
    taken: dict[str, list[float]] = {name: [] for name in names}
    for number in range(warm_up + rounds):
        for name in order.sample(names, len(names)):
            if sum(taken[name]) >= budget_s:
                continue
            if settle is not None:
                settle()
            seconds = variants[name]()
            if number >= warm_up:
                taken[name].append(seconds)
    return {name: Samples(tuple(values)) for name, values in taken.items()}
