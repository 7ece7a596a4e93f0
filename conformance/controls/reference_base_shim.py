"""The part of the reference shim that knows the base of the protocol."""

# ruff: noqa: ARG002 -- some arguments are there for the shim with features, which overrides more

import base64
import errno
import json
import os
import signal
import socket
from collections.abc import Iterator, Sequence
from typing import Any

from reference_signals import die

_CHUNK = 65_536
_STREAMS = {"stdout": 1, "stderr": 2}
_LOST = 125
_DENIED = 126
_UNKNOWN_COMMAND = 127


class BrokenAnswerError(Exception):
    """What the daemon sent is no message of the protocol, or it ended too early."""


class BaseShim:
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
                    status = self.take(daemon, message)
                    if status is not None:
                        self.finish()
                        return status
            except BrokenAnswerError as error:
                self.say(str(error))
            finally:
                self.restore()
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
        line = json.dumps(request, ensure_ascii=False).encode() + b"\n"
        try:
            self.send_first(daemon, line)
        except (BrokenPipeError, ConnectionResetError):
            return

    def send_first(self, daemon: socket.socket, line: bytes) -> None:
        """Send the request line."""
        daemon.sendall(line, socket.MSG_NOSIGNAL)

    def messages(self, daemon: socket.socket) -> Iterator[dict[str, Any]]:
        """Yield the daemon's messages; raises `BrokenAnswerError` where they end or break."""
        received = bytearray()
        while True:
            self.attend(daemon)
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

    def attend(self, daemon: socket.socket) -> None:
        """Do what is to be done until the daemon has something to say."""

    def parse(self, line: bytes) -> dict[str, Any]:
        """Return the message that a line is."""
        try:
            message = json.loads(line)
        except ValueError as error:
            raise BrokenAnswerError("the daemon sent a line that is not JSON") from error
        if not isinstance(message, dict):
            raise BrokenAnswerError("the daemon sent a line that is no message")
        return message

    def take(self, daemon: socket.socket, message: dict[str, Any]) -> int | None:
        """Do what a message says; return the exit status if it is the response."""
        match message:
            case {"error": {"code": int(code), "message": str(text), **more}}:
                return self.fail(code, text, more.get("data"))
            case {"result": {"exit_code": int(code), **rest}}:
                return self.end(code, rest.get("stdin_bytes"))
            case {"method": str(method)}:
                self.take_notification(daemon, method, message.get("params"))
                return None
        raise BrokenAnswerError("the daemon sent something that is no message of the protocol")

    def take_notification(self, daemon: socket.socket, method: str, params: Any) -> None:
        """Do what a message says that is no response; others than these are ignored."""
        match method, params:
            case "output", {"stream": "stdout" | "stderr" as stream, "data": str(data), **rest}:
                self.write(_STREAMS[stream], self.decode(data, rest.get("encoding")))
            case "output", _:
                raise BrokenAnswerError("the daemon sent output that is none")

    def decode(self, data: str, encoding: Any) -> bytes:
        """Return the bytes of a piece of output."""
        return data.encode("utf-8", "replace")

    def end(self, code: int, taken: Any) -> int:
        """Return the exit status of a command that has ended, having `taken` so much of stdin."""
        return code

    def finish(self) -> None:
        """Do what is left once the response has come."""

    def restore(self) -> None:
        """Put back what must not stay changed, however the shim ends."""

    def end_by(self, number: signal.Signals) -> None:
        """End as the signal ends a process that does not handle it."""
        self.restore()
        die(number)

    def write(self, descriptor: int, data: bytes) -> None:
        """Write output at once; end as by SIGPIPE where nobody reads it."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        except BrokenPipeError:
            self.end_by(signal.SIGPIPE)
        except OSError as error:
            # The interpreter may have taken a descriptor that was closed for a file of its own.
            if error.errno != errno.EBADF:
                raise

    def fail(self, code: int, text: str, data: Any) -> int:
        """Print an error and return the exit status for it."""
        self.restore()
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
