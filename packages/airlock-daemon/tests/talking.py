"""A client that uses features of the protocol, message by message."""

import base64
import json
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Self

from running import Daemon, Message, request

ALL = ("base64", "stdin", "signals", "tty", "exit-signal", "env", "fds")


class Talk:
    """One request with features, on its own connection, which the block closes."""

    def __init__(
        self,
        daemon: Daemon,
        script: str,
        features: Sequence[str] = (),
        *,
        descriptors: Sequence[int] = (),
        command: Sequence[str] = ("sh", "-c"),
        **more: Any,
    ) -> None:
        self._connection = daemon.connect()
        self._buffer = b""
        self.output = {"stdout": b"", "stderr": b""}
        self.answer: Message = {}
        line = request(*command, script, features=list(features), **more)
        if descriptors:
            socket.send_fds(self._connection, [line], list(descriptors))
        else:
            self._connection.sendall(line)

    def say(self, method: str, **params: Any) -> None:
        """Send a notification."""
        message = {"jsonrpc": "2.0", "method": method, "params": params}
        with suppress(BrokenPipeError):
            self._connection.sendall(json.dumps(message).encode() + b"\n")

    def type(self, data: bytes) -> None:
        """Send bytes for stdin."""
        self.say("stdin", data=base64.b64encode(data).decode(), encoding="base64")

    def next(self) -> Message | None:
        """The next message; None once the daemon has closed."""
        while b"\n" not in self._buffer:
            data = b""
            with suppress(ConnectionResetError):
                data = self._connection.recv(65536)
            if not data:
                return None
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        message: Message = json.loads(line)
        params = message.get("params", {})
        if message.get("method") == "output":
            text = params["data"]
            piece = base64.b64decode(text) if params.get("encoding") else text.encode()
            self.output[params["stream"]] += piece
        if "id" in message:
            self.answer = message
        return message

    def start(self) -> Message:
        """The params of `start`, which must be the next message."""
        message = self.next()
        assert message is not None
        assert message.get("method") == "start", message
        params = message["params"]
        assert isinstance(params, dict)
        return params

    def until(self, text: bytes, stream: str = "stdout") -> None:
        """Read until a stream contains the text."""
        while text not in self.output[stream]:
            assert self.next() is not None, self.output

    def finish(self) -> Message:
        """Read to the end; return the response."""
        while self.next() is not None:
            pass
        return self.answer

    @property
    def result(self) -> Message:
        """Read to the end; return the result."""
        answer = self.finish()
        assert "result" in answer, answer
        result = answer["result"]
        assert isinstance(result, dict)
        return result

    @property
    def error(self) -> Message:
        """Read to the end; return the error."""
        answer = self.finish()
        assert "error" in answer, answer
        error = answer["error"]
        assert isinstance(error, dict)
        return error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()


class Pipes:
    """Three pipes: the client's ends and the ends to pass."""

    def __init__(self) -> None:
        self.passed: list[int] = []
        self._own: list[int] = []
        for is_output in (False, True, True):
            reading, writing = os.pipe()
            self.passed.append(writing if is_output else reading)
            self._own.append(reading if is_output else writing)

    def let_go(self) -> None:
        """Close the passed ends, so that only the tool has them."""
        while self.passed:
            os.close(self.passed.pop())

    def write(self, data: bytes) -> None:
        """Write to stdin."""
        os.write(self._own[0], data)

    def end_input(self) -> None:
        """Close stdin."""
        os.close(self._own[0])
        self._own[0] = -1

    def read_some(self, number: int = 1) -> bytes:
        """The next bytes of an output, empty only at its end."""
        return os.read(self._own[number], 65536)

    def read(self, number: int = 1) -> bytes:
        """An output to its end."""
        data = b""
        while piece := os.read(self._own[number], 65536):
            data += piece
        return data

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go()
        for descriptor in self._own:
            if descriptor >= 0:
                os.close(descriptor)
