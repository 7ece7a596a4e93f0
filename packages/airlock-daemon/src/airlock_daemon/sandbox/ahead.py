"""Boxes that wait for a command: made ahead, while nobody waits for them, and used once.

No order was given to one that waits, so that nothing of a request can be in it. It has what it
was made of, whatever stands at the same paths by now; which is why a key names devices and inodes,
which no other file can have while a box holds on to them.
"""

import logging
import math
from collections.abc import Iterator

import msgspec
import trio

from airlock_daemon.command.launcher import Launcher
from airlock_daemon.command.order import Identity
from airlock_daemon.errors import AirlockError
from airlock_daemon.platform.linux.mount_watch import MountWatch
from airlock_daemon.sandbox.box import Box
from airlock_daemon.sandbox.groups import OpenGroup, open_none
from airlock_daemon.sandbox.key import Key, find_key
from airlock_daemon.sandbox.launch import BoxedLaunch
from airlock_daemon.sandbox.making import make_box
from airlock_daemon.setup.reserved import Reserved

log = logging.getLogger("airlock")

MOST_IN_ROOM = 2
MOST_IN_ALL = 16
"""Boxes that wait, for one agent and for all: each is three processes and a few descriptors."""

ACTIVE_S = 300.0
"""An agent that has asked for nothing for so long has no box that waits."""

# So long after a command that found none there are to be two.
_BUSY_S = 60.0


class _Waiting(msgspec.Struct, frozen=True):
    key: Key
    launch: BoxedLaunch


class Boxes:
    """The boxes that wait, of all agents. A task must `run` it."""

    def __init__(self, launcher: Launcher, null: int) -> None:
        """Begin without one; `launcher` and `null` stay their owner's."""
        self._launcher = launcher
        self._null = null
        self._mounts = MountWatch()
        self._wishes: dict[Room, Key] = {}
        # Whose turn to give one up comes first, stands first.
        self._rooms: dict[Room, None] = {}
        self._idle = trio.lowlevel.ParkingLot()
        self._is_open = True

    async def run(self) -> None:
        """Make what is wished for, one at a time, until cancelled."""
        while True:
            if not self._wishes:
                with trio.move_on_at(min((room.expires for room in self._rooms), default=math.inf)):
                    await self._idle.park()
            now = trio.current_time()
            for room in [room for room in self._rooms if room.expires <= now]:
                room.empty()
            if self._wishes:
                room = next(iter(self._wishes))
                await self._make(room, self._wishes.pop(room))

    def wish(self, room: "Room", key: Key) -> None:
        """Have a box made for `room` when there is time, in place of what it last wished for."""
        if self._is_open:
            self._wishes[room] = key
            self._idle.unpark()

    def note(self, room: "Room", count: int) -> None:
        """`room` was used now, and `count` boxes wait in it."""
        self._rooms.pop(room, None)
        if count:
            self._rooms[room] = None

    def look(self) -> None:
        """Let go of all boxes if mounts of the host have changed, which would not be in them."""
        if self._mounts.has_changed():
            self._empty()

    def stop(self) -> None:
        """Let go of all boxes, and make no more."""
        self._is_open = False
        self._wishes.clear()
        self._empty()

    def close(self) -> None:
        """The same, for good."""
        self.stop()
        self._mounts.close()

    def _empty(self) -> None:
        for room in list(self._rooms):
            room.empty()

    async def _make(self, room: "Room", key: Key) -> None:
        reserved = room.reserved
        if reserved is None or not room.needs(key):
            return
        if sum(room.count for room in self._rooms) >= MOST_IN_ALL:
            next(iter(self._rooms)).give_up()
        try:
            made = await make_box(
                key.box,
                bubblewrap=key.bubblewrap,
                launcher=self._launcher,
                identity=key.identity,
                reserved=reserved,
                null=self._null,
                open_group=room.open_group,
            )
        except AirlockError as error:
            # The command that needs it is told, if it is so then.
            log.debug("no box is made ahead: %s", error.message)
            return
        is_it = made.shared == key.shared and room.reserved is reserved
        if is_it and self._is_open and room.needs(key):
            room.put(key, made.launch)
        else:
            made.launch.close()


class Room:
    """Where the boxes of one agent wait, made by one reading of the files."""

    def __init__(self, boxes: Boxes, open_group: OpenGroup = open_none) -> None:
        """Begin empty, and without such a reading: see `adopt`. Boxes get their cgroups by
        `open_group`.
        """
        self._boxes = boxes
        self.open_group = open_group
        self._waiting: list[_Waiting] = []
        self._last: Key | None = None
        self._busy_until = -math.inf
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

    def take(
        self, box: Box, *, bubblewrap: str, identity: Identity, reserved: Reserved
    ) -> BoxedLaunch | None:
        """A box that is just as `box` would be if it were made now; None where none waits.

        The caller orders and closes it.
        """
        self._boxes.look()
        if reserved is not self.reserved:
            return None
        key = find_key(box, bubblewrap=bubblewrap, identity=identity)
        now = trio.current_time()
        is_repeated, self._last = key == self._last, key
        self.expires = now + ACTIVE_S
        found = next(self._take(key), None)
        if found is None and is_repeated:
            self._busy_until = now + _BUSY_S
        self._boxes.note(self, self.count)
        return found

    def refill(self, reserved: Reserved) -> None:
        """Have a box made for another command like the last one: it has its answer."""
        if reserved is not self.reserved or self._last is None:
            return
        self.expires = trio.current_time() + ACTIVE_S
        if self.needs(self._last):
            self._boxes.wish(self, self._last)

    def needs(self, key: Key) -> bool:
        """Whether too few wait that were made of the same as this."""
        wanted = MOST_IN_ROOM if trio.current_time() < self._busy_until else 1
        return sum(each.key == key for each in self._waiting) < wanted

    def put(self, key: Key, launch: BoxedLaunch) -> None:
        """Take over a box that was made for `key`."""
        if self.count >= MOST_IN_ROOM:
            self.give_up()
        self._waiting.append(_Waiting(key, launch))
        self._boxes.note(self, self.count)
        if self.needs(key):
            self._boxes.wish(self, key)

    def give_up(self) -> None:
        """Let go of the box that has waited longest."""
        self._waiting.pop(0).launch.close()
        self._boxes.note(self, self.count)

    def empty(self) -> None:
        """Let go of all boxes."""
        while self._waiting:
            self.give_up()

    def _take(self, key: Key) -> Iterator[BoxedLaunch]:
        for each in [each for each in self._waiting if each.key == key]:
            self._waiting.remove(each)
            if each.launch.is_waiting():
                yield each.launch
            else:
                each.launch.close()
