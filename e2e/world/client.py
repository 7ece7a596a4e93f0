"""A connection of a client that may misbehave."""

import array
import base64
import json
import os
import select
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Self

from .errors import PATIENCE_S, BrokenError

Message = dict[str, Any]


class Client:
    """A connection to an agent's socket. The caller must `close` it, which hangs up."""

    def __init__(self, path: str | os.PathLike[str], *, small: bool = False) -> None:
        """Connect; `small` requests the kernel's smallest buffers."""
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        if small:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        self.has_spoken = False
        self._received = bytearray()
        self._output = ""
        self._is_ended = False
        try:
            # Without a timeout: otherwise a full backlog is an error (connect(2), EAGAIN).
            self.socket.connect(os.fspath(path))
        except BaseException:
            self.socket.close()
            raise
        self.socket.settimeout(PATIENCE_S)

    def send(self, data: bytes, descriptors: Sequence[int] = ()) -> bool:
        """Send all of `data`, descriptors with its first byte; return False if the daemon closed.

        Raises OSError and sends nothing for a descriptor that the kernel does not pass.
        """
        try:
            if descriptors:
                rights = array.array("i", descriptors)
                ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)]
                sent = self.socket.sendmsg([data], ancillary)
                data = data[sent:]
            self.has_spoken = True
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        except TimeoutError:
            raise BrokenError("the daemon does not read what a client sends") from None
        return True

    def push(self, data: bytes) -> int:
        """Send what fits without blocking; return the number of bytes, -1 if the daemon closed."""
        self.has_spoken = True
        self.socket.settimeout(0)
        try:
            return self.socket.send(data)
        except BlockingIOError:
            return 0
        except (BrokenPipeError, ConnectionResetError):
            return -1
        finally:
            self.socket.settimeout(PATIENCE_S)

    def take(self, count: int = 65536) -> bytes:
        """Receive at most `count` bytes, waiting for some; empty at the end."""
        try:
            data = self.socket.recv(count)
        except ConnectionResetError:
            data = b""
        except TimeoutError:
            raise BrokenError(f"nothing came, after {bytes(self._received[-300:])!r}") from None
        self._is_ended = not data
        return data

    def next_message(self) -> Message | None:
        """Wait for the next message and return it; None at the end."""
        while (end := self._received.find(b"\n")) < 0:
            if self._is_ended:
                return None
            self._received += self.take()
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        try:
            message = json.loads(line)
        except ValueError:
            raise BrokenError(f"the daemon sent what is no JSON: {line[:300]!r}") from None
        if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
            raise BrokenError(f"the daemon sent what is no message: {line[:300]!r}")
        return message

    def await_message(self, wanted: Callable[[Message], bool]) -> Message:
        """Return the first message that is `wanted`; raises BrokenError if none comes."""
        seen = []
        while (message := self.next_message()) is not None:
            if wanted(message):
                return message
            seen.append(message)
        raise BrokenError(f"the connection ended without what was awaited, after {seen[-3:]}")

    def await_output(self, text: str) -> None:
        """Wait until the output so far, of any stream, contains `text`."""

        def is_there(message: Message) -> bool:
            self._output += _read_output(message)
            return text in self._output

        if text not in self._output:
            self.await_message(is_there)

    def await_start(self, *features: str) -> Message:
        """Wait for `start`, which must list `features`, and return its params."""
        message = self.next_message()
        params = (message or {}).get("params")
        if message is None or message.get("method") != "start" or not isinstance(params, dict):
            raise BrokenError(f"a start with {features} was awaited, and {message} came")
        if not set(features) <= set(params["features"]):
            raise BrokenError(f"features {features} are missing in {params}")
        return params

    def await_response(self) -> Message:
        """Return the response, the last message; raises BrokenError if there is none."""
        return self.await_message(lambda message: "result" in message or "error" in message)

    def await_error(self, code: int) -> Message:
        """Return the daemon's error response; raises BrokenError for anything else."""
        response = self.await_response()
        error = response.get("error")
        if not isinstance(error, dict) or error.get("code") != code:
            raise BrokenError(f"error {code} was awaited, and {str(response)[:500]} came")
        return error

    def await_result(self) -> Message:
        """Return the result; raises BrokenError for anything else."""
        response = self.await_response()
        result = response.get("result")
        if not isinstance(result, dict):
            raise BrokenError(f"a result was awaited, and {str(response)[:500]} came")
        return result

    def await_end(self) -> None:
        """Wait until the daemon closes, ignoring what it sends before."""
        while self.next_message() is not None:
            pass

    def half_close(self) -> None:
        """Close the sending half."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def has_news(self) -> bool:
        """Return whether there is unread data, or an unread end."""
        return bool(select.select([self.socket], [], [], 0)[0])

    def close(self) -> None:
        """Hang up."""
        self.socket.close()

    def __enter__(self) -> Self:
        """Return the connection; the block's end closes it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Hang up."""
        self.close()


def _read_output(message: Message) -> str:
    params = message["params"] if message.get("method") == "output" else {"data": ""}
    if params.get("encoding") == "base64":
        return base64.b64decode(params["data"]).decode(errors="replace")
    return str(params["data"])
