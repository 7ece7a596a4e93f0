"""A set of descriptors with the interface of select.epoll, made of poll(2), a thread and a pipe.

The thread only finds out that something is ready, and then rests: it makes the set's own descriptor
readable, and waits until the owner has polled or changed the set. The owner's `poll` asks the
kernel again, so it never reports what has changed meanwhile.

Half-closed sockets: macOS reports POLLHUP for a peer that has only closed its sending half, and
Linux does not. A peer that is gone takes no data: sending nothing to it fails with EPIPE on both.
Such a half-closed socket would wake the thread forever, so it is asked every HALF_CLOSED_S instead.
"""

import os
import select
import socket
import stat
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

HALF_CLOSED_S = 1.0
"""How often a half-closed socket is asked whether its peer is gone."""


class PollSet:
    """The set. Only `close` may be called from another thread than the one that made it."""

    def __init__(self) -> None:
        self._events: dict[int, int] = {}
        self._streams: set[int] = set()
        self._half_closed: set[int] = set()
        # Held while the descriptors are changed; the thread copies them.
        self._lock = threading.Lock()
        self._is_closed = False
        self._first = 0
        # Readable for the owner while something is ready; and for the thread while it has to look.
        self._ready, self._tell_ready = os.pipe()
        self._wake, self._tell_wake = os.pipe()
        for end in (self._ready, self._tell_ready, self._wake, self._tell_wake):
            os.set_blocking(end, False)
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def register(self, descriptor: int, events: int, /) -> None:
        """As select.epoll.register."""
        if descriptor in self._events:
            raise FileExistsError(f"descriptor {descriptor} is in the set already")
        is_stream = _is_stream(descriptor)
        with self._lock:
            self._events[descriptor] = _without_flags(events)
            if is_stream:
                self._streams.add(descriptor)
        self._look_again()

    def modify(self, descriptor: int, events: int, /) -> None:
        """As select.epoll.modify."""
        if descriptor not in self._events:
            raise FileNotFoundError(f"descriptor {descriptor} is not in the set")
        with self._lock:
            self._events[descriptor] = _without_flags(events)
        self._look_again()

    def unregister(self, descriptor: int, /) -> None:
        """As select.epoll.unregister."""
        if descriptor not in self._events:
            raise FileNotFoundError(f"descriptor {descriptor} is not in the set")
        with self._lock:
            del self._events[descriptor]
            self._streams.discard(descriptor)
            self._half_closed.discard(descriptor)
        self._look_again()

    def poll(self, timeout: float = 0, most: int = -1, /) -> list[tuple[int, int]]:
        """As select.epoll.poll, at once; descriptors that were reported last come last."""
        if timeout:
            raise ValueError("a set of poll(2) only tells what is ready now")
        _drain(self._ready)
        asked = select.poll()
        for descriptor, events in self._events.items():
            asked.register(descriptor, events)
        found = [
            (descriptor, events)
            for descriptor, kinds in asked.poll(0)
            if (events := self._settle(descriptor, kinds))
        ]
        if 0 <= most < len(found):
            start = self._first % len(found)
            found = [*found[start:], *found[:start]][:most]
            self._first += most
        self._look_again()
        return found

    def fileno(self) -> int:
        """Return a descriptor that is readable while one of the set is ready."""
        return self._ready

    def close(self) -> None:
        """Stop the thread and close the set's own descriptors; may be called again."""
        if self._is_closed:
            return
        self._is_closed = True
        self._look_again()
        self._thread.join()
        for end in (self._ready, self._tell_ready, self._wake, self._tell_wake):
            os.close(end)

    def __enter__(self) -> Self:
        """Return the set."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
        /,
    ) -> None:
        """Close the set."""
        self.close()

    def _settle(self, descriptor: int, kinds: int) -> int:
        """What poll(2) reports, without a hangup of a peer that has only half closed."""
        if not kinds & select.POLLHUP or descriptor not in self._streams:
            return kinds
        if is_gone(descriptor):
            return kinds
        with self._lock:
            self._half_closed.add(descriptor)
        return kinds & ~select.POLLHUP

    def _look_again(self) -> None:
        # A full pipe wakes the thread, too.
        with suppress(BlockingIOError):
            os.write(self._tell_wake, b"w")

    def _watch(self) -> None:
        while True:
            _drain(self._wake)
            if self._is_closed:
                return
            asked = select.poll()
            asked.register(self._wake, select.POLLIN)
            with self._lock:
                # Nothing else is reported of a half-closed socket than its hangup.
                resting = {each for each in self._half_closed if not self._events[each]}
                for descriptor, events in self._events.items():
                    if descriptor not in resting:
                        asked.register(descriptor, events)
            found = asked.poll(HALF_CLOSED_S * 1000 if resting else None)
            if any(descriptor == self._wake for descriptor, _ in found):
                continue
            if found or any(is_gone(each) for each in resting):
                with suppress(BlockingIOError):
                    os.write(self._tell_ready, b"r")
                self._rest()

    def _rest(self) -> None:
        """Wait until the owner has polled, or changed the set."""
        asked = select.poll()
        asked.register(self._wake, select.POLLIN)
        asked.poll()


def is_gone(descriptor: int) -> bool:
    """Whether the peer of a stream socket has closed it in both directions; sends nothing.

    True also for a descriptor that is closed.
    """
    try:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=descriptor)
    except OSError:
        return True
    try:
        connection.send(b"", socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        connection.detach()
    return False


def _is_stream(descriptor: int) -> bool:
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        return False
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=descriptor)
    try:
        return connection.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM
    finally:
        connection.detach()


def _without_flags(events: int) -> int:
    """What poll(2) knows of events that are meant for an epoll, too."""
    return events & (select.POLLIN | select.POLLOUT)


def _drain(pipe: int) -> None:
    with suppress(BlockingIOError):
        while os.read(pipe, 4096):
            pass
