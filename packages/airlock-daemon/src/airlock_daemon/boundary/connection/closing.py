"""Runs calls on a client's descriptors that may never return, above all close(2), in threads.

close(2) can wait forever: for a file on a file system that the client implements (FUSE), or for a
socket with data that its peer does not take (SO_LINGER). A reader of a pipe or terminal holds its
lock while it writes to its own memory, which may be such a file, and close(2), splice(2) and
fcntl(2) wait for that lock. One such call in the event loop would block all agents.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from queue import SimpleQueue

import trio

from airlock_daemon.platform.system import enlarge_pipe, name_descriptor, splice

# Each hanging call occupies a thread. With this many, the agent's descriptors are not welcome, but
# one that arrives must be closed in a thread: not receiving it would close it in this one.
STUCK = 8

MOST = 64
"""With this many, the agent gets no further connection; its open ones limit the rest."""

# A call that every client causes counts as hanging only after this many seconds, or if there are
# very many.
_USUAL_S = 2.0
_MOST_USUAL = 4 * MOST

# Limit of idle threads.
_KEPT = 2


def _at_once(act: Callable[[], None]) -> None:
    act()


class Closer:
    """Closes the descriptors of one agent's clients, and makes other calls on them."""

    def __init__(self, defer: Callable[[Callable[[], None]], None] = _at_once) -> None:
        """`defer` calls its argument when the event loop is idle: a thread woken earlier would make
        the loop wait for the interpreter lock after each of its system calls.
        """
        self._defer = defer
        # When each running call counts as hanging.
        self._due: dict[object, float] = {}

    @property
    def is_stuck(self) -> bool:
        """Whether so many calls hang that no further descriptor should be taken from the agent."""
        return bool(self._due) and self._count() >= STUCK

    @property
    def is_full(self) -> bool:
        """Whether the agent has reached the limit of calls, MOST."""
        return bool(self._due) and (self._count() >= MOST or len(self._due) >= _MOST_USUAL)

    def close(self, descriptors: Iterable[int], *, is_usual: bool = False) -> None:
        """Close them asynchronously. `is_usual`: they were verified to be of the expected kind."""
        numbers = tuple(descriptors)
        if numbers:
            is_usual = is_usual or sys.platform != "linux"  # where none is a client's
            is_usual = is_usual or all(is_pipe(name_descriptor(number)) for number in numbers)
            self._do(partial(_close_all, numbers), is_usual=is_usual)

    def enlarge_pipe(self, pipe: int, size: int) -> None:
        """As `pipes.enlarge_pipe`, asynchronously."""
        number = os.dup(pipe)
        self._do(partial(_enlarge_and_close, number, size), is_usual=True)

    async def splice(self, source: int, target: int, most: int) -> int:
        """As os.splice, without blocking on a full or empty pipe. Raises OSError.

        If cancelled, the call may continue with copies of both. The daemon's own pipe must then be
        closed through this object, too: its lock may be held.
        """
        ends = os.dup(source), os.dup(target)
        finished = _Finished()
        self._do(partial(_splice, *ends, most, finished), is_usual=True)
        return await finished.wait()

    def _do(self, act: Callable[[], None], *, is_usual: bool) -> None:
        item = object()
        self._due[item] = time.monotonic() + (_USUAL_S if is_usual else 0)

        def act_and_forget() -> None:
            act()
            del self._due[item]

        self._defer(partial(_THREADS.do, act_and_forget))

    def _count(self) -> int:
        now = time.monotonic()
        return sum(due <= now for due in tuple(self._due.values()))


class _Threads:
    """As many threads as there are calls, and a few idle ones. They do not delay process exit."""

    def __init__(self) -> None:
        self._acts: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        # Calls that have no thread yet.
        self._owed = 0

    def do(self, act: Callable[[], None]) -> None:
        """Run `act` in a thread of its own."""
        with self._lock:
            if self._idle:
                self._idle -= 1
            else:
                self._owed += 1
                self._start_owed()
        self._acts.put(act)

    def _start_owed(self) -> None:
        # If no thread can be started, one that finishes takes the call.
        with suppress(RuntimeError):
            while self._owed:
                threading.Thread(target=self._work, daemon=True).start()
                self._owed -= 1

    def _work(self) -> None:
        while True:
            self._acts.get()()
            with self._lock:
                if self._owed:
                    self._owed -= 1
                elif self._idle >= _KEPT:
                    return
                else:
                    self._idle += 1


_THREADS = _Threads()


def start_in_thread(act: Callable[[], None]) -> None:
    """Run `act`, which may never return and raises nothing, in a thread."""
    _THREADS.do(act)


class _Finished:
    """The result of a call in a thread, for a waiting task."""

    def __init__(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._event = trio.Event()
        self._result: int | OSError = 0

    def tell(self, result: int | OSError) -> None:
        """Set the result, from the thread."""
        self._result = result
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._event.set)

    async def wait(self) -> int:
        """Wait for the result; raises it if it is an OSError."""
        await self._event.wait()
        if isinstance(self._result, OSError):
            raise self._result
        return self._result


def is_pipe(name: str) -> bool:
    """Whether a link in /proc/<pid>/fd is a pipe's; a path starts with a slash."""
    return name.startswith("pipe:[")


def _enlarge_and_close(pipe: int, size: int) -> None:
    enlarge_pipe(pipe, size)
    os.close(pipe)


def _splice(source: int, target: int, most: int, finished: _Finished) -> None:
    result: int | OSError
    try:
        result = splice(source, target, most)
    except OSError as error:
        result = error
    finished.tell(result)
    _close_all((source, target))


def _close_all(descriptors: Sequence[int]) -> None:
    first, end = min(descriptors), max(descriptors) + 1
    if end - first == len(descriptors):
        # One call, after which the thread waits only once for the interpreter lock.
        os.closerange(first, end)
        return
    for descriptor in descriptors:
        with suppress(OSError):
            os.close(descriptor)
