"""Prewarmed boxes: made ahead, each used once, by the next command.

A prewarmed box was given no order, so that nothing of a request can be in it. It has what it was
made of, whatever stands at the same paths by now; which is why its key names devices and inodes,
which no other file can have while a box holds on to them.
"""

import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import msgspec
import trio

from airlock_daemon.boundary.box.box import Box, Key, find_key, list_sources
from airlock_daemon.boundary.box.groups import OpenGroup, open_none
from airlock_daemon.boundary.box.launch import BoxBuilder, BoxedLaunch
from airlock_daemon.boundary.command.launcher import Launcher, cannot_start
from airlock_daemon.boundary.command.order import CommandLine
from airlock_daemon.errors import AirlockError
from airlock_daemon.platform.linux.mountinfo import MountWatch, find_changes
from airlock_daemon.setup.reserved import Reserved, is_within

POOL_SIZE = 4
"""Boxes that wait, for one agent."""

ACTIVE_S = 300.0
"""An agent that has asked for nothing for so long has no box that waits."""

SOON_S = 0.001
"""So long after a command has its answer the next box is begun: its client ends in that time, on
the same processors. Where a box was missed it is begun at once."""

LATER_S = 0.01
"""So long after a command has begun that has not ended."""

# So long after a command that had to wait for its box there is to be more than one: for each such
# command another one.
_BUSY_S = 60.0


class _Waiting(msgspec.Struct, frozen=True, eq=False):
    """A box that waits, and the mounts that the host had when it was begun."""

    key: Key
    launch: BoxedLaunch
    mounts: str


class Keeper(Protocol):
    """What keeps the pools of all agents, and has boxes made for them."""

    def look(self) -> None:
        """Let go of boxes in which mounts of the host are not as they are now."""

    def wish(self, pool: "BoxPool", key: Key, after_s: float = 0.0) -> None:
        """Have a box made for `pool`, not before that time is over."""

    def note(self, pool: "BoxPool", count: int) -> None:
        """`pool` was used now, and `count` boxes wait in it."""


class BoxPool:
    """Where the boxes of one agent wait, made by one reading of the files."""

    def __init__(self, boxes: Keeper, open_group: OpenGroup = open_none) -> None:
        """Begin empty, and without such a reading: see `adopt`. Boxes get their cgroups by
        `open_group`.
        """
        self._boxes = boxes
        self.open_group = open_group
        self._waiting: list[_Waiting] = []
        # Those of which it is known that nothing was mounted before they were complete.
        self._trusted: list[_Waiting] = []
        self._last: Key | None = None
        self._busy_until = -math.inf
        self._wanted = 1
        self.expires = math.inf
        self.reserved: Reserved | None = None

    @property
    def count(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def adopt(self, reserved: Reserved | None) -> None:
        """Keep what was made by the reading that gave `reserved`; None for an agent that goes."""
        if reserved is not self.reserved:
            self.reserved = reserved
            self._last = None
            self.empty()

    def take(self, box: Box, by: BoxBuilder) -> BoxedLaunch | None:
        """A box that is just as `box` would be if it were made now, `by` this; None where none
        waits. The caller orders and closes it.
        """
        self._boxes.look()
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
        """Have a box made for another command like the last one, which has its answer, or has only
        begun.
        """
        if reserved is not self.reserved or self._last is None:
            return
        now = trio.current_time()
        self.expires = now + ACTIVE_S
        if self.needs(self._last):
            soon = 0 if now < self._busy_until else SOON_S
            self._boxes.wish(self, self._last, soon if has_ended else LATER_S)

    def needs(self, key: Key) -> bool:
        """Whether too few wait that were made of the same as this."""
        wanted = self._wanted if trio.current_time() < self._busy_until else 1
        return sum(each.key == key for each in self._waiting) < wanted

    def put(self, key: Key, launch: BoxedLaunch, mounts: str) -> None:
        """Take over a box that was begun for `key` when `mounts` were all that the host had."""
        if self.count >= POOL_SIZE:
            self.give_up()
        self._waiting.append(_Waiting(key, launch, mounts))
        self._boxes.note(self, self.count)
        if self.needs(key):
            self._boxes.wish(self, key)

    @property
    def is_trusted(self) -> bool:
        """Whether nothing was mounted while one of them was made."""
        return len(self._trusted) == len(self._waiting)

    def find_complete(self) -> list[_Waiting]:
        """Those of which that is not known, and that are complete."""
        found = [each for each in self._waiting if each not in self._trusted]
        return [each for each in found if each.launch.is_made()]

    def trust(self, complete: list[_Waiting]) -> None:
        """Nothing was mounted while these were made."""
        self._trusted += complete

    def compare(self, mounts: str) -> None:
        """Let go of all in which not the same is mounted as on the host, where `mounts` are."""
        for each in list(self._waiting):
            points = find_changes(each.mounts, mounts)
            if each not in self._trusted or _concerns(points, each.key.box):
                self._remove(each).close()

    def give_up(self) -> None:
        """Let go of the box that has waited longest."""
        self._remove(self._waiting[0]).close()

    def _remove(self, waiting: _Waiting) -> BoxedLaunch:
        self._waiting.remove(waiting)
        if waiting in self._trusted:
            self._trusted.remove(waiting)
        self._boxes.note(self, self.count)
        return waiting.launch

    def empty(self) -> None:
        """Let go of all boxes."""
        while self._waiting:
            self.give_up()

    def _take(self, key: Key) -> Iterator[BoxedLaunch]:
        for each in [each for each in self._waiting if each.key == key]:
            launch = self._remove(each)
            if launch.is_waiting():
                yield launch
            else:
                launch.close()


def _concerns(points: Iterable[str], box: Box) -> bool:
    """Whether what is mounted at one of `points` shows in a box, or covers what it shows."""
    sources = list(list_sources(box))
    return any(
        is_within(point, source) or is_within(source, point)
        for point in points
        for source in sources
    )


log = logging.getLogger("airlock")

MOST_IN_ALL = 16
"""Boxes that wait, for all agents: each is three processes and a few descriptors."""

# So long after a box was begun it is looked whether it is complete, and ever later where it is not.
_LOOK_S = 0.02


class _Wish(msgspec.Struct, frozen=True):
    key: Key
    due: float


class Boxes:
    """The boxes that wait, of all agents. A task must `run` it."""

    def __init__(self, launcher: Launcher, null: int) -> None:
        """Begin without one; `launcher` and `null` stay their owner's."""
        self._launcher = launcher
        self._null = null
        self._watch = MountWatch()
        self._mounts = self._watch.read()
        self._wishes: dict[BoxPool, _Wish] = {}
        # Whose turn to give one up comes first, stands first.
        self._pools: dict[BoxPool, None] = {}
        self._look_at = math.inf
        self._pause = _LOOK_S
        self._idle = trio.lowlevel.ParkingLot()
        self._is_open = True

    async def run(self) -> None:
        """Make what is wished for, one at a time, until cancelled."""
        while True:
            await self._rest()
            now = trio.current_time()
            for pool in [pool for pool in self._pools if pool.expires <= now]:
                pool.empty()
            if self._look_at <= now:
                self._pause *= 2
                self.look()
            due = [pool for pool, wish in self._wishes.items() if wish.due <= now]
            if due:
                await self._make(due[0], self._wishes.pop(due[0]).key)

    async def _rest(self) -> None:
        """Wait until there may be something to do."""
        times = [pool.expires for pool in self._pools]
        times += [wish.due for wish in self._wishes.values()]
        until = min((*times, self._look_at))
        if until > trio.current_time():
            with trio.move_on_at(until):
                await self._idle.park()
        else:
            # To make one takes a while, and a request may have come meanwhile.
            await trio.lowlevel.checkpoint()

    def wish(self, pool: BoxPool, key: Key, after_s: float = 0.0) -> None:
        """Have a box made for `pool` when that time is over and there is time, in place of what it
        last wished for.
        """
        if self._is_open:
            before = self._wishes.pop(pool, None)
            due = trio.current_time() + after_s
            if before is not None and before.key == key:
                due = min(due, before.due)
            self._wishes[pool] = _Wish(key, due)
            self._idle.unpark()

    def note(self, pool: BoxPool, count: int) -> None:
        """`pool` was used now, and `count` boxes wait in it."""
        self._pools.pop(pool, None)
        if count:
            self._pools[pool] = None

    def look(self) -> None:
        """Let go of the boxes in which mounts of the host are not as they are now.

        Of those that are not known to be complete that may be all.
        """
        # First: what is complete now, was made while nothing had changed, if that is what is found.
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
        """Let go of all boxes, and make no more."""
        self._is_open = False
        self._wishes.clear()
        for pool in list(self._pools):
            pool.empty()

    def close(self) -> None:
        """The same, for good."""
        self.stop()
        self._watch.close()

    async def _make(self, pool: BoxPool, key: Key) -> None:
        reserved = pool.reserved
        if reserved is None or not pool.needs(key):
            return
        if sum(pool.count for pool in self._pools) >= MOST_IN_ALL:
            next(iter(self._pools)).give_up()
        self.look()
        mounts = self._mounts
        try:
            builder = BoxBuilder(
                bubblewrap=key.bubblewrap,
                launcher=self._launcher,
                identity=key.identity,
                reserved=reserved,
                null=self._null,
                # Other agents' boxes would have to wait as well.
                lookups=None,
                open_group=pool.open_group,
            )
            made = await builder.make(key.box)
        except AirlockError as error:
            # The command that needs it is told, if it is so then.
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
    """Start `what` in `box`, made `by` this, otherwise as `Launcher.launch` does.

    `what.directory` is the box's directory on the host, as it was checked. In `pool` one may wait
    that was made of the same. Raises Denied and Failed.
    """
    launch = None
    # What lies under a home may not change while another directory is laid over it (overlayfs of
    # the kernel's documentation): none waits.
    if pool is not None and box.home is None:
        launch = pool.take(box, by)
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
