"""Talks to a client while it runs: feeds its input, takes its output, and answers its prompts."""

import os
import select
import signal
import subprocess
import termios
import time
from collections.abc import Sequence

from e2e.faithful.runner.content import PIECE, Capture
from e2e.faithful.runner.entry import Step
from e2e.faithful.runner.wiring import Wiring

NUDGE_S = 0.2
"""After so long a silence the engine's client is reminded of the size of its terminal."""


class Stuck(AssertionError):
    """A command did not end, or did not write what was expected of it."""


class Conversation:
    """The exchange with one running client over its `wiring`, until its streams have ended.

    The whole of it may take `patience` seconds. `by_engine` says that the process is the engine's
    client: that misses a new size of its terminal as long as it is busy telling of the first one.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        wiring: Wiring,
        talk: Sequence[Step],
        *,
        patience: float,
        by_engine: bool,
    ) -> None:
        self.captures = {name: Capture() for name in wiring.outputs.values()}
        self._process = process
        self._wiring = wiring
        self._steps = list(talk)
        self._open = set(wiring.outputs)
        self._heard = b""
        self._left = b""
        self._is_ending = False
        self._by_engine = by_engine
        self._is_resized = False
        self._until = time.monotonic() + patience

    def hold(self) -> None:
        """Go on until every output has ended, and then until the client has. Raises Stuck."""
        self._answer()
        while self._open:
            self._turn()
        if self._steps:
            raise Stuck(f"ended without {self._steps[0].expect!r} after {self._heard[-500:]!r}")
        try:
            self._process.wait(timeout=max(0.1, self._until - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise Stuck("all its output has ended, and it runs on") from None

    def _turn(self) -> None:
        poll = select.poll()
        for descriptor in self._open:
            poll.register(descriptor, select.POLLIN)
        feed = self._wiring.feed
        if feed is not None and self._prepare():
            poll.register(feed, select.POLLOUT)
        left = max(0.0, self._until - time.monotonic())
        pause = min(left, NUDGE_S) if self._by_engine and self._is_resized else left
        ready = poll.poll(pause * 1000)
        if not ready and pause < left:
            self._process.send_signal(signal.SIGWINCH)
        elif not ready:
            raise Stuck(f"nothing more came, the last was {self._heard[-500:]!r}")
        for descriptor, _ in ready:
            if descriptor in self._open:
                self._read(descriptor)
            else:
                self._write(descriptor)

    def _prepare(self) -> bool:
        """Have bytes ready for the client's input; end it when there are no more to come."""
        source = self._wiring.source
        if not self._left and source is not None:
            self._left = next(source, b"")
            self._is_ending = self._is_ending or not self._left
        if not self._left and self._is_ending:
            self._wiring.end_feed()
        return bool(self._left)

    def _write(self, descriptor: int) -> None:
        try:
            self._left = self._left[os.write(descriptor, self._left[:PIECE]) :]
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError):
            self._left = b""
            self._wiring.end_feed()

    def _read(self, descriptor: int) -> None:
        try:
            data = os.read(descriptor, PIECE)
        except OSError:  # EIO: nobody has the terminal open any more
            data = b""
        if not data:
            self._open.remove(descriptor)
            return
        self.captures[self._wiring.outputs[descriptor]].add(data)
        self._heard += data
        self._answer()

    def _answer(self) -> None:
        """Carry out the steps whose time has come."""
        while self._steps and self._steps[0].expect.encode() in self._heard:
            step = self._steps.pop(0)
            expected = step.expect.encode()
            self._heard = self._heard[self._heard.index(expected) + len(expected) :]
            self._carry_out(step)
        if not self._steps:
            self._heard = self._heard[-500:]

    def _carry_out(self, step: Step) -> None:
        master = self._wiring.master
        if step.resize is not None:
            assert master is not None
            termios.tcsetwinsize(master, step.resize)
            self._is_resized = True
        if step.signal:
            os.kill(self._process.pid, signal.Signals[step.signal])
        if step.send:
            if self._wiring.feed is not None:
                self._left += step.send.encode()
            else:
                assert master is not None
                os.write(master, step.send.encode())
        self._is_ending = self._is_ending or step.end
