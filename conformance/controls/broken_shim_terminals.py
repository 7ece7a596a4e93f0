"""Shims that are wrong about signals and terminals.

Each class says in `caught_by` which case must fail for it. If the case passes, the case is blind.
"""

# ruff: noqa: D102 -- each class says what its one method does otherwise

import os
import signal
import socket
from collections.abc import Sequence
from typing import Any

from broken import BrokenShim


class KeepsSignals(BrokenShim):
    """Does not forward signals."""

    caught_by = "shim/signals-term"

    def notify(self, daemon: socket.socket, method: str, params: dict[str, Any]) -> None:
        if method != "signal":
            super().notify(daemon, method, params)


class NeverDies(BrokenShim):
    """Forwards a second interrupt too."""

    caught_by = "shim/signals-second-interrupt"

    def heed(self, daemon: socket.socket, came: signal.Signals) -> None:
        self.forwarded = []
        super().heed(daemon, came)


class ForwardsUnasked(BrokenShim):
    """Forwards signals to a daemon that does not use them."""

    caught_by = "shim/signals-not-in-use-term"

    def heed(self, daemon: socket.socket, came: signal.Signals) -> None:
        self.notify(daemon, "signal", {"name": came.name})


class StaysRaw(BrokenShim):
    """Leaves the terminal in raw mode where the connection is lost."""

    caught_by = "shim/tty-restored-after-a-loss"

    def restore(self) -> None:
        return


class StaysRawWhenItDies(BrokenShim):
    """Leaves the terminal in raw mode where a signal ends it."""

    caught_by = "shim/tty-restored-after-a-signal"

    def end_by(self, number: signal.Signals) -> None:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


class NeverRaw(BrokenShim):
    """Leaves keys to the local terminal."""

    caught_by = "shim/tty-raw"

    def start(self, daemon: socket.socket, names: list[Any], credit: int) -> None:
        super().start(daemon, names, credit)
        self.terminal.restore()


class AlwaysRaw(BrokenShim):
    """Makes the terminal raw although the daemon gives the tool none."""

    caught_by = "shim/tty-not-in-use"

    def start(self, daemon: socket.socket, names: list[Any], credit: int) -> None:
        super().start(daemon, names, credit)
        self.terminal.make_raw()


class NoResize(BrokenShim):
    """Does not tell the new size of the terminal."""

    caught_by = "shim/tty-resize"

    def notify(self, daemon: socket.socket, method: str, params: dict[str, Any]) -> None:
        if method != "resize":
            super().notify(daemon, method, params)


class FixedSize(BrokenShim):
    """Says the same size of every terminal."""

    caught_by = "shim/tty-described"

    def request(self, words: Sequence[bytes]) -> dict[str, Any]:
        request = super().request(words)
        request["params"].get("tty", {})["rows"] = 25
        return request


class StrangeTerm(BrokenShim):
    """Sends a TERM that the protocol does not allow."""

    caught_by = "shim/tty-strange-term"

    def request(self, words: Sequence[bytes]) -> dict[str, Any]:
        request = super().request(words)
        request["params"].get("tty", {})["term"] = os.environ.get("TERM")
        return request
