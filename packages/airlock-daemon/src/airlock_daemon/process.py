"""Running a command: pipes for its output, the launcher for its life."""

import fcntl
import os
import select
import signal
import struct
import termios
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Literal

import trio

from airlock_daemon.errors import Failed
from airlock_daemon.launcher import Ended, Launch, Started, cannot_start

CHUNK = 65536

# The launcher kills what is left 2 s after it was told to end; a process that is still there long
# after that hangs in the kernel, and nothing can end it.
GONE_S = 10.0

Stream = Literal["stdout", "stderr"]
Emit = Callable[[Stream, bytes], Awaitable[None]]


@asynccontextmanager
async def start_command(what: Started, *, launcher: str, nofile: int) -> AsyncIterator["Command"]:
    """Start `what` for the length of the block; raises Failed when that is not possible.

    Leaving the block, by whatever way, ends every process of the command that is still there:
    SIGHUP, then SIGKILL after 2 s.
    """
    pipes = _Pipes()
    try:
        launch = pipes.start(what, launcher=launcher, nofile=nofile)
        try:
            yield Command(launch, pipes)
        finally:
            await _finish(launch)
    finally:
        pipes.close()


class Command:
    """A command that runs, streaming its output; stdin is /dev/null."""

    def __init__(self, launch: Launch, pipes: "_Pipes") -> None:
        self._launch = launch
        self._pipes = pipes

    async def relay(self, emit: Emit) -> Ended:
        """Give the output to `emit` as it comes, until the tool itself has ended.

        Holds one chunk (64 KiB) at a time: while `emit` waits nothing is read, and the tool stops
        at a full pipe. Raises Failed when the tool could not be started or was lost.
        """
        # One task for both streams and the control socket: they are gathered in an epoll, and trio
        # waits for that. A task for each would cost more than many commands take.
        with select.epoll() as ready:
            for descriptor in self._pipes.streams:
                ready.register(descriptor, select.EPOLLIN)
            ready.register(self._launch.control.fileno(), select.EPOLLIN)
            while True:
                await trio.lowlevel.wait_readable(ready.fileno())
                report: Ended | Failed | None = None
                for descriptor, _ in ready.poll(0):
                    if descriptor in self._pipes.streams:
                        await self._pass_on(descriptor, CHUNK, emit)
                    else:
                        report = self._launch.read_report()
                if isinstance(report, Failed):
                    raise report
                if report is not None:
                    await self._drain(emit)
                    return report

    async def _drain(self, emit: Emit) -> None:
        """Pass on what is in the pipes now that the tool has ended.

        No more than that: a process that it left behind could go on writing for ever.
        """
        for descriptor in self._pipes.streams:
            left = _bytes_in_pipe(descriptor)
            while left > 0:
                left -= await self._pass_on(descriptor, min(left, CHUNK), emit)

    async def _pass_on(self, descriptor: int, limit: int, emit: Emit) -> int:
        """Read at most `limit` bytes, of which there is one at least, and emit them."""
        data = os.read(descriptor, limit)
        await emit(self._pipes.streams[descriptor], data)
        return len(data)


class _Pipes:
    """The pipes of stdout and stderr; `streams` are the reading ends.

    The writing ends stay open here too. The end of a command is what its launcher reports, and
    ends of file would only wake the daemon twice more for each command.
    """

    def __init__(self) -> None:
        self.streams: dict[int, Stream] = {}
        self._descriptors: list[int] = []

    def start(self, what: Started, *, launcher: str, nofile: int) -> Launch:
        try:
            stdin = self._keep(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
            stdout, stderr = self._open("stdout"), self._open("stderr")
        except OSError as error:
            raise cannot_start(what.program, error) from error
        return Launch(launcher, what, stdin=stdin, stdout=stdout, stderr=stderr, nofile=nofile)

    def _open(self, stream: Stream) -> int:
        reading, writing = (self._keep(end) for end in os.pipe2(os.O_CLOEXEC))
        self.streams[reading] = stream
        return writing

    def _keep(self, descriptor: int) -> int:
        self._descriptors.append(descriptor)
        return descriptor

    def close(self) -> None:
        for descriptor in self._descriptors:
            os.close(descriptor)


async def _finish(launch: Launch) -> None:
    """End what is left of the command, whatever happens meanwhile, and reap the launcher."""
    launch.end()
    with trio.CancelScope(deadline=trio.current_time() + GONE_S, shield=True) as patience:
        await launch.wait_gone()
    launch.close()
    if patience.cancelled_caught:
        with suppress(ProcessLookupError):
            os.kill(launch.pid, signal.SIGKILL)


def _bytes_in_pipe(descriptor: int) -> int:
    count = fcntl.ioctl(descriptor, termios.FIONREAD, struct.pack("i", 0))
    return int(struct.unpack("i", count)[0])
