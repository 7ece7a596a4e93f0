"""Turns: the tasks of one agent take one step a round, and a busy loop lets others run."""

import os
from itertools import pairwise
from types import SimpleNamespace

import pytest
import trio

from airlock_daemon.fairness.turns import BUSY, Rounds, Turns


async def _run_alongside(rounds: Rounds, nursery: trio.Nursery) -> None:
    trio.lowlevel.add_instrument(rounds)
    nursery.start_soon(rounds.run)


async def test_one_agent_takes_one_step_a_round() -> None:
    """However many of its tasks want one; another agent's task goes on each round."""
    rounds = Rounds()
    steps: list[tuple[str, int]] = []

    async def work(name: str, turns: Turns, count: int) -> None:
        for _ in range(count):
            await trio.lowlevel.checkpoint()
            await turns.take()
            steps.append((name, rounds.number))

    async with trio.open_nursery() as watching:
        await _run_alongside(rounds, watching)
        crowd, single = Turns(rounds), Turns(rounds)
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
        turns = Turns(rounds)
        async with trio.open_nursery() as working:
            for _ in range(5):
                working.start_soon(turns.take)
            with trio.CancelScope() as scope:
                scope.cancel()
                await turns.take()
        await turns.take()
        watching.cancel_scope.cancel()


async def test_only_a_busy_loop_lets_others_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop that waits now and then is not held up; one that never does gives way each round."""
    yields: list[None] = []
    monkeypatch.setattr(os, "sched_yield", lambda: yields.append(None))
    rounds = Rounds()
    trio.lowlevel.add_instrument(rounds)
    for _ in range(5):
        for _ in range(BUSY - 1):
            await trio.lowlevel.checkpoint()
        await trio.sleep(0.001)
    assert yields == []
    for _ in range(BUSY + 10):
        await trio.lowlevel.checkpoint()
    assert len(yields) >= 10
    trio.lowlevel.remove_instrument(rounds)


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
        "airlock_daemon.fairness.turns.time", SimpleNamespace(perf_counter=lambda: now)
    )
    rounds = Rounds()
    for _ in range(50):
        rounds.before_io_wait(0)
        rounds.after_io_wait(0)
        now += 1.0
    assert len(given) >= 5
    for (began, ended), (later, _) in pairwise(given):
        assert later - ended >= ended - began
