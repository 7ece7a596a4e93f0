"""Limits one agent's connections, requests, commands, hooks and audit records."""

import math
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import trio
from trio.lowlevel import ParkingLot

from airlock_daemon.errors import AND_RELOAD, Denied
from airlock_daemon.platform.system import count_processors
from airlock_wire import Request

if TYPE_CHECKING:
    # The HTTPS broker's process takes turns, and reads no files of the operator.
    from airlock_daemon.setup.generation import Limits


class Allowance:
    """A budget of `bytes_s` bytes per second, with unused ones saved up to `burst`.

    Bytes that cannot be delayed are counted too, and can make the budget negative. Outside trio
    only `spend` may be called.
    """

    def __init__(
        self, *, bytes_s: float, burst: float, on_wait: Callable[[], None] | None = None
    ) -> None:
        """`burst` is the limit of saved bytes, and the initial budget.

        `on_wait` is called whenever a task has to wait.
        """
        self._bytes_s = bytes_s
        self._burst = burst
        self._on_wait = on_wait
        self._saved = burst
        self._counted: float | None = None

    def adopt(self, *, bytes_s: float, burst: float) -> None:
        """Change rate and burst; what was spent stays spent."""
        self._saved = min(self._count(), burst)
        self._bytes_s, self._burst = bytes_s, burst

    def spend(self, count: int) -> None:
        """Spend bytes."""
        self._saved -= count

    @property
    def has_plenty(self) -> bool:
        """Whether more than half of the burst is left."""
        return self._count() > self._burst / 2

    @property
    def is_spent(self) -> bool:
        """Whether nothing is left."""
        return self._count() <= 0

    async def wait(self) -> None:
        """Wait until something is left."""
        while self.is_spent:
            if self._on_wait is not None:
                self._on_wait()
            # A little longer than needed, so that rounding causes no further round.
            await trio.sleep(-self._saved / self._bytes_s + 0.001)

    def _count(self) -> float:
        now = trio.current_time()
        if self._counted is not None:
            self._saved = min(self._burst, self._saved + (now - self._counted) * self._bytes_s)
        self._counted = now
        return self._saved


# Limit in seconds of the delay of one answer.
MAX_DELAY_S = 1.0


class Pace:
    """Lets a second's worth of events pass at once, then `per_s` per second."""

    def __init__(self, per_s: float) -> None:
        self.per_s = per_s
        self._due = -1.0

    async def wait(self) -> None:
        """Wait until the next event is due.

        Cancellation does not shorten it: a client that leaves must not be faster than others.
        """
        now = trio.current_time()
        self._due = min(max(self._due, now - 1.0) + 1 / self.per_s, now + MAX_DELAY_S)
        if self._due > now:
            with trio.CancelScope(shield=True):
                await trio.sleep_until(self._due)


# Upper bounds in bytes: a character, and the overhead of a text in a list or dict.
_WIDEST = 4
_TEXT = 256


def bound_weight(request: Request, size: int) -> int:
    """An upper bound of `weigh`, in constant time, for a request in a line of `size` bytes."""
    texts = 4 + len(request.args) + len(request.features or ()) + 2 * len(request.env)
    return _WIDEST * size + _TEXT * texts


def weigh(request: Request) -> int:
    """Bytes of memory for a request's texts, possibly a multiple of the line's.

    A character takes up to four bytes, and each text some fifty more.
    """
    texts = (request.id, request.command, request.cwd, request.container_id)
    lists = (request.args, request.features or (), request.env, request.env.values())
    return sum(map(sys.getsizeof, texts)) + sum(
        sys.getsizeof(texts) + sum(map(sys.getsizeof, texts)) for texts in lists
    )


# An agent's limit of concurrent requests of maximum size; and bytes of a request that do not count:
# even on all of its connections they are harmless.
LARGE_REQUESTS = 8
UNCOUNTED_BYTES = 16_384

CLOSE_SOME = "close connections that are not in use"
"""The remedy for too many connections."""


class Gate:
    """Counts one agent's connections and commands; queues or refuses those beyond its limits.

    Slots are granted in order of arrival; a cancelled task leaves the queue. `connections` is the
    number of open ones. `pace` delays refusals, and `crowd_pace` refused connections: an agent
    whose requests are refused can still connect.
    """

    def __init__(self, limits: "Limits", allowance: Allowance) -> None:
        """`allowance` limits the agent's audit records."""
        self.limits = limits
        self._allowance = allowance
        self.connections = 0
        self._reserved = 0
        self.pace = Pace(limits.refusals_per_s)
        self.crowd_pace = Pace(limits.refusals_per_s)
        self._all_closed = ParkingLot()
        self._slots = trio.CapacityLimiter(limits.running)
        self._hooks = trio.CapacityLimiter(limits.running)
        self._stranded: list[Callable[[], bool]] = []

    def adopt(self, limits: "Limits") -> None:
        """Change the limits; what is open, running or waiting stays."""
        self.limits = limits
        self.pace.per_s = self.crowd_pace.per_s = limits.refusals_per_s
        self._slots.total_tokens = self._hooks.total_tokens = limits.running

    def connect(self) -> bool:
        """Count a connection; False, without counting it, if there are too many."""
        if self.connections >= self.limits.connections:
            return False
        self.connections += 1
        return True

    def reserve(self, count: int) -> bool:
        """Reserve bytes for requests; False, without reserving them, if there are too many.

        A single request always fits. Without a limit each connection could hold a whole request of
        megabytes at once.
        """
        if self._reserved and self._reserved + count > LARGE_REQUESTS * self.limits.request_bytes:
            return False
        self._reserved += count
        return True

    def reserve_request(self, request: Request, size: int) -> int:
        """Reserve the memory of a whole request until it is answered.

        Returns the bytes to `release`. Raises Denied (layer "limit") if that is too much.
        """
        if bound_weight(request, size) <= UNCOUNTED_BYTES:
            return 0
        weight = weigh(request)
        if weight <= UNCOUNTED_BYTES:
            return 0
        if not self.reserve(weight):
            raise too_large_error()
        return weight

    def release(self, count: int) -> None:
        """Release bytes from `reserve`."""
        self._reserved -= count

    def disconnect(self) -> None:
        """Discount a connection from `connect`."""
        self.connections -= 1
        if not self.connections and self._all_closed:
            self._all_closed.unpark_all()

    async def wait_closed(self) -> None:
        """Wait until no connection is open."""
        while self.connections:
            await self._all_closed.park()

    def acquire(self, alone: trio.CapacityLimiter | None) -> Awaitable["Slot"]:
        """Take one of the agent's slots, and also `alone` for a command that runs one at a time.

        The agent's own slot comes first: while it waits for a command that another agent runs, or
        for the audit log, it uses up its own slots only. Raises Denied (layer "limit") if the queue
        is full, `queue_s` has passed, or as many commands as may run are stranded.
        """
        self.require_few_stranded()
        return self._acquire("commands", self._slots, self._allowance, alone)

    def strand(self, release: Callable[[], bool]) -> None:
        """Count a command whose processes SIGKILL did not end, until `release` returns True.

        An agent can cause this, by a pipe with a page of its own file system. It must not add up.
        """
        self._stranded.append(release)

    def require_few_stranded(self) -> None:
        """Raise Denied (layer "limit") if as many commands as may run are stranded."""
        self._stranded = [each for each in self._stranded if not each()]
        if len(self._stranded) >= self.limits.running:
            raise Denied(
                f"{len(self._stranded)} ended commands of this agent still hang in the kernel",
                layer="limit",
                rule="running",
                hint="a person on the host can find what they wait for, such as a file system that "
                "does not answer (ps -eo pid,stat,wchan:32,args), and end that",
            )

    def acquire_for_hook(self) -> Awaitable["Slot"]:
        """Take a slot for a hook or program that judges a request, as `acquire` does for a command.

        There are as many again as for commands: a hook may wait for a person, which must not block
        commands.
        """
        return self._acquire("hooks", self._hooks)

    async def _acquire(
        self,
        what: str,
        own: trio.CapacityLimiter,
        allowance: Allowance | None = None,
        alone: trio.CapacityLimiter | None = None,
    ) -> "Slot":
        place = Slot()
        if (
            place.try_acquire(own)
            and not (allowance and allowance.is_spent)
            and (alone is None or place.try_acquire(alone))
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
            if own is self._slots:
                # Those that it waited for may be stranded now.
                self.require_few_stranded()
        except BaseException:
            place.release()
            raise
        if waited.cancelled_caught:
            place.release()
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
    """The refusal of a request that `reserve` rejected."""
    return Denied(
        "too many large requests of this agent are under way",
        layer="limit",
        rule="request_bytes",
        hint="send them one after the other",
    )


def too_many_error(limits: "Limits") -> Denied:
    """The refusal of a connection beyond the agent's limit."""
    return Denied(
        f"this agent has {limits.connections} connections open already",
        layer="limit",
        rule="connections",
        hint=CLOSE_SOME,
    )


class Slot:
    """A slot for a running command; its owner must `release`."""

    def __init__(self) -> None:
        self.taken: list[trio.CapacityLimiter] = []

    def try_acquire(self, limiter: trio.CapacityLimiter) -> bool:
        """Take a slot of `limiter` if one is free and no task waits for it."""
        try:
            limiter.acquire_on_behalf_of_nowait(self)
        except trio.WouldBlock:
            return False
        self.taken.append(limiter)
        return True

    async def wait(self, limiter: trio.CapacityLimiter) -> None:
        """Wait for a slot of `limiter`, unless it was taken already."""
        if limiter not in self.taken:
            await limiter.acquire_on_behalf_of(self)
            self.taken.append(limiter)

    def release_one(self, limiter: trio.CapacityLimiter | None) -> None:
        """Give back the slot of `limiter` only, if taken."""
        if limiter in self.taken:
            self.taken.remove(limiter)
            limiter.release_on_behalf_of(self)

    def release(self) -> None:
        """Give back all slots."""
        while self.taken:
            self.taken.pop().release_on_behalf_of(self)


# Short commands cost most at their start, when processes are created. A command that has run for a
# while does not count here; `[limits] running` limits those.

# Seconds for which a command counts as just started.
STARTING_S = 0.02

# An agent without a start for this many seconds shares with none.
RECENT_S = 1.0


class Starts:
    """Tracks which agents start commands. A task must `run` it."""

    def __init__(self, processors: int | None = None) -> None:
        """`processors` is the number that the daemon may use; by default that of its affinity."""
        count = processors or count_processors()
        self.share = max(1, count // 2)
        self._latest: Share | None = None
        self._last_starts = self._other_asked = -math.inf
        self._waiting: dict[Share, None] = {}
        self._idle = ParkingLot()

    def note_start(self, share: "Share") -> bool:
        """Note that an agent starts a command; returns whether another has recently done so."""
        now = trio.current_time()
        if share is not self._latest:
            self._latest, self._other_asked = share, self._last_starts
        self._last_starts = now
        return now - self._other_asked < RECENT_S

    def delay(self, share: "Share") -> None:
        """Note that a command waits for `share`."""
        self._waiting[share] = None
        self._idle.unpark()

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            while self._waiting:
                await trio.sleep(STARTING_S / 4)
                for share in list(self._waiting):
                    if not share.release_started():
                        del self._waiting[share]
            await self._idle.park()


class Share:
    """The commands that one agent has just started."""

    def __init__(self, starts: Starts) -> None:
        self._starts = starts
        self._slots = trio.CapacityLimiter(starts.share)
        self._starting: dict[object, float] = {}

    async def acquire(self, command: object) -> None:
        """Wait until `command` may start, in order of arrival. `release` must follow its end."""
        if not self._starts.note_start(self):
            return
        self.release_started()
        try:
            self._slots.acquire_on_behalf_of_nowait(command)
        except trio.WouldBlock:
            self._starts.delay(self)
            await self._slots.acquire_on_behalf_of(command)
        self._starting[command] = trio.current_time()

    def release(self, command: object) -> None:
        """Note that `command` has ended, or was never started."""
        if command in self._starting:
            del self._starting[command]
            self._slots.release_on_behalf_of(command)

    def release_started(self) -> bool:
        """Release commands that are no longer young; returns whether one waits."""
        grown = trio.current_time() - STARTING_S
        for command, started in list(self._starting.items()):
            if started > grown:
                break
            self.release(command)
        return self._slots.statistics().tasks_waiting > 0
