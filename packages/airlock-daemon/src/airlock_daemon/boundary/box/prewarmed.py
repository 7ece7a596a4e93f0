"""Prewarmed boxes: made ahead, each used once, by the next command.

A prewarmed box has no command yet, so it contains nothing of a request. It shows the files that it
was made from, even if their paths lead elsewhere by now. So its key names devices and inodes, which
no other file can get while the box has them open.
"""

import logging
import math
from collections.abc import Iterable, Iterator, Sequence

import msgspec
import trio

from airlock_daemon.boundary.box.box import Box, Key, find_key, list_sources
from airlock_daemon.boundary.box.launch import BoxBuilder, BoxedLaunch
from airlock_daemon.boundary.command import (
    CommandLine,
    Launcher,
    OpenGroup,
    cannot_start,
    open_none,
)
from airlock_daemon.errors import AirlockError
from airlock_daemon.path_text import is_within
from airlock_daemon.platform.system import MountWatch
from airlock_daemon.setup.generation import Reserved

POOL_SIZE = 4
"""Limit of waiting boxes per agent."""

ACTIVE_S = 300.0
"""The boxes of an agent without requests are closed after this many seconds."""

SOON_S = 0.001
"""The delay between a command's answer and the next box, as the exiting client needs the same
processors. If no box was ready, the next one is begun at once.
"""

LATER_S = 0.01
"""The delay if the command is still running."""

# After a command waited for its box, the pool is one larger for this many seconds.
_BUSY_S = 60.0


class _Waiting(msgspec.Struct, frozen=True, eq=False):
    """A waiting box, and the host's mounts when it was begun."""

    key: Key
    launch: BoxedLaunch
    mounts: str


class BoxPool:
    """One agent's waiting boxes, all of one generation."""

    def __init__(self, boxes: "Boxes", open_group: OpenGroup = open_none) -> None:
        """Begin empty, without a generation: see `adopt`. `open_group` creates boxes' cgroups."""
        self._boxes = boxes
        self.open_group = open_group
        self._waiting: list[_Waiting] = []
        # Those that were complete before any later mount.
        self._trusted: list[_Waiting] = []
        self._last: Key | None = None
        self._busy_until = -math.inf
        self._wanted = 1
        self.expires = math.inf
        self.reserved: Reserved | None = None

    @property
    def count(self) -> int:
        """The number of waiting boxes."""
        return len(self._waiting)

    def adopt(self, reserved: Reserved | None) -> None:
        """Keep only boxes of the generation with `reserved`; None for a removed agent."""
        if reserved is not self.reserved:
            self.reserved = reserved
            self._last = None
            self.empty()

    def acquire(self, box: Box, by: BoxBuilder) -> BoxedLaunch | None:
        """Take a box that equals what `by` would make of `box` now; None if none waits.

        The caller orders its command and closes it.
        """
        self._boxes.close_stale()
        if by.reserved is not self.reserved:
            return None
        key = find_key(box, bubblewrap=by.bubblewrap, identity=by.identity)
        now = trio.current_time()
        is_repeated, self._last = key == self._last, key
        self.expires = now + ACTIVE_S
        if now >= self._busy_until:
            self._wanted = 1
        found = next(self._take(key), None)
        if is_repeated and (found is None or not found.is_made()):
            self._busy_until = now + _BUSY_S
            self._wanted = min(self._wanted + 1, POOL_SIZE)
        self._boxes.note(self, self.count)
        return found

    def refill(self, reserved: Reserved, *, has_ended: bool) -> None:
        """Schedule a box for another command like the last one, which has ended or only started."""
        if reserved is not self.reserved or self._last is None:
            return
        now = trio.current_time()
        self.expires = now + ACTIVE_S
        if self.needs(self._last):
            soon = 0 if now < self._busy_until else SOON_S
            self._boxes.schedule(self, self._last, soon if has_ended else LATER_S)

    def needs(self, key: Key) -> bool:
        """Whether too few boxes with this key wait."""
        wanted = self._wanted if trio.current_time() < self._busy_until else 1
        return sum(each.key == key for each in self._waiting) < wanted

    def put(self, key: Key, launch: BoxedLaunch, mounts: str) -> None:
        """Take over a box begun for `key` when the host had these `mounts`."""
        if self.count >= POOL_SIZE:
            self.close_oldest()
        self._waiting.append(_Waiting(key, launch, mounts))
        self._boxes.note(self, self.count)
        if self.needs(key):
            self._boxes.schedule(self, key)

    @property
    def is_trusted(self) -> bool:
        """Whether all boxes are known to have been complete before any later mount."""
        return len(self._trusted) == len(self._waiting)

    def find_complete(self) -> list[_Waiting]:
        """The complete boxes that are not trusted yet."""
        found = [each for each in self._waiting if each not in self._trusted]
        return [each for each in found if each.launch.is_made()]

    def trust(self, complete: list[_Waiting]) -> None:
        """Mark boxes during whose making nothing was mounted."""
        self._trusted += complete

    def compare(self, mounts: str) -> None:
        """Close boxes that a change to `mounts` affects, and all that are not trusted."""
        for each in list(self._waiting):
            points = MountWatch.find_changes(each.mounts, mounts)
            if each not in self._trusted or _concerns(points, each.key.box):
                self._remove(each).close()

    def close_oldest(self) -> None:
        """Close the box that has waited longest."""
        self._remove(self._waiting[0]).close()

    def _remove(self, waiting: _Waiting) -> BoxedLaunch:
        self._waiting.remove(waiting)
        if waiting in self._trusted:
            self._trusted.remove(waiting)
        self._boxes.note(self, self.count)
        return waiting.launch

    def empty(self) -> None:
        """Close all boxes."""
        while self._waiting:
            self.close_oldest()

    def _take(self, key: Key) -> Iterator[BoxedLaunch]:
        for each in [each for each in self._waiting if each.key == key]:
            launch = self._remove(each)
            if launch.is_waiting():
                yield launch
            else:
                launch.close()


def _concerns(points: Iterable[str], box: Box) -> bool:
    """Whether a mount at one of `points` would be visible in a box, or cover one of its files."""
    sources = list(list_sources(box))
    return any(
        is_within(point, source) or is_within(source, point)
        for point in points
        for source in sources
    )


log = logging.getLogger("airlock")

MAX_TOTAL = 16
"""Limit of waiting boxes in total: each is three processes and a few descriptors."""

# The delay until a new box is first checked for completion; it doubles with each check.
_LOOK_S = 0.02


class _Scheduled(msgspec.Struct, frozen=True):
    key: Key
    due: float


class Boxes:
    """The pools of all agents. A task must `run` it."""

    def __init__(self, launcher: Launcher, null: int) -> None:
        """Begin without boxes; the caller closes `launcher` and `null`."""
        self._launcher = launcher
        self._null = null
        self._watch = MountWatch()
        self._mounts = self._watch.read()
        self._scheduled: dict[BoxPool, _Scheduled] = {}
        # Ordered: the first is the next to give up a box.
        self._pools: dict[BoxPool, None] = {}
        self._look_at = math.inf
        self._pause = _LOOK_S
        self._idle = trio.lowlevel.ParkingLot()
        self._is_open = True

    async def run(self) -> None:
        """Make the scheduled boxes, one at a time, until cancelled."""
        while True:
            await self._rest()
            now = trio.current_time()
            for pool in [pool for pool in self._pools if pool.expires <= now]:
                pool.empty()
            if self._look_at <= now:
                self._pause *= 2
                self.close_stale()
            due = [pool for pool, scheduled in self._scheduled.items() if scheduled.due <= now]
            if due:
                await self._make(due[0], self._scheduled.pop(due[0]).key)

    async def _rest(self) -> None:
        """Wait until a box may be due or expired."""
        times = [pool.expires for pool in self._pools]
        times += [scheduled.due for scheduled in self._scheduled.values()]
        until = min((*times, self._look_at))
        if until > trio.current_time():
            with trio.move_on_at(until):
                await self._idle.park()
        else:
            # Making a box takes a while, and a request may have arrived.
            await trio.lowlevel.checkpoint()

    def schedule(self, pool: BoxPool, key: Key, after_s: float = 0.0) -> None:
        """Make a box for `pool` after `after_s`, replacing one that was scheduled before."""
        if self._is_open:
            before = self._scheduled.pop(pool, None)
            due = trio.current_time() + after_s
            if before is not None and before.key == key:
                due = min(due, before.due)
            self._scheduled[pool] = _Scheduled(key, due)
            self._idle.unpark()

    def note(self, pool: BoxPool, count: int) -> None:
        """Note that `pool` was just used and has `count` boxes."""
        self._pools.pop(pool, None)
        if count:
            self._pools[pool] = None

    def close_stale(self) -> None:
        """Close the boxes that changes of the host's mounts affect, and those that may have been
        incomplete then.
        """
        # Before the check: if it finds no change, boxes complete by now saw none.
        complete = [pool.find_complete() for pool in self._pools]
        if self._watch.has_changed():
            self._mounts = self._watch.read()
            for pool in list(self._pools):
                pool.compare(self._mounts)
        else:
            for pool, found in zip(self._pools, complete, strict=True):
                pool.trust(found)
        self._look_at = math.inf
        if not all(pool.is_trusted for pool in self._pools):
            self._look_at = trio.current_time() + self._pause

    def stop(self) -> None:
        """Close all boxes, and make no more."""
        self._is_open = False
        self._scheduled.clear()
        for pool in list(self._pools):
            pool.empty()

    def close(self) -> None:
        """Stop, and release the mount watch."""
        self.stop()
        self._watch.close()

    async def _make(self, pool: BoxPool, key: Key) -> None:
        reserved = pool.reserved
        if reserved is None or not pool.needs(key):
            return
        if sum(pool.count for pool in self._pools) >= MAX_TOTAL:
            next(iter(self._pools)).close_oldest()
        self.close_stale()
        mounts = self._mounts
        try:
            builder = BoxBuilder(
                bubblewrap=key.bubblewrap,
                launcher=self._launcher,
                identity=key.identity,
                reserved=reserved,
                null=self._null,
                # A thread would delay other agents' boxes as well.
                lookups=None,
                open_group=pool.open_group,
            )
            made = await builder.make(key.box)
        except AirlockError as error:
            # If it persists, the command that needs the box gets this error.
            log.debug("no box is made ahead: %s", error.message)
            return
        is_it = pool.reserved is reserved and mounts is self._mounts
        if is_it and self._is_open and pool.needs(key):
            pool.put(key, made, mounts)
            self._pause = _LOOK_S
            self._look_at = trio.current_time() + self._pause
        else:
            made.close()


async def start_boxed(
    what: CommandLine,
    standard: Sequence[int],
    box: Box,
    *,
    by: BoxBuilder,
    terminal: int = 0,
    kept: Sequence[int] = (),
    pool: BoxPool | None = None,
) -> BoxedLaunch:
    """Start `what` in `box`, otherwise as `NativeLauncher.launch`.

    Takes an equal box from `pool` if one waits there, else `by` makes it. `what.directory` is the
    working directory on the host, already checked. Raises Denied and Failed.
    """
    launch = None
    # The lower directory of an overlay must not change while it is mounted (the kernel's
    # documentation of overlayfs), so a box with the human's home is never prewarmed.
    if pool is not None and box.home is None:
        launch = pool.acquire(box, by)
    if launch is None:
        launch = await by.make(box)
    try:
        launch.order(what, standard, box, launcher=by.launcher, terminal=terminal, kept=kept)
    except OSError as error:
        launch.close()
        raise cannot_start(what.program, error) from error
    except BaseException:
        launch.close()
        raise
    return launch
