"""Runs in a box, behind `slow_closing`, and sends over the relay what no shim would.

SCRIPT calls the functions of both.
"""

import fcntl  # noqa: F401 - for SCRIPT
import json
import os
import signal  # noqa: F401 - for SCRIPT
import socket
import sys  # noqa: F401 - for SCRIPT
from typing import Any

RELAY = int(os.environ["AIRLOCK_RELAY"])
relay = socket.socket(fileno=os.dup(RELAY))


def send(*numbers: int, word: bytes = b"x") -> None:
    socket.send_fds(relay, [word], numbers)


def connect() -> socket.socket:
    """A connection, as the daemon gives it."""
    send()
    return take()


def take() -> socket.socket:
    _, (number,), _, _ = socket.recv_fds(relay, 16, 1)
    return socket.socket(fileno=number)


def ask(*words: str, **more: object) -> bytes:
    params = {"command": "git-remote", "args": [*words], **more}
    request = {"jsonrpc": "2.0", "id": 1, "method": "exec", "params": params}
    return json.dumps(request).encode() + b"\n"


def answer(connection: socket.socket) -> Any:
    """The last message."""
    data = b""
    while chunk := connection.recv(65536):
        data += chunk
    return json.loads(data.splitlines()[-1])


def works() -> bool:
    """Whether an honest request is answered, in the words of a refusal."""
    connection = connect()
    connection.sendall(ask("nothing"))
    message: str = answer(connection)["error"]["message"]
    return "does not speak" in message
