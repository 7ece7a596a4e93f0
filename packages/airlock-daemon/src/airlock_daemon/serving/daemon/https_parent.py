"""The process that forks the HTTPS broker's workers, restarted if it ends."""

import itertools
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Mapping
from contextlib import suppress

import msgspec
import trio

from airlock_daemon.boundary.brokers.https.messages import Channel, Fork, Kill, ToParent
from airlock_daemon.boundary.fairness import Allowance
from airlock_daemon.errors import LOOK_AT_MESSAGES, Failed
from airlock_daemon.serving.request import log
from airlock_wire import quote

FIRST_DELAY_S = 1.0
MAX_DELAY_S = 60.0
"""Seconds before it is restarted: doubled each time, unless it lived longer than that."""

_LAST_WORDS_S = 1.0
# Of one read of its stderr; before the next one.
_SAID_BYTES, _SAID_LINES = 4096, 50
_PAUSE_S = 0.1
# Bytes of it that are logged at once, and per second.
MOST_LOGGED, _LOGGED_S = 100_000, 20.0
# Of each line beside what was said.
_LINE_BYTES = 100
# The daemon's variables that the process gets.
_VARIABLES = ("PATH", "LANG", "LC_ALL", "TZ")


class Parent:
    """Forks workers. Its process starts with the first worker, and ends with the daemon.

    A task must `run` it.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        """`environment` is the daemon's."""
        self._environment = {name: environment[name] for name in _VARIABLES if name in environment}
        self._process: _Process | None = None
        self._is_started = trio.Event()
        self._numbers = itertools.count(1)
        self._not_before = -1.0
        self._delay = FIRST_DELAY_S

    async def run(self) -> None:
        """Supervise the process until cancelled, then end it."""
        try:
            while True:
                await self._is_started.wait()
                began = trio.current_time()
                if self._process is not None:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(self._process.pass_on)
                        await self._process.wait()
                        # What it has said last; a worker that outlives it is not waited for.
                        nursery.cancel_scope.deadline = trio.current_time() + _LAST_WORDS_S
                self._note_end(trio.current_time() - began)
        finally:
            self._end()

    async def fork(self, agent: str) -> tuple[int, socket.socket]:
        """Fork an agent's worker; returns its number, and our end of its socket pair.

        The caller closes that, and then has it `kill`ed. Raises Failed if that fails.
        """
        process = self._process
        if process is None:
            process = self._process = self._start()
            self._is_started.set()
        try:
            ours, theirs = socket.socketpair()
        except OSError as error:
            raise _not_started(error) from error
        try:
            with theirs:
                number = next(self._numbers)
                await process.fork(Fork(agent=agent, worker=number), theirs.fileno())
        except trio.BrokenResourceError as error:
            ours.close()
            raise Failed(
                "the HTTPS broker's process has ended",
                hint=f"try again in a second; {LOOK_AT_MESSAGES}",
            ) from error
        except BaseException:
            ours.close()
            raise
        return number, ours

    async def kill(self, worker: int) -> None:
        """Kill a worker that has not ended with its pair: one that hangs would stay for ever."""
        if self._process is not None:
            await self._process.kill(worker)

    def _start(self) -> "_Process":
        left = self._not_before - trio.current_time()
        if left > 0:
            raise Failed(
                f"the HTTPS broker's process has ended, and is not started again for {left:.1f} s",
                hint=f"try again then; {LOOK_AT_MESSAGES}",
            )
        try:
            return _Process(self._environment)
        except OSError as error:
            raise _not_started(error) from error

    def _note_end(self, lived: float) -> None:
        status = self._end()
        if lived > self._delay:
            self._delay = FIRST_DELAY_S
        self._not_before = trio.current_time() + self._delay
        log.error(
            "the HTTPS broker's process has ended (%s): its connections are cut, and it is started "
            "again in %g s at the earliest; please report what it has said before, unless somebody "
            "has killed it",
            *(status, self._delay),
        )
        self._delay = min(2 * self._delay, MAX_DELAY_S)

    def _end(self) -> str:
        process, self._process = self._process, None
        self._is_started = trio.Event()
        return "" if process is None else process.end()


class _Process:
    """The process, and the channel to it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Start it; raises OSError."""
        ours, theirs = socket.socketpair()
        number = theirs.fileno()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-m", "airlock_daemon.boundary.brokers.https", str(number)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                cwd="/",
                env=dict(environment),
                pass_fds=(number,),
                start_new_session=True,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._channel: Channel[Fork, ToParent] = Channel(ours, receives=Fork)
        self._forks = deque[trio.Event]()

    async def fork(self, message: Fork, pair: int) -> None:
        """Have it fork a worker with the descriptor `pair`, which it has when this returns.

        Until then macOS may drop a socket that its sender closes. Raises BrokenResourceError if the
        process has ended.
        """
        await self._channel.send(message, pair)
        # No answer can be read before the next checkpoint.
        arrived = trio.Event()
        self._forks.append(arrived)
        await arrived.wait()

    async def kill(self, worker: int) -> None:
        """Have it kill a worker. If the process has ended, so have its workers."""
        with suppress(trio.BrokenResourceError):
            await self._channel.send(Kill(worker=worker))

    async def wait(self) -> None:
        """Wait until it has ended: then its end of the channel is closed."""
        with suppress(msgspec.MsgspecError):
            while await self._channel.receive() is not None:
                if self._forks:
                    self._forks.popleft().set()

    async def pass_on(self) -> None:
        """Log what it says, until it and its workers have ended.

        Quoted: a client that has broken a worker could forge other lines, also of the audit log.
        And no more at once than costs the daemon a few milliseconds; what exceeds MOST_LOGGED, and
        _LOGGED_S from then on, is dropped.
        """
        allowance = Allowance(bytes_s=_LOGGED_S, burst=MOST_LOGGED)
        stderr = self._process.stderr
        assert stderr is not None  # noqa: S101 - for mypy
        said = b"-"
        while said:
            await trio.lowlevel.wait_readable(stderr)
            said = os.read(stderr.fileno(), _SAID_BYTES)
            for line in said.decode("utf-8", "replace").splitlines()[:_SAID_LINES]:
                if allowance.is_spent:
                    break
                quoted = quote(line, limit=1000)
                log.error("the HTTPS broker's process says %s; please report it", quoted)
                allowance.spend(len(quoted) + _LINE_BYTES)
                if allowance.is_spent:
                    log.error("it says more than is logged of it; please report it")
            await trio.sleep(_PAUSE_S)

    def end(self) -> str:
        """Kill it; returns how it ended."""
        self._channel.close()
        for each in self._forks:
            each.set()
        self._process.kill()
        if self._process.stderr is not None:
            self._process.stderr.close()
        status = self._process.wait()
        return f"exit status {status}" if status >= 0 else f"signal {-status}"


def _not_started(error: OSError) -> Failed:
    return Failed(
        f"a process of the HTTPS broker cannot be started: {error.strerror}", hint=LOOK_AT_MESSAGES
    )
