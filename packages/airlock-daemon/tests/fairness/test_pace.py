"""The pace of refusals: nobody notices it who does not flood."""

import trio
from trio.testing import MockClock

from airlock_daemon.fairness.pace import LONGEST_S, Pace


async def test_a_seconds_worth_passes_at_once(autojump_clock: MockClock) -> None:
    """Only what is more than that waits, each for its share of a second."""
    pace = Pace(10)
    began = trio.current_time()
    for _ in range(10):
        await pace.keep()
    assert trio.current_time() == began
    for _ in range(5):
        await pace.keep()
    assert round(trio.current_time() - began, 6) == 0.5


async def test_who_rests_may_be_fast_again(autojump_clock: MockClock) -> None:
    """A second without events is as good as a new beginning, and two are no better."""
    pace = Pace(10)
    for _ in range(20):
        await pace.keep()
    await trio.sleep(2)
    began = trio.current_time()
    for _ in range(11):
        await pace.keep()
    assert round(trio.current_time() - began, 6) == 0.1


async def test_nobody_waits_longer_than_a_second(autojump_clock: MockClock) -> None:
    """However many come at once."""
    pace = Pace(10)
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(1000):
            nursery.start_soon(pace.keep)
    assert round(trio.current_time() - began, 6) == LONGEST_S


async def test_leaving_does_not_make_it_faster(autojump_clock: MockClock) -> None:
    """A task that is cancelled waits all the same."""
    pace = Pace(10)
    for _ in range(10):
        await pace.keep()
    began = trio.current_time()
    with trio.CancelScope() as scope:
        scope.cancel()
        await pace.keep()
    assert round(trio.current_time() - began, 6) == 0.1
