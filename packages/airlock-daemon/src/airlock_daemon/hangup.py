"""Noticing that a client is gone.

A client that closes only its sending half is still there and reads on; that is EPOLLRDHUP. One
that is gone is EPOLLHUP or EPOLLERR, which epoll reports without being asked (epoll_ctl(2)), so
that a registration for no event at all waits for just that. One epoll serves every connection: it
costs a request two system calls instead of a task.
"""

import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import trio


class HangupWatch:
    """Calls back, once, when the peer of a watched descriptor has hung up."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[], None]] = {}

    @contextmanager
    def watching(self, descriptor: int, callback: Callable[[], None]) -> Iterator[None]:
        """Watch `descriptor` inside the block; `callback` must not block."""
        self._callbacks[descriptor] = callback
        self._epoll.register(descriptor, select.EPOLLONESHOT)
        try:
            yield
        finally:
            del self._callbacks[descriptor]
            with suppress(OSError):
                self._epoll.unregister(descriptor)

    async def run(self) -> None:
        """Serve until cancelled."""
        try:
            while True:
                await trio.lowlevel.wait_readable(self._epoll.fileno())
                for descriptor, _ in self._epoll.poll(0):
                    callback = self._callbacks.get(descriptor)
                    if callback is not None:
                        callback()
        finally:
            self._epoll.close()
