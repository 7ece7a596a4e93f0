#!/usr/bin/env python3
"""A small shim that keeps to the protocol: the positive control of the suite.

It is called through a link of the tool's name, with the socket in AIRLOCK_SOCKET.
"""

import base64
import binascii
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Any

from reference_base_shim import BaseShim, BrokenAnswerError
from reference_descriptors import is_seekable
from reference_relays import Relays
from reference_signals import KeptSignals
from reference_terminal import LocalTerminal

_CHUNK = 65_536


class ReferenceShim(BaseShim):
    """One call, with all features. Its methods are steps that a broken shim does otherwise."""

    features: tuple[str, ...] = (
        "base64", "stdin", "signals", "tty", "exit-signal", "env", "fds"
    )  # fmt: skip

    def __init__(self) -> None:
        self.signals = KeptSignals()
        self.terminal = LocalTerminal()
        self.relays = Relays()
        self.in_use: frozenset[str] | None = None
        self.credit = 0
        self.sent = 0
        self.is_stdin_open = True
        self.forwarded: list[signal.Signals] = []

    def request(self, words: Sequence[bytes]) -> dict[str, Any]:
        """Return the request of a command line, with what the features need to know."""
        request = super().request(words)
        request["params"]["features"] = list(self.features)
        if "env" in self.features:
            request["params"]["env"] = self.environment()
        tty = self.terminal.describe()
        if tty is not None and "tty" in self.features:
            request["params"]["tty"] = tty
        return request

    def environment(self) -> dict[str, Any]:
        """Return the variables as they stand in a request."""
        return {
            name.decode(): self.text(value)
            for name, value in os.environb.items()
            if name and name.isascii()
        }

    def send_first(self, daemon: socket.socket, line: bytes) -> None:
        """Send the request line with the descriptors on its first byte."""
        if "fds" not in self.features:
            super().send_first(daemon, line)
            return
        sent = socket.send_fds(daemon, [line], self.relays.passed, socket.MSG_NOSIGNAL)
        super().send_first(daemon, line[sent:])

    def notify(self, daemon: socket.socket, method: str, params: dict[str, Any]) -> None:
        """Send a message after the request."""
        line = json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode() + b"\n"
        try:
            daemon.sendall(line, socket.MSG_NOSIGNAL)
        except (BrokenPipeError, ConnectionResetError):
            return

    def attend(self, daemon: socket.socket) -> None:
        """See to stdin, signals and relays until the daemon has something to say."""
        has_more = False
        while not has_more:
            relayed = self.relays.readable() if self.uses("fds") else []
            stdin = [0] if self.wants_stdin() else []
            awaited = [daemon.fileno(), self.signals.descriptor, *stdin, *relayed]
            readable, writable, _ = select.select(awaited, self.relays.writable(), [])
            for number in [*readable, *writable]:
                if number == daemon.fileno():
                    has_more = True
                elif number == self.signals.descriptor:
                    for came in self.signals.take():
                        self.heed(daemon, came)
                elif number in stdin:
                    self.feed(daemon)
                else:
                    self.attend_relay(number)

    def attend_relay(self, number: int) -> None:
        """Copy from or to a relay; end as by SIGPIPE where nobody reads its output."""
        try:
            self.relays.attend(number)
        except BrokenPipeError:
            self.end_by(signal.SIGPIPE)

    def uses(self, feature: str) -> bool:
        """Whether the daemon has started with a feature."""
        return feature in (self.in_use or ())

    def wants_stdin(self) -> bool:
        """Whether stdin is to be read now."""
        return self.uses("stdin") and self.is_stdin_open and self.credit > 0

    def feed(self, daemon: socket.socket) -> None:
        """Send some of stdin, or its end."""
        data = os.read(0, min(self.credit, _CHUNK))
        if not data:
            self.is_stdin_open = False
            self.notify(daemon, "stdin", {"eof": True})
            return
        self.credit -= len(data)
        self.sent += len(data)
        text = self.text(data)
        params = {"data": text} if isinstance(text, str) else {"data": text["base64"]}
        if not isinstance(text, str):
            params["encoding"] = "base64"
        self.notify(daemon, "stdin", params)

    def heed(self, daemon: socket.socket, came: signal.Signals) -> None:
        """Forward a signal that came, or end by it."""
        is_second_interrupt = came is signal.SIGINT and came in self.forwarded
        if self.in_use is None and not is_second_interrupt:
            self.forwarded.append(came)
        elif came is signal.SIGWINCH and self.uses("tty"):
            self.notify(daemon, "resize", {**self.terminal.size()})
        elif self.uses("signals") and not is_second_interrupt:
            self.forwarded.append(came)
            self.notify(daemon, "signal", {"name": came.name})
        elif came is not signal.SIGWINCH:
            self.end_by(came)

    def take_notification(self, daemon: socket.socket, method: str, params: Any) -> None:
        """Do what a message says that is no response."""
        match method, params:
            case "start", {"features": list(names), **rest} if self.in_use is None:
                credit = rest.get("stdin_credit")
                self.start(daemon, names, credit if isinstance(credit, int) else 0)
            case "credit", {"bytes": int(count)}:
                self.credit += count
            case "output", _:
                self.start_none(daemon)
                super().take_notification(daemon, method, params)

    def start(self, daemon: socket.socket, names: list[Any], credit: int) -> None:
        """Begin to use what the daemon lists of what was asked for."""
        early, self.forwarded = self.forwarded, []
        self.in_use = frozenset(name for name in names if name in self.features)
        self.credit = credit
        if self.uses("fds"):
            self.relays.close_passed()
        else:
            self.relays.close()
        if self.uses("tty") and self.uses("stdin"):
            self.terminal.make_raw()
        for came in early:
            self.heed(daemon, came)

    def start_none(self, daemon: socket.socket) -> None:
        """Go on as in the base, where something else came before `start`."""
        if self.in_use is None:
            self.start(daemon, [], 0)

    def decode(self, data: str, encoding: Any) -> bytes:
        """Return the bytes of a piece of output."""
        if encoding is None:
            return data.encode("utf-8", "replace")
        if encoding != "base64":
            raise BrokenAnswerError("the daemon sent output in an unknown encoding")
        try:
            return base64.b64decode(data, validate=True)
        except binascii.Error as error:
            raise BrokenAnswerError("the daemon sent output that is no base64") from error

    def end(self, code: int, taken: object) -> int:
        """Return the exit status of a command that has ended, having `taken` so much of stdin."""
        if isinstance(taken, int) and self.uses("stdin") and is_seekable(0):
            os.lseek(0, taken - self.sent, os.SEEK_CUR)
        return code

    def finish(self) -> None:
        """Relay what the command left."""
        self.relays.finish()

    def restore(self) -> None:
        """Undo raw mode."""
        self.terminal.restore()


def open_missing_descriptors() -> None:
    """Put /dev/null where 0, 1 or 2 is closed, before a socket takes its place."""
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor < 2:
        descriptor = os.dup(descriptor)
    if descriptor > 2:
        os.close(descriptor)


def main(kind: type[BaseShim] = ReferenceShim) -> None:
    """Be the tool of the link's name."""
    open_missing_descriptors()
    words = [os.fsencode(word) for word in sys.argv]
    # Not sys.exit: the interpreter would flush streams that may never have been open.
    os._exit(kind().call(words, os.environ["AIRLOCK_SOCKET"]))


if __name__ == "__main__":
    main()
