"""Bridges' container ends that are wrong about one thing each.

Each class says in `caught_by` which case must fail for it. If the case passes, the case is blind.
"""

# ruff: noqa: ARG002, D102 -- each class says what its one method does otherwise

import socket

from broken import BrokenBridge
from reference_bridge import CREDIT, GREETING, HELLO, PONG, Fault, Stream


class GreetsLate(BrokenBridge):
    """Waits for the daemon's greeting before its own."""

    caught_by = "bridge/bridge-greets"

    def begin(self) -> None:
        pass

    def greet(self, payload: bytes) -> None:
        self.put(0, HELLO, GREETING)
        super().greet(payload)


class ListensOn(BrokenBridge):
    """Keeps the sockets that a later greeting leaves out."""

    caught_by = "bridge/bridge-listens-anew"

    def leave(self, names: list[str]) -> None:
        pass


class AnySocket(BrokenBridge):
    """Makes a socket at any path."""

    caught_by = "bridge/bridge-name-leads-out"

    def check_socket(self, name: str) -> None:
        pass


class AnyFile(BrokenBridge):
    """Writes a file to any path."""

    caught_by = "bridge/bridge-file-name-leads-out"

    def check_name(self, name: str) -> None:
        pass


class HiddenNames(BrokenBridge):
    """Takes names that begin with a dot."""

    caught_by = "bridge/bridge-hidden-name"

    def check_name(self, name: str) -> None:
        super().check_name(name.removeprefix("."))


class NumbersAgain(BrokenBridge):
    """Gives a new connection the number of one that is over."""

    caught_by = "bridge/bridge-numbers"

    def choose_number(self) -> int:
        return next(number for number in range(1, 9, 2) if number not in self.streams)


class IgnoresCredit(BrokenBridge):
    """Sends whatever a client sends."""

    caught_by = "bridge/bridge-credit"

    def may_send(self, stream: Stream) -> int:
        return 32768


class TakesTooMuch(BrokenBridge):
    """Lets the daemon send more than was granted."""

    caught_by = "bridge/bridge-credit-exceeded"

    def check_data(self, stream: Stream, payload: bytes) -> None:
        pass


class AnyCredit(BrokenBridge):
    """Takes a credit that nobody owes."""

    caught_by = "bridge/bridge-credit-not-owed"

    def grant(self, stream: Stream, count: int) -> None:
        stream.credit += count


class WaitsForSlow(BrokenBridge):
    """Waits until a client has taken everything."""

    caught_by = "bridge/bridge-slow-client"

    def deliver(self, stream: Stream) -> None:
        stream.client.setblocking(True)
        super().deliver(stream)


class EndsBoth(BrokenBridge):
    """Takes a half-close for the end of the connection."""

    caught_by = "bridge/bridge-half-close"

    def client_ended(self, stream: Stream) -> None:
        self.close(stream)


class DropsPending(BrokenBridge):
    """Forgets what waits for a client when the daemon closes."""

    caught_by = "bridge/bridge-close-delivers"

    def other_closed(self, stream: Stream) -> None:
        stream.pending.clear()


class AnswersNoClose(BrokenBridge):
    """Does not say that it has closed."""

    caught_by = "bridge/bridge-close-answered"

    def close(self, stream: Stream) -> None:
        stream.client.close()
        stream.has_closed = True


class LateIsFault(BrokenBridge):
    """Takes what was under way when it closed for a fault."""

    caught_by = "bridge/bridge-client-closes"

    def drop(self, stream: Stream) -> None:
        raise Fault("bytes came for a closed stream")


class ForgivesOver(BrokenBridge):
    """Ignores frames of streams that are over."""

    caught_by = "bridge/bridge-after-close"

    def refuse_stream(self, number: int) -> None:
        if number >= self.next_number:
            super().refuse_stream(number)


class EmptyPong(BrokenBridge):
    """Answers a long ping without its bytes."""

    caught_by = "bridge/bridge-ping"

    def answer(self, payload: bytes) -> bytes:
        return payload if len(payload) < 8 else b""


class WritesInPlace(BrokenBridge):
    """Lets a file be seen before it is whole."""

    caught_by = "bridge/bridge-file"

    def put(self, number: int, kind: int, payload: bytes = b"") -> None:
        if kind == CREDIT and self.file is not None:
            name, content = self.file
            (self.directory / name).write_bytes(content)
        super().put(number, kind, payload)


class WaitsForMore(BrokenBridge):
    """Takes an invalid head for the beginning of a long frame."""

    caught_by = "bridge/bridge-no-frame"

    def check_frame(self, kind: int, length: int) -> None:
        pass


class ObeysEarly(BrokenBridge):
    """Answers before it was greeted."""

    caught_by = "bridge/bridge-before-greeting"

    def too_early(self) -> None:
        self.put(0, PONG)


class AnyVersion(BrokenBridge):
    """Takes a greeting of another version."""

    caught_by = "bridge/bridge-other-version"

    def check_version(self, payload: bytes) -> None:
        pass


class SkipsUnknownKinds(BrokenBridge):
    """Ignores a frame of a kind that it does not know."""

    caught_by = "bridge/bridge-unknown-kind"

    def check_frame(self, kind: int, length: int) -> None:
        super().check_frame(min(kind, PONG), length)

    def obey_stream(self, number: int, kind: int, payload: bytes) -> None:
        if kind <= PONG:
            super().obey_stream(number, kind, payload)


class SkipsUnknownStreams(BrokenBridge):
    """Ignores a frame of a stream that was never opened."""

    caught_by = "bridge/bridge-unknown-stream"

    def refuse_stream(self, number: int) -> None:
        if number < self.next_number:
            super().refuse_stream(number)


class OutlivesDaemon(BrokenBridge):
    """Goes on when the daemon has ended."""

    caught_by = "bridge/bridge-stdin-ends"

    def stdin_ended(self) -> None:
        pass


class KeepsDescriptors(BrokenBridge):
    """Keeps the descriptors that a client sends."""

    caught_by = "bridge/bridge-descriptors"

    def take(self, stream: Stream, most: int) -> bytes:
        data, kept, _, _ = socket.recv_fds(stream.client, most, 8)
        _KEPT.extend(kept)
        return data


_KEPT: list[int] = []
