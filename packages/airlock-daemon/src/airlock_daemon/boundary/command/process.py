"""Runs a command: relays its streams, and controls it through the launcher."""

import signal
from collections.abc import Awaitable, Callable

import trio

from airlock_daemon.boundary.command.launcher import Ended, Launch
from airlock_daemon.boundary.command.stdio import Emit, Input, Stdio
from airlock_daemon.boundary.fairness.turns import TurnQueue
from airlock_daemon.errors import AirlockError
from airlock_daemon.platform.system import READABLE, WRITABLE, Readiness
from airlock_wire import Resize, Signal, StdinData, StdinEnd

# The launcher kills what is left 2 s after the order to end; a process that still exists long after
# that hangs in the kernel, and nothing can end it.
GONE_S = 10.0

Begin = Callable[[], Awaitable[None]]
Grant = Callable[[int], Awaitable[None]]


class Command:
    """A running command with `stdio`.

    Each step waits for one of the agent's `turns`. The tool may write `ahead` bytes before it
    blocks; `credit` is the client's initial stdin credit in bytes.
    """

    def __init__(
        self, launch: Launch, stdio: Stdio, turns: TurnQueue, *, ahead: int, credit: int
    ) -> None:
        self._launch = launch
        self._stdio = stdio
        self._ahead = ahead
        self._turns = turns
        self._credit = credit
        self._owed = 0
        self._ready: Readiness | None = None
        self._is_waiting = False

    def tell(self, said: Signal | Resize | StdinData | StdinEnd) -> None:
        """Handle a message of the client, without blocking."""
        match said:
            case Signal(name=name):
                self._launch.signal(signal.Signals[name])
            case Resize(rows=rows, cols=columns):
                self._stdio.resize(rows, columns)
            case StdinData(data=data):
                if self._stdio.input is not None:
                    self._stdio.input.put(data)
                    self._feed(self._stdio.input)
            case StdinEnd():
                if self._stdio.input is not None:
                    self._stdio.input.end()
                    self._feed(self._stdio.input)

    async def finish(self) -> None:
        """End all processes of the command: SIGHUP, then SIGKILL after 2 s.

        It must be called, and always returns within a bounded time.
        """
        self._launch.end()
        if not self._launch.is_gone():
            with trio.CancelScope(deadline=trio.current_time() + GONE_S, shield=True):
                await self._launch.wait_gone()
        self._launch.close()

    def count_input(self) -> int | None:
        """How many bytes of the client's input the tool read; None if unknown."""
        return self._stdio.count_input()

    async def relay(self, emit: Emit, grant: Grant) -> Ended:
        """Pass the output to `emit` until the tool itself has ended.

        Buffers one piece: while `emit` waits nothing is read, and the tool blocks on a full pipe.
        `grant` is called with the stdin bytes that the client may send in addition. Raises
        AirlockError if the tool could not be started or was lost.
        """
        if not self._stdio.outputs:
            return await self._wait_report()
        # One task waits for an epoll of the streams and the control socket. A task for each would
        # cost more than many commands do.
        with Readiness() as ready:
            for descriptor in self._stdio.outputs:
                ready.register(descriptor, READABLE)
            ready.register(self._launch.ready, READABLE)
            self._ready = ready
            self._await_room()
            try:
                return await self._relay(ready, emit, grant)
            finally:
                self._ready = None

    async def _relay(self, ready: Readiness, emit: Emit, grant: Grant) -> Ended:
        outputs = self._stdio.outputs
        while True:
            await trio.lowlevel.wait_readable(ready.fileno())
            await self._turns.take()
            report: Ended | AirlockError | None = None
            for descriptor, _ in ready.poll(0):
                if descriptor in outputs:
                    await self._stdio.relay(descriptor, self._ahead, emit)
                elif descriptor == self._launch.ready:
                    report = self._launch.read_report()
                else:
                    await self._go_on_feeding(grant)
            if isinstance(report, AirlockError):
                raise report
            if report is not None:
                await self._stdio.drain(emit)
                return report

    async def _wait_report(self) -> Ended:
        while True:
            await trio.lowlevel.wait_readable(self._launch.ready)
            await self._turns.take()
            report = self._launch.read_report()
            if isinstance(report, AirlockError):
                raise report
            if report is not None:
                return report

    def _feed(self, source: Input) -> None:
        """Write what the tool's stdin takes. If it is full, the relay continues when it is not."""
        self._write(source)
        self._await_room()

    async def _go_on_feeding(self, grant: Grant) -> None:
        source = self._stdio.input
        if source is None:
            return
        self._stop_waiting(source)
        self._write(source)
        if self._owes_much:
            owed, self._owed = self._owed, 0
            await grant(owed)
        self._await_room()

    def _write(self, source: Input) -> None:
        self._owed += source.write()
        if source.is_over:
            # First: the other side of a terminal would keep it registered.
            self._stop_waiting(source)
            source.close()

    def _await_room(self) -> None:
        """Wake the relay when the tool's stdin has room, or to grant more credit."""
        source = self._stdio.input
        if self._ready is None or source is None or self._is_waiting:
            return
        if source.is_waiting or (self._owes_much and not source.is_over):
            self._ready.register(source.descriptor, WRITABLE)
            self._is_waiting = True

    def _stop_waiting(self, source: Input) -> None:
        if self._ready is not None and self._is_waiting:
            self._ready.unregister(source.descriptor)
            self._is_waiting = False

    @property
    def _owes_much(self) -> bool:
        # Grant large portions: a message per line would wake the client each time.
        return self._owed * 4 >= self._credit
