"""Series of measured values, and comparing them."""

import math
from collections.abc import Sequence

import msgspec


class Samples(msgspec.Struct, frozen=True):
    """Values of one variant in order of measurement; never empty."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle value, or the mean of the middle two."""
        return median(self.values)

    def quantile(self, share: float) -> float:
        """The smallest value that at least `share` of the values (0 to 1) do not exceed."""
        ordered = sorted(self.values)
        return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """A median of `n` values and the interval that holds the true one in 95 of 100 runs."""

    value: float
    low: float
    high: float
    n: int


def median(values: Sequence[float]) -> float:
    """Return the median of `values`, which are not empty."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


def estimate(values: Sequence[float]) -> Estimate:
    """Return the median of `values` with its 95 % interval.

    The interval is that of order statistics (binomial with p = 1/2, normal approximation): it
    assumes nothing of how the values are spread. For fewer than six values it is their range.
    """
    ordered = sorted(values)
    n = len(ordered)
    reach = 1.96 * math.sqrt(n) / 2
    low, high = max(0, math.floor(n / 2 - reach)), min(n - 1, math.ceil(n / 2 + reach))
    return Estimate(value=median(ordered), low=ordered[low], high=ordered[high], n=n)


def added(direct: Samples, through: Samples) -> Estimate:
    """Return the time of `through` beyond `direct`, as a multiple of the median of `direct`.

    Both come from one interleaved loop: values of the same round are subtracted, so that a
    temporary load affects both.
    """
    base = direct.median
    pairs = zip(direct.values, through.values, strict=False)
    return estimate([(other - one) / base for one, other in pairs])


def ratio(direct: Samples, through: Samples) -> Estimate:
    """Return `through` divided by `direct`, round by round of one interleaved loop."""
    pairs = zip(direct.values, through.values, strict=False)
    return estimate([other / one for one, other in pairs])
