"""Sharing the processors: while other agents ask too, none starts more than its share at once.

A flood of short commands costs most where they start: processes are made, and the daemon has work
with each of them. A command that has run for a while counts no longer, whatever it does: how many
of them may run is what `[limits] running` says.
"""

import os

import trio
from trio.lowlevel import ParkingLot

# How long a command counts as one that has just been started.
YOUNG_S = 0.02

# An agent that has started nothing for so long shares with nobody.
RECENT_S = 1.0


class Starts:
    """Knows which agents start commands. A task must `run` it."""

    def __init__(self, processors: int | None = None) -> None:
        """`processors` are those that the daemon may use, unless it is said."""
        count = processors or len(os.sched_getaffinity(0))
        self.share = max(1, count // 2)
        self._asked: dict[Share, float] = {}
        self._held_up: dict[Share, None] = {}
        self._idle = ParkingLot()

    def ask(self, share: "Share") -> bool:
        """Note that an agent is about to start a command; returns whether others do so too."""
        now = trio.current_time()
        self._asked.pop(share, None)
        other, last = next(reversed(self._asked.items()), (share, -RECENT_S))
        # Who asked before these two says nothing any more, and may be gone.
        self._asked = {other: last, share: now}
        return now - last < RECENT_S

    def hold_up(self, share: "Share") -> None:
        """Somebody waits for one of the places of `share`."""
        self._held_up[share] = None
        self._idle.unpark()

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            while self._held_up:
                await trio.sleep(YOUNG_S / 4)
                for share in list(self._held_up):
                    if not share.let_grow():
                        del self._held_up[share]
            await self._idle.park()


class Share:
    """What one agent has just started."""

    def __init__(self, starts: Starts) -> None:
        self._starts = starts
        self._places = trio.CapacityLimiter(starts.share)
        self._young: dict[object, float] = {}

    async def take(self, command: object) -> None:
        """Wait until `command` may start, in the order of arrival; `give_back` follows its end."""
        if not self._starts.ask(self):
            return
        self.let_grow()
        try:
            self._places.acquire_on_behalf_of_nowait(command)
        except trio.WouldBlock:
            self._starts.hold_up(self)
            await self._places.acquire_on_behalf_of(command)
        self._young[command] = trio.current_time()

    def give_back(self, command: object) -> None:
        """`command` has ended, or was never started."""
        if command in self._young:
            del self._young[command]
            self._places.release_on_behalf_of(command)

    def let_grow(self) -> bool:
        """Give back what is no longer young; returns whether somebody waits."""
        grown = trio.current_time() - YOUNG_S
        for command, started in list(self._young.items()):
            if started > grown:
                break
            self.give_back(command)
        return self._places.statistics().tasks_waiting > 0
