"""Shims with one fault each: the negative controls of the suite.

Each class says in `caught_by` which case must fail for it. If the case passes, the case is blind.
"""

# ruff: noqa: ARG002, D102 -- each class says what its one method does otherwise

import os
import socket
from collections.abc import Iterator, Sequence
from typing import Any

from broken import BrokenShim


class LossyArguments(BrokenShim):
    """Replaces bytes that are not UTF-8 in arguments."""

    caught_by = "shim/request-not-utf-8"

    def text(self, data: bytes) -> str | dict[str, str]:
        return data.decode("utf-8", "replace")


class JoinsArguments(BrokenShim):
    """Drops empty arguments."""

    caught_by = "shim/request-arguments"

    def request(self, words: Sequence[bytes]) -> dict[str, Any]:
        return super().request([word for word in words if word])


class NoDirectory(BrokenShim):
    """Does not say where it was called."""

    caught_by = "shim/request-least"

    def request(self, words: Sequence[bytes]) -> dict[str, Any]:
        request = super().request(words)
        del request["params"]["cwd"]
        return request


class PathForName(BrokenShim):
    """Names the command by the whole path of the link."""

    caught_by = "shim/request-least"

    def request(self, words: Sequence[bytes]) -> dict[str, Any]:
        request = super().request(words)
        request["params"]["command"] = os.fsdecode(words[0])
        return request


class ErrorsAreSuccess(BrokenShim):
    """Ends with 0 when the daemon refused."""

    caught_by = "shim/errors-denied"

    def fail(self, code: int, text: str, data: Any) -> int:
        super().fail(code, text, data)
        return 0


class UnknownIsDenied(BrokenShim):
    """Does not tell an unknown command from a denied one."""

    caught_by = "shim/released-unknown-command"

    def fail(self, code: int, text: str, data: Any) -> int:
        return super().fail(-32600, text, data)


class NeedsData(BrokenShim):
    """Cannot read an error without data."""

    caught_by = "shim/released-denied"

    def fail(self, code: int, text: str, data: Any) -> int:
        return super().fail(code, f"{text} ({data['kind']})", data)


class NeedsItsId(BrokenShim):
    """Waits for a response with the id of its request."""

    caught_by = "shim/released-id-zero"

    def take(self, daemon: socket.socket, message: dict[str, Any]) -> int | None:
        return super().take(daemon, message) if message.get("id", 1) == 1 else None


class NoPrefix(BrokenShim):
    """Prints the daemon's words as if they were the tool's."""

    caught_by = "shim/errors-denied"

    def say(self, text: str) -> None:
        self.write(2, f"{text}\n".encode())


class SteersTheTerminal(BrokenShim):
    """Prints control characters of an error message as they are."""

    caught_by = "shim/errors-control-characters"

    def say(self, text: str) -> None:
        self.write(2, f"airlock: {text}\n".encode())


class LostIsSuccess(BrokenShim):
    """Ends with 0 when the connection is lost."""

    caught_by = "shim/connection-closed-after-output"

    def lost(self) -> int:
        return 0


class OutputAtTheEnd(BrokenShim):
    """Writes the output only when the response has come."""

    caught_by = "shim/output-at-once"

    def messages(self, daemon: socket.socket) -> Iterator[dict[str, Any]]:
        held = []
        for message in super().messages(daemon):
            held.append(message)
            if "method" not in message:
                yield from held


class OneStream(BrokenShim):
    """Writes both streams to stdout."""

    caught_by = "shim/output-both-streams"

    def write(self, descriptor: int, data: bytes) -> None:
        super().write(1, data)


class LineByRead(BrokenShim):
    """Takes each read from the socket for whole messages."""

    caught_by = "shim/output-byte-by-byte"

    def messages(self, daemon: socket.socket) -> Iterator[dict[str, Any]]:
        while data := daemon.recv(65_536):
            yield from map(self.parse, data.splitlines())


class OutlivesStdout(BrokenShim):
    """Goes on reading when nobody reads its stdout any more."""

    caught_by = "shim/connection-closed-stdout"

    def write(self, descriptor: int, data: bytes) -> None:
        if descriptor == 2:
            super().write(descriptor, data)


class NoWords(BrokenShim):
    """Ends without a word where there is no daemon."""

    caught_by = "shim/connection-missing-socket"

    def say(self, text: str) -> None:
        return


class AlwaysAdvisesToMount(BrokenShim):
    """Sends a person whose daemon has stopped to make the container again."""

    caught_by = "shim/connection-dead-socket"

    def say(self, text: str) -> None:
        super().say(f"{text}; mount the socket's directory")
