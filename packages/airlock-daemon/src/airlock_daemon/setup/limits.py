"""How much one agent may use of the daemon, so that no agent starves another."""

import msgspec
import trio

from airlock_daemon.errors import Denied
from airlock_daemon.fairness.pace import Pace
from airlock_modules import TableReader


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The `[limits]` table: counts, bytes (`_bytes`) and seconds (`_s`), for each agent.

    `stdin_bytes` and `output_bytes` are what the daemon holds of one running command at most, each
    in its direction. `refusals_per_s` is how many refusals are answered without delay in a second,
    of requests, and of connections beyond their limit.
    """

    connections: int = 1024
    running: int = 64
    queued: int = 1024
    queue_s: float = 60.0
    request_bytes: int = 4_194_304
    arguments: int = 10_000
    request_s: float = 10.0
    refusals_per_s: float = 200.0
    stdin_bytes: int = 262_144
    output_bytes: int = 1_048_576


# How many requests of the largest size an agent's clients may have under way at once.
UNFINISHED = 8

# What the daemon needs at most: for itself, for a connection whose request waits (itself, a
# directory, three that were passed), and for a running command beside that.
OWN_DESCRIPTORS = 64
CONNECTION_DESCRIPTORS = 5
COMMAND_DESCRIPTORS = 12

_BOUNDS: dict[str, tuple[int, int]] = {
    "connections": (1, 100_000),
    "running": (1, 10_000),
    "queued": (0, 100_000),
    "queue_s": (0, 86_400),
    "request_bytes": (1024, 67_108_864),
    "arguments": (1, 1_000_000),
    "request_s": (1, 3600),
    "refusals_per_s": (1, 1_000_000),
    "stdin_bytes": (4096, 16_777_216),
    "output_bytes": (4096, 16_777_216),
}


def read_limits(table: TableReader, *, upper: Limits | None = None) -> Limits:
    """Read a `[limits]` table; a value above `upper` is a fault (a profile may only lower)."""
    base = upper or Limits()
    values: dict[str, float] = {}
    for name, (minimum, maximum) in _BOUNDS.items():
        default = getattr(base, name)
        read = table.number if name.endswith("_s") else table.integer
        value = read(name, default=default, minimum=minimum, maximum=maximum)
        if upper is not None and value > default:
            table.fault(
                name,
                f"{value:g} is more than the {default:g} of config.toml",
                "lower it here, or raise [limits] in config.toml",
            )
            value = default
        values[name] = value
    table.finish()
    return Limits(**values)  # type: ignore[arg-type]


def share_descriptors(limits: Limits, *, table: int, agents: int) -> Limits:
    """Lower `limits` so that all agents at theirs fit into a table of `table` descriptors.

    Without that the first agent to fill the table shuts out all others.
    """
    share = (table - OWN_DESCRIPTORS) // max(agents, 1)
    return msgspec.structs.replace(
        limits,
        connections=max(1, min(limits.connections, share // (2 * CONNECTION_DESCRIPTORS))),
        running=max(1, min(limits.running, share // (2 * COMMAND_DESCRIPTORS))),
    )


class Gate:
    """Counts what one agent has open and running, and makes the rest wait or go away.

    A place is given in the order of arrival. Whoever waits gives its place up when cancelled.
    `connections` is how many are open, `pace` is that of refusals.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.connections = 0
        self._held = 0
        self.pace = Pace(limits.refusals_per_s)
        self._slots = trio.CapacityLimiter(limits.running)

    def connect(self) -> bool:
        """Count one more connection; False, and nothing counted, when there are too many."""
        if self.connections >= self.limits.connections:
            return False
        self.connections += 1
        return True

    def hold(self, count: int) -> bool:
        """Count bytes of requests that are not whole yet; False, and nothing counted, beyond it.

        Without it each connection could hold a whole request, of megabytes, at once.
        """
        if self._held + count > UNFINISHED * self.limits.request_bytes:
            return False
        self._held += count
        return True

    def release(self, count: int) -> None:
        """Give back what `hold` counted."""
        self._held -= count

    def disconnect(self) -> None:
        """Give back what `connect` counted."""
        self.connections -= 1

    async def take(self, alone: trio.CapacityLimiter | None) -> "Place":
        """Take one of the agent's places, and `alone` too for a command that runs one at a time.

        The agent's own place comes first: an agent that queues up for a command that another one
        occupies uses up its own places only. Raises Denied (layer "limit") when the queue is full
        or `queue_s` has passed.
        """
        place = Place()
        if place.try_take(self._slots) and (alone is None or place.try_take(alone)):
            return place
        waiting = self._slots.statistics().tasks_waiting
        if waiting >= self.limits.queued and not place.taken:
            raise Denied(
                f"{waiting} commands of this agent are waiting already",
                layer="limit",
                rule="queued",
                hint="wait for them to end, or raise [limits] queued",
            )
        try:
            with trio.move_on_after(self.limits.queue_s) as waited:
                await place.wait(self._slots)
                if alone is not None:
                    await place.wait(alone)
        except BaseException:
            place.give_back()
            raise
        if waited.cancelled_caught:
            place.give_back()
            raise Denied(
                f"waited {self.limits.queue_s:g} s for a place to run",
                layer="limit",
                rule="queue_s",
                hint="commands that run at the same time are bounded by [limits] running, "
                "and a module with concurrent = false runs one at a time",
            )
        return place


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

    def give_back(self) -> None:
        """Give back what was taken."""
        while self.taken:
            self.taken.pop().release_on_behalf_of(self)
