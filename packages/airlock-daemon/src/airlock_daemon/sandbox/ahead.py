"""Boxes that wait for a command: made ahead, while nobody waits for them, and used once.

No order was given to one that waits, so that nothing of a request can be in it. It has what it
was made of, whatever stands at the same paths by now; which is why a key names devices and inodes,
which no other file can have while a box holds on to them.
"""

import logging
import math

import msgspec
import trio

from airlock_daemon.command.launcher import Launcher
from airlock_daemon.errors import AirlockError
from airlock_daemon.platform.linux.mount_watch import MountWatch
from airlock_daemon.sandbox.key import Key
from airlock_daemon.sandbox.making import Workshop
from airlock_daemon.sandbox.room import Room

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
        self._wishes: dict[Room, _Wish] = {}
        # Whose turn to give one up comes first, stands first.
        self._rooms: dict[Room, None] = {}
        self._look_at = math.inf
        self._pause = _LOOK_S
        self._idle = trio.lowlevel.ParkingLot()
        self._is_open = True

    async def run(self) -> None:
        """Make what is wished for, one at a time, until cancelled."""
        while True:
            await self._rest()
            now = trio.current_time()
            for room in [room for room in self._rooms if room.expires <= now]:
                room.empty()
            if self._look_at <= now:
                self._pause *= 2
                self.look()
            due = [room for room, wish in self._wishes.items() if wish.due <= now]
            if due:
                await self._make(due[0], self._wishes.pop(due[0]).key)

    async def _rest(self) -> None:
        """Wait until there may be something to do."""
        times = [room.expires for room in self._rooms]
        times += [wish.due for wish in self._wishes.values()]
        until = min((*times, self._look_at))
        if until > trio.current_time():
            with trio.move_on_at(until):
                await self._idle.park()
        else:
            # To make one takes a while, and a request may have come meanwhile.
            await trio.lowlevel.checkpoint()

    def wish(self, room: Room, key: Key, after_s: float = 0.0) -> None:
        """Have a box made for `room` when that time is over and there is time, in place of what it
        last wished for.
        """
        if self._is_open:
            before = self._wishes.pop(room, None)
            due = trio.current_time() + after_s
            if before is not None and before.key == key:
                due = min(due, before.due)
            self._wishes[room] = _Wish(key, due)
            self._idle.unpark()

    def note(self, room: Room, count: int) -> None:
        """`room` was used now, and `count` boxes wait in it."""
        self._rooms.pop(room, None)
        if count:
            self._rooms[room] = None

    def look(self) -> None:
        """Let go of the boxes in which mounts of the host are not as they are now.

        Of those that are not known to be complete that may be all.
        """
        # First: what is complete now, was made while nothing had changed, if that is what is found.
        complete = [room.find_complete() for room in self._rooms]
        if self._watch.has_changed():
            self._mounts = self._watch.read()
            for room in list(self._rooms):
                room.compare(self._mounts)
        else:
            for room, found in zip(self._rooms, complete, strict=True):
                room.trust(found)
        self._look_at = math.inf
        if not all(room.is_trusted for room in self._rooms):
            self._look_at = trio.current_time() + self._pause

    def stop(self) -> None:
        """Let go of all boxes, and make no more."""
        self._is_open = False
        self._wishes.clear()
        for room in list(self._rooms):
            room.empty()

    def close(self) -> None:
        """The same, for good."""
        self.stop()
        self._watch.close()

    async def _make(self, room: Room, key: Key) -> None:
        reserved = room.reserved
        if reserved is None or not room.needs(key):
            return
        if sum(room.count for room in self._rooms) >= MOST_IN_ALL:
            next(iter(self._rooms)).give_up()
        self.look()
        mounts = self._mounts
        try:
            workshop = Workshop(
                bubblewrap=key.bubblewrap,
                launcher=self._launcher,
                identity=key.identity,
                reserved=reserved,
                null=self._null,
                # Other agents' boxes would have to wait as well.
                lookups=None,
                open_group=room.open_group,
            )
            made = await workshop.make(key.box)
        except AirlockError as error:
            # The command that needs it is told, if it is so then.
            log.debug("no box is made ahead: %s", error.message)
            return
        is_it = room.reserved is reserved and mounts is self._mounts
        if is_it and self._is_open and room.needs(key):
            room.put(key, made, mounts)
            self._pause = _LOOK_S
            self._look_at = trio.current_time() + self._pause
        else:
            made.close()
