"""The statistics of the measurements, and the loop that they come from."""

from functools import partial

import pytest
from bench.interleaving import interleave
from bench.samples import Samples, added, estimate, ratio


def test_quantile_is_a_value_that_was_measured() -> None:
    """A quantile is the smallest value that enough values do not exceed."""
    samples = Samples(tuple(float(number) for number in range(1, 201)))
    assert samples.quantile(0.99) == 198
    assert samples.quantile(0) == 1
    assert samples.quantile(1) == 200
    assert samples.median == 100.5


def test_added_ignores_a_load_that_falls_on_both() -> None:
    """A slow spell in the loop counts for neither side, since rounds are compared."""
    direct = Samples((1.0, 1.0, 9.0, 9.0, 1.0))
    through = Samples((1.5, 1.5, 9.5, 9.5, 1.5))
    assert added(direct, through).value == pytest.approx(0.5)


def test_rounds_beyond_the_shorter_series_do_not_count() -> None:
    """A variant that was left out of later rounds is compared by those that it had."""
    found = ratio(Samples((1.0, 2.0, 100.0)), Samples((3.0, 6.0)))
    assert (found.value, found.n) == (3.0, 2)


def test_interval_encloses_the_median_and_narrows() -> None:
    """The interval holds the median, and four times the values halve it."""
    few = estimate([float(number % 100) for number in range(100)])
    many = estimate([number % 400 / 4 for number in range(400)])
    assert few.low < few.value < few.high
    assert many.high - many.low == pytest.approx((few.high - few.low) / 2, abs=1)


def test_interval_of_few_values_is_their_range() -> None:
    """Up to five values say no more than where they lie."""
    found = estimate([3.0, 1.0, 2.0])
    assert (found.low, found.value, found.high) == (1.0, 2.0, 3.0)


def test_each_round_has_every_variant_in_another_order() -> None:
    """No variant always follows the same other one, and warming up leaves no value."""
    seen: list[str] = []

    def take(name: str) -> float:
        seen.append(name)
        return float(len(seen))

    found = interleave({name: partial(take, name) for name in "abc"}, rounds=9, warm_up=1)
    rounds = {"".join(seen[start : start + 3]) for start in range(0, 30, 3)}
    assert {"".join(sorted(order)) for order in rounds} == {"abc"}
    assert len(rounds) > 2
    assert {len(samples.values) for samples in found.values()} == {9}
    assert min(found["a"].values) > 3


def test_every_call_starts_from_the_same_state() -> None:
    """What settles things is called before each call, and leaves no value."""
    seen: list[str] = []
    take = {name: lambda: float(len(seen)) for name in "ab"}
    found = interleave(take, rounds=2, warm_up=1, settle=lambda: seen.append("settled"))
    assert len(seen) == 6
    assert sorted(found["a"].values + found["b"].values) == [3, 4, 5, 6]


def test_slow_variant_is_left_out_of_later_rounds() -> None:
    """A variant that has used up its time is not called again; the others go on."""
    found = interleave(
        {"slow": lambda: 10.0, "quick": lambda: 1.0}, rounds=5, warm_up=0, budget_s=15
    )
    assert len(found["slow"].values) == 2
    assert len(found["quick"].values) == 5
