"""Noticing what clients do while their requests are served: they hang up, or they say something.

A client that closes only its sending half is still there and reads on; that is EPOLLRDHUP. One
that is gone is EPOLLHUP or EPOLLERR, which epoll reports without being asked (epoll_ctl(2)), so
that a registration for no event at all waits for just that. One epoll serves every connection: it
costs a request two system calls instead of a task.
"""

import select
from collections.abc import Callable

import trio

_GONE = select.EPOLLHUP | select.EPOLLERR

# How many clients are served before everybody else has a turn. The kernel hands them out in turn,
# so that none of those that talk all the time keeps another one from being heard.
AT_ONCE = 8


class Watched:
    """One descriptor under watch; made by `ClientWatch.watch`."""

    def __init__(
        self,
        epoll: select.epoll,
        all_watched: dict[int, "Watched"],
        descriptor: int,
        on_hangup: Callable[[], None],
    ) -> None:
        self._epoll = epoll
        self._all = all_watched
        self._descriptor = descriptor
        self.on_hangup = on_hangup
        self.on_readable: Callable[[], bool] | None = None

    def listen(self, on_readable: Callable[[], bool]) -> None:
        """Call `on_readable`, which must not block, while there is something to read.

        It returns whether it wants to go on listening.
        """
        self.on_readable = on_readable
        self._epoll.modify(self._descriptor, select.EPOLLIN)

    def ignore(self) -> None:
        """Listen no longer; a hang-up is still told."""
        self.on_readable = None
        self._epoll.modify(self._descriptor, select.EPOLLONESHOT)

    def drop(self) -> None:
        """Tell nothing any more; may be called again."""
        if self._all.pop(self._descriptor, None) is not None:
            self._epoll.unregister(self._descriptor)


class ClientWatch:
    """Calls back when the peer of a watched descriptor has hung up (once) or has sent something."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watched: dict[int, Watched] = {}

    def watch(self, descriptor: int, on_hangup: Callable[[], None]) -> Watched:
        """Watch `descriptor` until `drop`, which must come before it is closed.

        `on_hangup` must not block.
        """
        watched = Watched(self._epoll, self._watched, descriptor, on_hangup)
        self._epoll.register(descriptor, select.EPOLLONESHOT)
        self._watched[descriptor] = watched
        return watched

    async def run(self) -> None:
        """Serve until cancelled."""
        try:
            while True:
                await trio.lowlevel.wait_readable(self._epoll.fileno())
                for descriptor, events in self._epoll.poll(0, AT_ONCE):
                    watched = self._watched.get(descriptor)
                    if watched is not None:
                        self._tell(watched, events)
        finally:
            self._epoll.close()

    def _tell(self, watched: Watched, events: int) -> None:
        if events & _GONE:
            # A client that is gone stays gone, and would be reported for ever.
            watched.drop()
            watched.on_hangup()
        elif watched.on_readable is not None and not watched.on_readable():
            watched.ignore()
