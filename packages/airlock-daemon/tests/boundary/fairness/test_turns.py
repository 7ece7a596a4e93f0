"""TurnQueue: the tasks of one agent take one step a round, and a busy loop lets others run."""

import os
import time
from itertools import pairwise
from types import SimpleNamespace

import pytest
import trio
from trio.testing import MockClock

from airlock_daemon.boundary.fairness import Rounds, TurnQueue
from airlock_daemon.boundary.fairness.turns import BUSY, LONG_S, RECENT_S


async def _run_alongside(rounds: Rounds, nursery: trio.Nursery) -> None:
    trio.lowlevel.add_instrument(rounds)
    nursery.start_soon(rounds.run)


async def test_one_agent_takes_one_step_a_round() -> None:
    """However many of its tasks want one; another agent's task goes on each round."""
    rounds = Rounds()
    steps: list[tuple[str, int]] = []

    async def work(name: str, turns: TurnQueue, count: int) -> None:
        for _ in range(count):
            await trio.lowlevel.checkpoint()
            await turns.take()
            steps.append((name, rounds.number))

    async with trio.open_nursery() as watching:
        await _run_alongside(rounds, watching)
        crowd, single = TurnQueue(rounds), TurnQueue(rounds)
        async with trio.open_nursery() as working:
            for _ in range(20):
                working.start_soon(work, "crowd", crowd, 3)
            working.start_soon(work, "single", single, 10)
        watching.cancel_scope.cancel()
    for name, count in (("crowd", 60), ("single", 10)):
        taken = [number for who, number in steps if who == name]
        assert len(taken) == count
        assert len(set(taken)) == count
    last_of_single = max(number for who, number in steps if who == "single")
    later = [number for who, number in steps if who == "crowd" and number > last_of_single]
    assert len(later) > 40


async def test_who_leaves_the_queue_keeps_nobody_waiting() -> None:
    """A task that is cancelled while it waits is passed over."""
    rounds = Rounds()
    async with trio.open_nursery() as watching:
        await _run_alongside(rounds, watching)
        turns = TurnQueue(rounds)
        async with trio.open_nursery() as working:
            for _ in range(5):
                working.start_soon(turns.take)
            with trio.CancelScope() as scope:
                scope.cancel()
                await turns.take()
        await turns.take()
        watching.cancel_scope.cancel()


async def test_a_long_step_is_followed_by_a_rest(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """Where another agent is there, which is not held up; the rest is of the whole agent."""
    used = 0.0
    monkeypatch.setattr(
        "airlock_daemon.boundary.fairness.turns.time",
        SimpleNamespace(perf_counter=lambda: 0.0, thread_time=lambda: used),
    )
    rounds = Rounds()
    steps: list[tuple[str, float]] = []

    async def work(name: str, turns: TurnQueue, count: int, takes: float) -> None:
        nonlocal used
        for _ in range(count):
            await turns.take()
            steps.append((name, trio.current_time()))
            used += takes
            await trio.sleep(0.1)

    async with trio.open_nursery() as watching:
        await _run_alongside(rounds, watching)
        heavy, light = TurnQueue(rounds), TurnQueue(rounds)
        began = trio.current_time()
        async with trio.open_nursery() as working:
            working.start_soon(work, "light", light, 100, 0.001)
            for _ in range(3):
                working.start_soon(work, "heavy", heavy, 2, 0.025)
        watching.cancel_scope.cancel()
    heavy_steps = [at - began for name, at in steps if name == "heavy"]
    assert heavy_steps == pytest.approx([0, 1, 2, 3, 4, 5], abs=0.2)
    light_steps = [at - began for name, at in steps if name == "light"]
    assert light_steps == pytest.approx([number * 0.1 for number in range(100)], abs=0.01)


async def test_whoever_is_alone_never_rests(autojump_clock: MockClock) -> None:
    """There is nobody to leave the loop to; nor long after somebody else was there."""
    rounds = Rounds()
    async with trio.open_nursery() as watching:
        await _run_alongside(rounds, watching)
        heavy, gone = TurnQueue(rounds), TurnQueue(rounds)
        await gone.take()
        await trio.sleep(RECENT_S)
        await heavy.take()
        await trio.sleep(2 * RECENT_S)
        began = trio.current_time()
        for _ in range(5):
            await heavy.take()
            until = time.thread_time() + 2 * LONG_S
            while time.thread_time() < until:
                pass
            await trio.lowlevel.checkpoint()
        assert trio.current_time() == began
        watching.cancel_scope.cancel()


def test_only_a_busy_loop_lets_others_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop that waits now and then is not held up; one that never does gives way each round."""
    now = 0.0
    yields: list[None] = []
    monkeypatch.setattr(os, "sched_yield", lambda: yields.append(None))
    monkeypatch.setattr(
        "airlock_daemon.boundary.fairness.turns.time", SimpleNamespace(perf_counter=lambda: now)
    )
    rounds = Rounds()

    def go_round(waits: float = 0.0) -> None:
        nonlocal now
        rounds.before_io_wait(0)
        now += waits
        rounds.after_io_wait(0)

    for _ in range(5):
        for _ in range(BUSY - 1):
            go_round()
        go_round(0.001)
    assert yields == []
    for _ in range(BUSY + 10):
        go_round()
    assert len(yields) == 10


def test_what_is_given_away_is_kept_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others who compute without end cost a busy loop half of its time at most."""
    now = 0.0
    given: list[tuple[float, float]] = []

    def hand_over() -> None:
        nonlocal now
        began, now = now, now + 5.0
        given.append((began, now))

    monkeypatch.setattr(os, "sched_yield", hand_over)
    monkeypatch.setattr(
        "airlock_daemon.boundary.fairness.turns.time", SimpleNamespace(perf_counter=lambda: now)
    )
    rounds = Rounds()
    for _ in range(50):
        rounds.before_io_wait(0)
        rounds.after_io_wait(0)
        now += 1.0
    assert len(given) >= 5
    for (began, ended), (later, _) in pairwise(given):
        assert later - ended >= ended - began
