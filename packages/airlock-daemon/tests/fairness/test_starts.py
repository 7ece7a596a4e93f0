"""Starts: an agent that others share with starts only so many commands at once."""

import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from airlock_daemon.fairness.starts import RECENT_S, YOUNG_S, Share, Starts


@asynccontextmanager
async def shared(processors: int) -> AsyncIterator[tuple[Share, Share]]:
    """The shares of two agents, of which the second one has just started a command."""
    async with trio.open_nursery() as watching:
        starts = Starts(processors=processors)
        watching.start_soon(starts.run)
        crowd, single = Share(starts), Share(starts)
        await single.take("single")
        yield crowd, single
        watching.cancel_scope.cancel()


async def test_who_is_alone_waits_for_nothing() -> None:
    """However many commands it starts."""
    share = Share(Starts(processors=2))
    for _ in range(100):
        with trio.fail_after(0):
            await share.take(object())


async def test_half_of_the_processors_are_for_others(autojump_clock: MockClock) -> None:
    """One that ends makes room for the next, in the order of arrival; others have their own."""
    async with shared(processors=4) as (crowd, single):
        began: list[int] = []

        async def start(number: int) -> None:
            await crowd.take(number)
            began.append(number)

        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(start, number)
                await wait_all_tasks_blocked()
            assert began == [0, 1]
            with trio.fail_after(0):
                await single.take("another")
            crowd.give_back(1)
            await wait_all_tasks_blocked()
            assert began == [0, 1, 2]
            nursery.cancel_scope.cancel()


async def test_what_runs_on_makes_room_after_a_while(autojump_clock: MockClock) -> None:
    """Long commands start one after the other, and each of them within a known time."""
    async with shared(processors=1) as (crowd, _):
        began = trio.current_time()
        for number in range(5):
            await crowd.take(number)
        assert 4 * YOUNG_S <= trio.current_time() - began <= 5 * 1.5 * YOUNG_S


async def test_others_count_for_a_second_only(autojump_clock: MockClock) -> None:
    """Who has asked for nothing lately takes nothing from anybody."""
    starts = Starts(processors=1)
    crowd, single = Share(starts), Share(starts)
    await single.take("single")
    await trio.sleep(RECENT_S)
    for number in range(100):
        with trio.fail_after(0):
            await crowd.take(number)


async def test_who_gives_up_keeps_nobody_waiting() -> None:
    """A command that was cancelled while it waited has no place to give back."""
    starts = Starts(processors=1)
    crowd, single = Share(starts), Share(starts)
    await single.take("single")
    await crowd.take("first")
    with trio.move_on_after(0):
        await crowd.take("second")
    crowd.give_back("second")
    crowd.give_back("first")
    with trio.fail_after(0):
        await crowd.take("third")


async def test_agents_that_are_gone_are_not_remembered() -> None:
    """However many came and went: only who asked last says whether others share."""
    starts = Starts(processors=2)
    gone = [Share(starts) for _ in range(5)]
    for share in gone:
        await share.take("command")
    held = [weakref.ref(share) for share in gone]
    gone.clear()
    del share
    assert sum(each() is not None for each in held) == 2
