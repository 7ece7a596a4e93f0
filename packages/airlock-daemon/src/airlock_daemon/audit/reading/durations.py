"""Percentiles of durations in bounded memory."""

import math
from collections import Counter

# The width of a class as a ratio, and the shortest time that is told apart.
_WIDTH = 1.01
_SHORTEST_MS = 0.001


class Durations:
    """Counts durations by classes of 1 %, at most some 3,000 however many there are.

    So a percentile is off by 1 % at most.
    """

    def __init__(self) -> None:
        self._counted: Counter[int] = Counter()

    def add(self, duration_ms: float) -> None:
        """Count one."""
        # Whatever stands in the file, no class is beyond a year or so.
        bounded = min(max(duration_ms, _SHORTEST_MS), 1e11)
        self._counted[math.floor(math.log(bounded, _WIDTH))] += 1

    def percentile(self, share: float) -> float | None:
        """The duration in ms that so large a share of all does not exceed; None of none."""
        rank = math.ceil(share * self._counted.total())
        for place, count in sorted(self._counted.items()):
            rank -= count
            if rank <= 0:
                return float(f"{_WIDTH ** (place + 0.5):.3g}")
        return None
