"""Running one command with minimal overhead, and timing it.

`subprocess` would add more than some of the commands take. The working directory is the caller's:
posix_spawn(3) cannot set another.
"""

import os
import select
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Self

import msgspec

from bench.errors import CallFailed


class Call(msgspec.Struct, frozen=True):
    """A command: the executable, its argv including argv[0], and its whole environment."""

    program: str
    argv: tuple[str, ...]
    environment: dict[str, str]


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """One call: seconds from before its start until it was reaped, and its exit status."""

    seconds: float
    status: int


class Caller:
    """Runs calls one after another, with stdin from /dev/null and pipes as stdout and stderr.

    The pipes stay open between calls and are emptied after each, outside the measured time: a call
    may print as much as a pipe holds (64 KiB).
    """

    def __init__(self, *, patience_s: float) -> None:
        """A call that takes longer than `patience_s` is killed and counts as hanging."""
        self._patience_s = patience_s
        self.null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        self._pipes = [os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK) for _ in range(2)]
        for _, writing in self._pipes:
            # The commands would inherit O_NONBLOCK and treat a full pipe as an error.
            os.set_blocking(writing, True)
        self.stdout, self.stderr = (writing for _, writing in self._pipes)
        self.printed = self.complained = b""

    def run(self, call: Call) -> Ended:
        """Run a call to its end; its output is then in `printed` and `complained`."""
        started = time.perf_counter()
        pid = spawn(call, stdin=self.null, stdout=self.stdout, stderr=self.stderr)
        status = wait(pid, call, patience_s=self._patience_s)
        seconds = time.perf_counter() - started
        self.empty()
        return Ended(seconds=seconds, status=status)

    def time(self, call: Call) -> float:
        """Run a call and return its seconds; raises CallFailed for a status other than 0."""
        ended = self.run(call)
        if ended.status:
            raise CallFailed(
                f"{' '.join(call.argv)} by {call.program} ended with status {ended.status}: "
                f"{self.complained.decode(errors='replace').strip() or 'nothing on stderr'}"
            )
        return ended.seconds

    def empty(self) -> None:
        """Read the pipes into `printed` and `complained`."""
        self.printed, self.complained = (_take(reading) for reading, _ in self._pipes)

    def close(self) -> None:
        """Close all descriptors."""
        for reading, writing in self._pipes:
            os.close(reading)
            os.close(writing)
        os.close(self.null)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()


def spawn(
    call: Call, *, stdin: int, stdout: int, stderr: int, more: Mapping[int, int] | None = None
) -> int:
    """Start a call with the three descriptors and those of `more`; returns its pid.

    `more` maps descriptors of the call to ours, which must be above all of the former.
    """
    others = [(os.POSIX_SPAWN_DUP2, ours, theirs) for theirs, ours in (more or {}).items()]
    return os.posix_spawn(
        call.program,
        call.argv,
        call.environment,
        file_actions=[
            (os.POSIX_SPAWN_DUP2, stdin, 0),
            (os.POSIX_SPAWN_DUP2, stdout, 1),
            (os.POSIX_SPAWN_DUP2, stderr, 2),
            *others,
        ],
        # Python ignores SIGPIPE, which a command would inherit.
        setsigdef=[signal.SIGPIPE],
    )


def wait(pid: int, call: Call, *, patience_s: float) -> int:
    """Reap a child and return its exit status, -n after signal n; kill it if it hangs."""
    try:
        descriptor = os.pidfd_open(pid)
        try:
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            if not poll.poll(patience_s * 1000):
                raise CallFailed(f"{' '.join(call.argv)} did not end within {patience_s:g} s")
        finally:
            os.close(descriptor)
    except BaseException:
        end(pid)
        raise
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def end(pid: int) -> None:
    """Kill and reap a child that may have ended already."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)


def _take(reading: int) -> bytes:
    pieces = []
    with suppress(BlockingIOError):
        while piece := os.read(reading, 65536):
            pieces.append(piece)
    return b"".join(pieces)
