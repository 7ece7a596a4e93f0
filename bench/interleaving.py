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
    """Call each variant once a round; each returns the seconds that are to be kept.

    The order is shuffled each round, so that no variant always follows the same other one, and
    `settle` is called before each call: what the one before left to be done is not taken for the
    cost of the next. A variant that has taken `budget_s` in all is left out of the rounds that
    remain; its values are still those of the first rounds. The results of `warm_up` rounds are
    thrown away.
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
