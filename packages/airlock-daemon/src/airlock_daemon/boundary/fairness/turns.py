"""Sharing one event loop among agents: each may take one step a round, and fewer if it takes many.

trio runs every task that can run before it looks for new events, so that a client who keeps many
tasks busy would delay each step of everybody else by all of theirs. Here the tasks of one agent
take turns: while one of them has had the round, the others wait in the order of their arrival.

A step that takes long holds up everybody, and nothing can cut it short: to read a request of 4 MiB
is a few calls that do not return before. So whoever has taken one leaves the loop to the others for
many times as long, and little of what they ask for meets such a step.
"""

import os
import time
from collections.abc import Callable
from typing import Protocol

import trio
from trio.lowlevel import ParkingLot

# How many rounds whoever had to wait waits at least. What another client asks for takes a few, and
# they are short where nobody who wants everything has a turn in them.
PAUSE = 4

# After so many rounds, without a wait of so long between two of them, the loop counts as busy.
BUSY = 4
IDLE_S = 50e-6


# A step of more processor time than this is long, and is followed by a rest of so many times as
# long, if another agent has had a turn within the last second.
LONG_S = 0.004
REST = 40
MOST_REST_S = 2.0
RECENT_S = 1.0


class _Steps(trio.abc.Instrument):
    """Times steps of tasks. It is an instrument only while there may be some to time."""

    def __init__(self) -> None:
        self.is_on = False
        self._timed: TurnQueue | None = None
        self._began = 0.0

    def begin(self, turns: "TurnQueue") -> None:
        """A step of `turns` begins."""
        if not self.is_on:
            trio.lowlevel.add_instrument(self)
            self.is_on = True
        self._timed, self._began = turns, time.thread_time()

    def stop(self) -> None:
        """There is nothing to time any more."""
        if self.is_on:
            trio.lowlevel.remove_instrument(self)
            self.is_on = False

    def after_task_step(self, task: trio.lowlevel.Task) -> None:  # noqa: ARG002 - trio's own call
        """A step is over, of whichever task."""
        if self._timed is not None:
            turns, self._timed = self._timed, None
            turns.end_step(time.thread_time() - self._began)


class Rounds(trio.abc.Instrument):
    """Counts the rounds of the event loop, and hands out the turns of those that had to wait.

    Give it to `trio.run` as an instrument, and let a task `run` it.
    """

    def __init__(self) -> None:
        self.number = 0
        self._over = 0.0
        self._without_rest = 0
        self._kept_until = 0.0
        self._contended: dict[TurnQueue, None] = {}
        self._deferred: list[Callable[[], None]] = []
        self._idle = ParkingLot()
        self._latest: TurnQueue | None = None
        self._changed = -RECENT_S
        self._steps = _Steps()

    def begin(self, turns: "TurnQueue") -> None:
        """A task of `turns` begins a step: see what that takes, where others could notice."""
        if self._latest is turns and not self._steps.is_on:
            # Nobody else has had a turn for long.
            return
        now = trio.current_time()
        if self._latest is not turns:
            self._latest, self._changed = turns, now
        if now - self._changed < RECENT_S:
            self._steps.begin(turns)
        else:
            self._steps.stop()

    def before_io_wait(self, timeout: float) -> None:  # noqa: ARG002 - trio's own call
        """A round is over."""
        if self._deferred:
            deferred, self._deferred = self._deferred, []
            for act in deferred:
                act()
        self._over = time.perf_counter()

    def after_io_wait(self, timeout: float) -> None:  # noqa: ARG002 - trio's own call
        """A round begins."""
        self.number += 1
        if time.perf_counter() - self._over > IDLE_S:
            self._without_rest = 0
            return
        self._without_rest += 1
        if self._without_rest > BUSY:
            self._give_way()

    def _give_way(self) -> None:
        """Let others have the processor, unless they have just had it for long.

        A loop that always has something to do runs on until the kernel's time slice ends, some
        milliseconds, and others wait for the processor too: what it has just started. But somebody
        who computes without end takes all of such a slice. So each time that was given away is
        followed by as long a one in which none is.
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
        """Somebody waits for a turn of `turns`."""
        self._contended[turns] = None
        self._idle.unpark()


class TurnSource(Protocol):
    """Turns to take, of whatever kind."""

    async def take(self) -> None:
        """Wait for the next turn."""


class TurnQueue:
    """The turns of one agent."""

    def __init__(self, rounds: Rounds) -> None:
        self._rounds = rounds
        self._taken = -1
        self._waiting = ParkingLot()
        self._rested = 0.0

    async def take(self) -> None:
        """Wait for this agent's next turn; it lasts until the task waits for anything else."""
        while True:
            if self._rested and self._is_tired:
                await trio.sleep_until(self._rested)
                continue
            if self._taken != self._rounds.number and not self._waiting:
                self._taken = self._rounds.number
                break
            self._rounds.contend(self)
            await self._waiting.park()
            # The one before may just have taken long.
            if not self._is_tired:
                break
        self._rounds.begin(self)

    def end_step(self, used: float) -> None:
        """A step has used so many seconds of the processor."""
        if used > LONG_S:
            self._rested = trio.current_time() + min(REST * used, MOST_REST_S)

    @property
    def _is_tired(self) -> bool:
        return self._rested > trio.current_time()

    def hand_on(self) -> bool:
        """Give this round's turn to the first who waits; False where nobody does."""
        if self._taken != self._rounds.number:
            self._taken = self._rounds.number
            self._waiting.unpark()
        return bool(self._waiting)
