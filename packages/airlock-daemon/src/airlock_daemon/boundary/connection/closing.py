"""Calls on a client's descriptors that may never return, in threads: closing them above all.

close(2) of a file on a file system of the client's making (FUSE) waits for that file system, and of
a socket for data that its peer does not take (SO_LINGER): for ever, if the client likes. So it is
with a pipe, and a terminal: whoever reads from one holds its lock while memory of theirs is written
to, which may be such a file, and close(2), splice(2) and fcntl(2) wait for that lock. One of them
in the event loop would stop all agents.
"""

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from queue import SimpleQueue

import trio

from airlock_daemon.platform.linux.procfs import name_descriptor

# Each that never returns costs a thread. Where an agent has so many of them no further descriptor
# is welcome, but one that comes all the same must be closed so: not to take it would close it here.
STUCK = 8

MOST = 64
"""With so many no further connection of the agent is taken: its open ones bound the rest."""

# What every client does is under way now and then, and hangs only after so long, or where there is
# very much of it.
_USUAL_S = 2.0
_MOST_USUAL = 4 * MOST

# Threads that wait for a next call.
_KEPT = 2


def _at_once(act: Callable[[], None]) -> None:
    act()


class Closer:
    """Closes the descriptors of one agent's clients, and makes other calls on them."""

    def __init__(self, defer: Callable[[Callable[[], None]], None] = _at_once) -> None:
        """`defer` calls what it is given when the event loop has nothing else to do: a thread that
        is woken before would have the loop wait for the interpreter at each of its system calls.
        """
        self._defer = defer
        # When each of those under way counts as one that hangs.
        self._due: dict[object, float] = {}

    @property
    def is_stuck(self) -> bool:
        """Whether so many hang that no further descriptor should be taken from this agent."""
        return bool(self._due) and self._count() >= STUCK

    @property
    def is_full(self) -> bool:
        """Whether there are MOST."""
        return bool(self._due) and (self._count() >= MOST or len(self._due) >= _MOST_USUAL)

    def close(self, descriptors: Iterable[int], *, is_usual: bool = False) -> None:
        """Close them, some time. `is_usual` says that they were found to be what they should be."""
        numbers = tuple(descriptors)
        if numbers:
            is_usual = is_usual or all(is_pipe(name_descriptor(number)) for number in numbers)
            self._do(partial(_close_all, numbers), is_usual=is_usual)

    def enlarge_pipe(self, pipe: int, size: int) -> None:
        """As the function, some time."""
        number = os.dup(pipe)
        self._do(partial(_enlarge_and_close, number, size), is_usual=True)

    async def splice(self, source: int, target: int, most: int) -> int:
        """As os.splice, without blocking where a pipe is full or empty. Raises OSError.

        Where it is cancelled the call may go on, with copies of both. The pipe that is not the
        client's must be closed here then, too: its lock may be held meanwhile.
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
    """As many as have something to do, and some that wait. They keep no process from ending."""

    def __init__(self) -> None:
        self._acts: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        # What was asked for and has no thread yet.
        self._owed = 0

    def do(self, act: Callable[[], None]) -> None:
        """Have it done by one that does nothing else meanwhile."""
        with self._lock:
            if self._idle:
                self._idle -= 1
            else:
                self._owed += 1
                self._start_owed()
        self._acts.put(act)

    def _start_owed(self) -> None:
        # Where there may be no more threads, one that has done its own takes it.
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
    """Have something done in a thread that may never return, and raises nothing."""
    _THREADS.do(act)


class _Finished:
    """The result of a call in a thread, for a task that waits."""

    def __init__(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._event = trio.Event()
        self._result: int | OSError = 0

    def tell(self, result: int | OSError) -> None:
        """Say it, in the thread."""
        self._result = result
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._event.set)

    async def wait(self) -> int:
        """Wait for it; raises the OSError that it was."""
        await self._event.wait()
        if isinstance(self._result, OSError):
            raise self._result
        return self._result


def is_pipe(name: str) -> bool:
    """Whether a link in /proc/<pid>/fd is that of a pipe; a path has a slash first."""
    return name.startswith("pipe:[")


def enlarge_pipe(pipe: int, size: int) -> None:
    """Give a pipe so much room, if that is to be had: it is not where its user has many pipes."""
    with suppress(OSError):
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, size)


def _enlarge_and_close(pipe: int, size: int) -> None:
    enlarge_pipe(pipe, size)
    os.close(pipe)


def _splice(source: int, target: int, most: int, finished: _Finished) -> None:
    result: int | OSError
    try:
        result = os.splice(source, target, most, flags=os.SPLICE_F_NONBLOCK)
    except OSError as error:
        result = error
    finished.tell(result)
    _close_all((source, target))


def _close_all(descriptors: Sequence[int]) -> None:
    first, end = min(descriptors), max(descriptors) + 1
    if end - first == len(descriptors):
        # In one call, after which the thread has to wait for the interpreter once.
        os.closerange(first, end)
        return
    for descriptor in descriptors:
        with suppress(OSError):
            os.close(descriptor)
