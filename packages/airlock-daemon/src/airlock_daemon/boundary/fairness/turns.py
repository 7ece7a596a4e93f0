"""Shares one event loop among agents: one step per agent and round, fewer after long steps.

trio runs every runnable task before it polls for events, so an agent that keeps many tasks busy
would delay each step of all others by all of its own. Here an agent's tasks take turns: once one of
them has run in a round, the others wait in order of arrival.

A long step delays all others, and cannot be interrupted: reading a request of 4 MiB is a few
blocking calls. So after a long step an agent rests for many times as long, and few requests of
others meet such a step.
"""

import os
import time
from collections.abc import Callable
from typing import Protocol

import trio
from trio.lowlevel import ParkingLot

# A waiting task skips at least this many rounds. Another client's request takes a few, which are
# short while no bulk client has a turn.
PAUSE = 4

# After this many rounds without a wait of IDLE_S, the loop counts as busy.
BUSY = 4
IDLE_S = 50e-6


# A step of more processor time (s) is long; it is followed by a rest of REST times as long, at most
# MAX_REST_S, if another agent had a turn within the last RECENT_S.
LONG_S = 0.004
REST = 40
MAX_REST_S = 2.0
RECENT_S = 1.0


class _Steps(trio.abc.Instrument):
    """Times steps of tasks; installed as an instrument only while needed."""

    def __init__(self) -> None:
        self.is_on = False
        self._timed: TurnQueue | None = None
        self._began = 0.0

    def begin(self, turns: "TurnQueue") -> None:
        """Start timing a step of `turns`."""
        if not self.is_on:
            trio.lowlevel.add_instrument(self)
            self.is_on = True
        self._timed, self._began = turns, time.thread_time()

    def stop(self) -> None:
        """Stop timing."""
        if self.is_on:
            trio.lowlevel.remove_instrument(self)
            self.is_on = False

    def after_task_step(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002 - trio's own call
        """End of a step of any task."""
        if self._timed is not None:
            turns, self._timed = self._timed, None
            turns.end_step(time.thread_time() - self._began)


class Rounds(trio.abc.Instrument):
    """Counts the event loop's rounds, and gives turns to waiting tasks.

    Pass it to `trio.run` as an instrument, and `run` it in a task.
    """

    def __init__(self) -> None:
        self.number = 0
        self._over = 0.0
        self._without_rest = 0
        self._kept_until = 0.0
        self._contended: dict[TurnQueue, None] = {}
        self._deferred: list[Callable[[], None]] = []
        self._idle = ParkingLot()
        self.latest: TurnQueue | None = None
        self._changed = -RECENT_S
        self.steps = _Steps()

    def begin(self, turns: "TurnQueue") -> None:
        """Note that a task of `turns` begins a step; time it if others could be delayed.

        Nothing is to note if `latest` is `turns` and no steps are timed: no other agent has had a
        turn recently.
        """
        now = trio.current_time()
        if self.latest is not turns:
            self.latest, self._changed = turns, now
        if now - self._changed < RECENT_S:
            self.steps.begin(turns)
        else:
            self.steps.stop()

    def before_io_wait(self, timeout: float) -> None:  # noqa: ARG002 - trio's own call
        """End of a round."""
        if self._deferred:
            deferred, self._deferred = self._deferred, []
            for act in deferred:
                act()
        self._over = time.perf_counter()

    def after_io_wait(self, timeout: float) -> None:  # noqa: ARG002 - trio's own call
        """Start of a round."""
        self.number += 1
        if time.perf_counter() - self._over > IDLE_S:
            self._without_rest = 0
            return
        self._without_rest += 1
        if self._without_rest > BUSY:
            self._give_way()

    def _give_way(self) -> None:
        """Yield the processor, unless that has just taken long.

        A busy loop runs until its time slice ends, some milliseconds, while others, such as the
        processes that it has just started, wait for a processor. But a process that computes
        without pause takes a whole slice. So after each yield there is none for as long as it took.
        """
        now = time.perf_counter()
        if now >= self._kept_until:
            os.sched_yield()
            after = time.perf_counter()
            self._kept_until = after + (after - now)

    def defer(self, act: Callable[[], None]) -> None:
        """Call `act`, which must not block or raise, at the end of this round."""
        self._deferred.append(act)

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            while self._contended:
                for _ in range(PAUSE):
                    await trio.lowlevel.checkpoint()
                for turns in list(self._contended):
                    if not turns.hand_on():
                        del self._contended[turns]
            await self._idle.park()

    def contend(self, turns: "TurnQueue") -> None:
        """Note that a task waits for a turn of `turns`."""
        self._contended[turns] = None
        self._idle.unpark()


class TurnSource(Protocol):
    """Any source of turns."""

    async def take(self) -> None:
        """Wait for the next turn."""


class TurnQueue:
    """The turns of one agent."""

    def __init__(self, rounds: Rounds) -> None:
        self._rounds = rounds
        self._taken = -1
        self._waiting = ParkingLot()
        self._parked = 0
        self._rested = 0.0

    async def take(self) -> None:
        """Wait for this agent's next turn, which lasts until the task waits for anything else."""
        rounds = self._rounds
        if self._parked or self._taken == rounds.number or (self._rested and self._is_tired):
            await self._wait()
        else:
            self._taken = rounds.number
        if rounds.latest is not self or rounds.steps.is_on:
            rounds.begin(self)

    async def _wait(self) -> None:
        while True:
            if self._is_tired:
                await trio.sleep_until(self._rested)
            elif self._taken != self._rounds.number and not self._parked:
                self._taken = self._rounds.number
                return
            else:
                self._rounds.contend(self)
                self._parked += 1
                try:
                    await self._waiting.park()
                finally:
                    self._parked -= 1
                # The previous step may have been long.
                if not self._is_tired:
                    return

    def end_step(self, used: float) -> None:
        """Note that a step has used `used` seconds of processor time."""
        if used > LONG_S:
            self._rested = trio.current_time() + min(REST * used, MAX_REST_S)

    @property
    def _is_tired(self) -> bool:
        return self._rested > trio.current_time()

    def hand_on(self) -> bool:
        """Give this round's turn to the first waiting task; False if none waits."""
        if self._taken != self._rounds.number:
            self._taken = self._rounds.number
            self._waiting.unpark()
        return bool(self._waiting)
