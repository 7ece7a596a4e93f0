"""Bounds one agent's connections, requests, commands and hooks at a time."""

import os
import sys
from collections.abc import Awaitable

import trio
from trio.lowlevel import ParkingLot

from airlock_daemon.boundary.fairness.allowance import Allowance
from airlock_daemon.errors import AND_RELOAD, Denied
from airlock_daemon.setup.limits import Limits
from airlock_wire import Request

# However far an agent is ahead of its pace, nobody waits longer for one answer.
LONGEST_S = 1.0


class Pace:
    """Lets a second's worth of events pass at once, and then `per_s` of them in each second."""

    def __init__(self, per_s: float) -> None:
        self.per_s = per_s
        self._due = -1.0

    async def keep(self) -> None:
        """Return when the next event may take place.

        Cancellation does not shorten it: who leaves at once must not be faster than who waits.
        """
        now = trio.current_time()
        self._due = min(max(self._due, now - 1.0) + 1 / self.per_s, now + LONGEST_S)
        if self._due > now:
            with trio.CancelScope(shield=True):
                await trio.sleep_until(self._due)


# A character takes so many bytes at most, and each text with its place in a list or dict fewer than
# that beside them.
_WIDEST = 4
_TEXT = 256


def bound_weight(request: Request, size: int) -> int:
    """More than a request weighs that came in a line of `size` bytes; takes no time to find."""
    texts = 4 + len(request.args) + len(request.features or ()) + 2 * len(request.env)
    return _WIDEST * size + _TEXT * texts


def weigh(request: Request) -> int:
    """Bytes that a request's texts take in memory, which may be many times those of its line.

    A character takes up to four bytes, and each text some fifty more.
    """
    texts = (request.id, request.command, request.cwd, request.container_id)
    lists = (request.args, request.features or (), request.env, request.env.values())
    return sum(map(sys.getsizeof, texts)) + sum(
        sys.getsizeof(texts) + sum(map(sys.getsizeof, texts)) for texts in lists
    )


# How many requests of the largest size an agent's clients may have under way at once, and what a
# request may take that is not counted: as many of them as may be connected are no harm.
LARGEST = 8
SMALL = 16_384

CLOSE_SOME = "close connections that are not in use"
"""The remedy for too many connections."""


class Gate:
    """Counts what one agent has open and running, and makes the rest wait or go away.

    A place is given in the order of arrival. Whoever waits gives its place up when cancelled.
    `connections` is how many are open, `pace` is that of refusals, `crowd_pace` that of refused
    connections: who is refused for what was asked does not keep others from connecting.
    """

    def __init__(self, limits: Limits, allowance: Allowance) -> None:
        """`allowance` is that of the agent's records in the audit log."""
        self.limits = limits
        self._allowance = allowance
        self.connections = 0
        self._held = 0
        self.pace = Pace(limits.refusals_per_s)
        self.crowd_pace = Pace(limits.refusals_per_s)
        self._left = ParkingLot()
        self._slots = trio.CapacityLimiter(limits.running)
        self._hooks = trio.CapacityLimiter(limits.running)

    def adopt(self, limits: Limits) -> None:
        """Go by other limits from now on; what is open, running and waiting stays."""
        self.limits = limits
        self.pace.per_s = self.crowd_pace.per_s = limits.refusals_per_s
        self._slots.total_tokens = self._hooks.total_tokens = limits.running

    def connect(self) -> bool:
        """Count one more connection; False, and nothing counted, when there are too many."""
        if self.connections >= self.limits.connections:
            return False
        self.connections += 1
        return True

    def reserve(self, count: int) -> bool:
        """Count bytes that requests take; False, and nothing counted, where they are too many.

        One that is alone always has room. Without it each connection could hold a whole request, of
        megabytes, at once.
        """
        if self._held and self._held + count > LARGEST * self.limits.request_bytes:
            return False
        self._held += count
        return True

    def reserve_request(self, request: Request, size: int) -> int:
        """Count what a whole request takes until it is answered.

        Returns what to `release` then. Raises Denied (layer "limit") where that is too much.
        """
        if bound_weight(request, size) <= SMALL:
            return 0
        weight = weigh(request)
        if weight <= SMALL:
            return 0
        if not self.reserve(weight):
            raise too_large_error()
        return weight

    def release(self, count: int) -> None:
        """Give back what `reserve` counted."""
        self._held -= count

    def disconnect(self) -> None:
        """Give back what `connect` counted."""
        self.connections -= 1
        if not self.connections and self._left:
            self._left.unpark_all()

    async def wait_left(self) -> None:
        """Return when no connection is open."""
        while self.connections:
            await self._left.park()

    def take(self, alone: trio.CapacityLimiter | None) -> Awaitable["Place"]:
        """Take one of the agent's places, and `alone` too for a command that runs one at a time.

        The agent's own place comes first: an agent that queues up for a command that another one
        occupies uses up its own places only; so does one that has to wait until the log takes its
        records. Raises Denied (layer "limit") when the queue is full or `queue_s` has passed.
        """
        return self._take("commands", self._slots, self._allowance, alone)

    def take_for_hook(self) -> Awaitable["Place"]:
        """Take a place for a hook or program that decides about a request, as `take` for a command.

        There are as many as for commands, and beside those: a hook may wait for a person, and what
        runs meanwhile should not wait too.
        """
        return self._take("hooks", self._hooks)

    async def _take(
        self,
        what: str,
        own: trio.CapacityLimiter,
        allowance: Allowance | None = None,
        alone: trio.CapacityLimiter | None = None,
    ) -> "Place":
        place = Place()
        if (
            place.try_take(own)
            and not (allowance and allowance.is_spent)
            and (alone is None or place.try_take(alone))
        ):
            return place
        waiting = own.statistics().tasks_waiting
        if waiting >= self.limits.queued and not place.taken:
            raise Denied(
                f"{waiting} {what} of this agent are waiting already",
                layer="limit",
                rule="queued",
                hint=f"wait for them to end, or raise [limits] queued{AND_RELOAD}",
            )
        try:
            with trio.move_on_after(self.limits.queue_s) as waited:
                await place.wait(own)
                if allowance is not None:
                    await allowance.wait()
                if alone is not None:
                    await place.wait(alone)
        except BaseException:
            place.give_back()
            raise
        if waited.cancelled_caught:
            place.give_back()
            raise self._waited_in_vain(what, allowance)
        return place

    def _waited_in_vain(self, what: str, allowance: Allowance | None) -> Denied:
        if allowance and allowance.is_spent:
            return Denied(
                f"waited {self.limits.queue_s:g} s for room in the audit log, which this agent "
                "fills faster than it may",
                layer="limit",
                rule="log_bytes_s",
                hint=f"run fewer commands, or raise [limits] log_bytes_s{AND_RELOAD}",
            )
        return Denied(
            f"waited {self.limits.queue_s:g} s for a place to run",
            layer="limit",
            rule="queue_s",
            hint=f"wait for other {what} of this agent to end (a module with concurrent = false "
            f"runs one at a time), or raise [limits] running{AND_RELOAD}",
        )


def too_large_error() -> Denied:
    """The refusal of a request for which `reserve` had no room."""
    return Denied(
        "too many large requests of this agent are under way",
        layer="limit",
        rule="request_bytes",
        hint="send them one after the other",
    )


def too_many_error(limits: Limits) -> Denied:
    """The refusal of a connection beyond those that an agent may have."""
    return Denied(
        f"this agent has {limits.connections} connections open already",
        layer="limit",
        rule="connections",
        hint=CLOSE_SOME,
    )


class Place:
    """A place among the running commands, which its owner must `give_back`."""

    def __init__(self) -> None:
        self.taken: list[trio.CapacityLimiter] = []

    def try_take(self, limiter: trio.CapacityLimiter) -> bool:
        """Take a place of `limiter` if one is free and nobody waits for it."""
        try:
            limiter.acquire_on_behalf_of_nowait(self)
        except trio.WouldBlock:
            return False
        self.taken.append(limiter)
        return True

    async def wait(self, limiter: trio.CapacityLimiter) -> None:
        """Wait for a place of `limiter`, unless it was taken already."""
        if limiter not in self.taken:
            await limiter.acquire_on_behalf_of(self)
            self.taken.append(limiter)

    def leave(self, limiter: trio.CapacityLimiter | None) -> None:
        """Give back the place of `limiter` alone, if there is one."""
        if limiter in self.taken:
            self.taken.remove(limiter)
            limiter.release_on_behalf_of(self)

    def give_back(self) -> None:
        """Give back what was taken."""
        while self.taken:
            self.taken.pop().release_on_behalf_of(self)


# A flood of short commands costs most where they start: processes are made, and the daemon has work
# with each of them. A command that has run for a while counts no longer, whatever it does: how many
# of them may run is what `[limits] running` says.

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

    def delay(self, share: "Share") -> None:
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
    """Commands that one agent has just started."""

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
            self._starts.delay(self)
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
