#!/usr/bin/env python3
"""A small shim that keeps to the protocol: the positive control of the suite.

It is called through a link of the tool's name, with the socket in AIRLOCK_SOCKET.
"""

import base64
import errno
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from typing import Any

_CHUNK = 65_536
_STREAMS = {"stdout": 1, "stderr": 2}
_LOST = 125
_DENIED = 126
_UNKNOWN_COMMAND = 127


class BrokenAnswerError(Exception):
    """What the daemon sent is no message of the protocol, or it ended too early."""


class ReferenceShim:
    """One call. Its methods are the steps that a broken shim does otherwise."""

    def call(self, words: Sequence[bytes], path: str) -> int:
        """Send the command line to the daemon, relay its answer, and return the exit status."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as daemon:
            try:
                daemon.connect(path)
            except OSError as error:
                self.say(f"no daemon at {path}: {error.strerror}")
                return _LOST
            try:
                self.send(daemon, self.request(words))
                for message in self.messages(daemon):
                    status = self.take(message)
                    if status is not None:
                        return status
            except BrokenAnswerError as error:
                self.say(str(error))
            return self.lost()

    def request(self, words: Sequence[bytes]) -> dict[str, Any]:
        """Return the request of a command line."""
        params = {
            "command": os.fsdecode(os.path.basename(words[0])),
            "args": [self.text(word) for word in words[1:]],
            "cwd": self.text(os.getcwdb()),
            "container_id": None,
        }
        return {"jsonrpc": "2.0", "id": 1, "method": "exec", "params": params}

    def text(self, data: bytes) -> str | dict[str, str]:
        """Return an argument as it stands in a request."""
        try:
            return data.decode()
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(data).decode()}

    def send(self, daemon: socket.socket, request: dict[str, Any]) -> None:
        """Send the request, as far as the daemon takes it: its answer may come early."""
        try:
            line = json.dumps(request, ensure_ascii=False).encode() + b"\n"
            daemon.sendall(line, socket.MSG_NOSIGNAL)
        except (BrokenPipeError, ConnectionResetError):
            return

    def messages(self, daemon: socket.socket) -> Iterator[dict[str, Any]]:
        """Yield the daemon's messages; raises `BrokenAnswerError` where they end or break."""
        received = bytearray()
        while True:
            try:
                data = daemon.recv(_CHUNK)
            except ConnectionResetError:
                data = b""
            if not data:
                raise BrokenAnswerError("the connection to the daemon was lost")
            received += data
            if b"\n" in data:
                *lines, rest = received.split(b"\n")
                received = bytearray(rest)
                yield from (self.parse(bytes(line)) for line in lines)

    def parse(self, line: bytes) -> dict[str, Any]:
        """Return the message that a line is."""
        try:
            message = json.loads(line)
        except ValueError as error:
            raise BrokenAnswerError("the daemon sent a line that is not JSON") from error
        if not isinstance(message, dict):
            raise BrokenAnswerError("the daemon sent a line that is no message")
        return message

    def take(self, message: dict[str, Any]) -> int | None:
        """Do what a message says; return the exit status if it is the response."""
        match message:
            case {"method": "output", "params": {"stream": str(stream), "data": str(data)}}:
                self.write(_STREAMS[stream], data.encode("utf-8", "replace"))
                return None
            case {"error": {"code": int(code), "message": str(text), **more}}:
                return self.fail(code, text, more.get("data"))
            case {"result": {"exit_code": int(code)}}:
                return code
            case {"method": str(method)} if method != "output":
                return None
        raise BrokenAnswerError("the daemon sent something that is no message of the protocol")

    def write(self, descriptor: int, data: bytes) -> None:
        """Write output at once."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        except OSError as error:
            # The interpreter may have taken a descriptor that was closed for a file of its own.
            if error.errno != errno.EBADF:
                raise

    def fail(self, code: int, text: str, data: Any) -> int:
        """Print an error and return the exit status for it."""
        self.say(text)
        if isinstance(data, dict) and isinstance(data.get("hint"), str):
            self.say(f"hint: {data['hint']}")
        return {-32601: _UNKNOWN_COMMAND, -32603: _LOST}.get(code, _DENIED)

    def say(self, text: str) -> None:
        """Print a line of the shim's own, with nothing in it that steers a terminal."""
        shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
        self.write(2, f"airlock: {shown}\n".encode())

    def lost(self) -> int:
        """Return the exit status where no response came."""
        return _LOST


def open_missing_descriptors() -> None:
    """Put /dev/null where 0, 1 or 2 is closed, before a socket takes its place."""
    descriptor = os.open(os.devnull, os.O_RDWR)
    while descriptor < 2:
        descriptor = os.dup(descriptor)
    if descriptor > 2:
        os.close(descriptor)


def main(kind: type[ReferenceShim] = ReferenceShim) -> None:
    """Be the tool of the link's name."""
    open_missing_descriptors()
    for number in (signal.SIGPIPE, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    words = [os.fsencode(word) for word in sys.argv]
    # Not sys.exit: the interpreter would flush streams that may never have been open.
    os._exit(kind().call(words, os.environ["AIRLOCK_SOCKET"]))


if __name__ == "__main__":
    main()
