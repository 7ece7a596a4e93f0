"""Many calls at once: they wait at a gate, are released together, and reaped as they end."""

import fcntl
import os
import select
import time
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from bench.calls import Call, Caller, end, spawn
from bench.errors import BenchError

# The shell reports that it is ready, waits until the gate closes, and executes the call.
_WAITER = 'echo >&8; read -r line <&9; exec 8>&- 9<&- "$@"'

_READY, _GATE = 8, 9


class Burst(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a burst: seconds from the opening of the gate to the end of each call.

    `failures` counts calls that ended with a status other than 0.
    """

    each: tuple[float, ...]
    failures: int

    @property
    def seconds(self) -> float:
        """Seconds until the last call ended."""
        return max(self.each)


def run_burst(calls: Sequence[Call], *, caller: Caller, patience_s: float) -> Burst:
    """Run calls at once, with the descriptors of `caller`.

    It waits for the calls by pidfd, so that each end is recorded when it happens. Raises BenchError
    if nothing happens for `patience_s` seconds.
    """
    crowd = _Crowd(caller, patience_s)
    try:
        for call in calls:
            crowd.start(call)
        crowd.await_all()
        return crowd.let_go()
    finally:
        crowd.close()
        caller.empty()


class _Crowd:
    """The calls of one burst; `_open` maps a pidfd to the pid of a call that has not ended."""

    def __init__(self, caller: Caller, patience_s: float) -> None:
        self._caller = caller
        self._patience_s = patience_s
        self._open: dict[int, int] = {}
        self._epoll = select.epoll()
        self._ready, self._tell = _open_pipe()
        self._wait, self._gate = _open_pipe()

    def start(self, call: Call) -> None:
        words = ("sh", "-c", _WAITER, "sh", call.program, *call.argv[1:])
        caller = self._caller
        pid = spawn(
            Call("/bin/sh", words, call.environment),
            stdin=caller.null,
            stdout=caller.stdout,
            stderr=caller.stderr,
            more={_READY: self._tell, _GATE: self._wait},
        )
        try:
            descriptor = os.pidfd_open(pid)
        except OSError:
            end(pid)
            raise
        self._open[descriptor] = pid
        self._epoll.register(descriptor, select.EPOLLIN)

    def await_all(self) -> None:
        """Wait until every call is at the gate."""
        missing = len(self._open)
        while missing:
            if not select.select([self._ready], [], [], self._patience_s)[0]:
                raise BenchError(f"{missing} calls did not start within {self._patience_s:g} s")
            missing -= len(os.read(self._ready, missing))

    def let_go(self) -> Burst:
        """Open the gate and wait for the end of each call."""
        each: list[float] = []
        failures = 0
        began = time.perf_counter()
        os.close(self._gate)
        self._gate = -1
        while self._open:
            ended = self._epoll.poll(self._patience_s)
            now = time.perf_counter()
            if not ended:
                raise BenchError(f"{len(self._open)} calls hang for {self._patience_s:g} s")
            for descriptor, _ in ended:
                self._epoll.unregister(descriptor)
                os.close(descriptor)
                each.append(now - began)
                failures += os.waitpid(self._open.pop(descriptor), 0)[1] != 0
            # Error output of many calls would fill the pipe and block them.
            self._caller.empty()
        return Burst(each=tuple(each), failures=failures)

    def close(self) -> None:
        for descriptor, pid in self._open.items():
            with suppress(OSError):
                os.close(descriptor)
            end(pid)
        self._epoll.close()
        for descriptor in (self._ready, self._tell, self._wait, self._gate):
            if descriptor >= 0:
                os.close(descriptor)


def _open_pipe() -> tuple[int, int]:
    """Return a pipe whose descriptors are above the numbers used in the shells."""
    low = os.pipe2(os.O_CLOEXEC)
    try:
        reading, writing = (fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, 20) for one in low)
    finally:
        for descriptor in low:
            os.close(descriptor)
    return reading, writing
