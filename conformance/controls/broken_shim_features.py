"""Shims that are wrong about negotiation, stdin, base64, variables and descriptors.

Each class says in `caught_by` which case must fail for it. If the case passes, the case is blind.
"""

# ruff: noqa: ARG002, D102 -- each class says what its one method does otherwise

import base64
import os
import signal
import socket
from typing import Any

from broken import BrokenShim
from reference_relays import Relays


class StdinAtOnce(BrokenShim):
    """Sends stdin with the request, before it knows whether the daemon takes it."""

    caught_by = "shim/stdin-not-in-use"

    def send_first(self, daemon: socket.socket, line: bytes) -> None:
        super().send_first(daemon, line)
        self.notify(daemon, "stdin", {"eof": True})


class StdinUnasked(BrokenShim):
    """Sends stdin to a daemon that does not use it."""

    caught_by = "shim/features-no-start"

    def take_notification(self, daemon: socket.socket, method: str, params: Any) -> None:
        super().take_notification(daemon, method, params)
        self.notify(daemon, "stdin", {"data": "x"})


class NoFeatures(BrokenShim):
    """Asks for nothing."""

    caught_by = "shim/features-alone-base64"
    features = ()


class NeedsStart(BrokenShim):
    """Takes a daemon that does not announce features for none."""

    caught_by = "shim/features-no-start"

    def start_none(self, daemon: socket.socket) -> None:
        if self.in_use is None:
            self.end_by(signal.SIGTERM)


class Spendthrift(BrokenShim):
    """Sends stdin without regard to its credit."""

    caught_by = "shim/stdin-credit"

    def feed(self, daemon: socket.socket) -> None:
        self.credit += 1000
        super().feed(daemon)


class NoCredit(BrokenShim):
    """Does not count what is granted later."""

    caught_by = "shim/stdin-much"

    def take_notification(self, daemon: socket.socket, method: str, params: Any) -> None:
        if method != "credit":
            super().take_notification(daemon, method, params)


class NoEnd(BrokenShim):
    """Does not tell the end of stdin."""

    caught_by = "shim/stdin-null"

    def notify(self, daemon: socket.socket, method: str, params: dict[str, Any]) -> None:
        if "eof" not in params:
            super().notify(daemon, method, params)


class LossyStdin(BrokenShim):
    """Repairs stdin that is not UTF-8."""

    caught_by = "shim/stdin-bytes"

    def notify(self, daemon: socket.socket, method: str, params: dict[str, Any]) -> None:
        if params.get("encoding"):
            data = base64.b64decode(params["data"])
            params = {"data": data.decode("utf-8", "ignore")}
        super().notify(daemon, method, params)


class NoPosition(BrokenShim):
    """Leaves a file on stdin where it stopped reading."""

    caught_by = "shim/stdin-position"

    def end(self, code: int, taken: Any) -> int:
        return super().end(code, None)


class ShowsBase64(BrokenShim):
    """Writes base64 as if it were text."""

    caught_by = "shim/base64-bytes"

    def decode(self, data: str, encoding: Any) -> bytes:
        return super().decode(data, None)


class AnyEncoding(BrokenShim):
    """Takes every encoding for text that it does not know."""

    caught_by = "shim/base64-unknown-encoding"

    def decode(self, data: str, encoding: Any) -> bytes:
        return super().decode(data, encoding if encoding == "base64" else None)


class LossyVariables(BrokenShim):
    """Repairs values that are not UTF-8."""

    caught_by = "shim/env-bytes"

    def environment(self) -> dict[str, Any]:
        return {name: os.environ[name].encode("utf-8", "replace").decode() for name in os.environ}


class LateDescriptors(BrokenShim):
    """Passes its descriptors with the second byte."""

    caught_by = "shim/fds-pipes"

    def send_first(self, daemon: socket.socket, line: bytes) -> None:
        daemon.sendall(line[:1])
        super().send_first(daemon, line[1:])


class PassesFiles(BrokenShim):
    """Passes whatever it has."""

    caught_by = "shim/fds-file-in"

    def __init__(self) -> None:
        super().__init__()
        self.relays.passed = [0, 1, 2]


class TwoDescriptors(BrokenShim):
    """Passes its stdout and stderr alone."""

    caught_by = "shim/fds-null"

    def __init__(self) -> None:
        super().__init__()
        self.relays.passed = [1, 2]


class TwoPipes(BrokenShim):
    """Relays one file through two pipes, so that the order between the streams is lost."""

    caught_by = "shim/fds-one-file-twice"

    def __init__(self) -> None:
        super().__init__()
        self.relays = _Apart()


class _Apart(Relays):
    def _interpose(self, number: int, made: dict[tuple[int, int], int]) -> int:
        return super()._interpose(number, {})


class DropsTheEnd(BrokenShim):
    """Leaves what is still in a relay when the command has ended."""

    caught_by = "shim/fds-last-words"

    def finish(self) -> None:
        return


class WaitsForTheEnd(BrokenShim):
    """Waits until nobody holds a relay any more."""

    caught_by = "shim/fds-child-left-behind"

    def finish(self) -> None:
        for descriptor in self.relays.readable():
            while os.read(descriptor, 65_536):
                pass
        super().finish()


class NeedsDescriptors(BrokenShim):
    """Has no streams left where the daemon does not use its descriptors."""

    caught_by = "shim/fds-left-out-with-files"

    def start(self, daemon: socket.socket, names: list[Any], credit: int) -> None:
        super().start(daemon, names, credit)
        if not self.uses("fds"):
            os.close(0)
            os.open(os.devnull, os.O_RDONLY)
