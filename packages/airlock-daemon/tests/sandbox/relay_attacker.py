"""Runs in a box, behind `slow_closing`, and sends over the relay what no shim would.

SCRIPT calls the functions of both.
"""

import fcntl
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


def connect() -> tuple[socket.socket, socket.socket]:
    """A connection; the end that the daemon gets is kept open here too."""
    ours, theirs = socket.socketpair()
    send(theirs.fileno())
    return ours, theirs


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
    ours, theirs = connect()
    theirs.close()
    ours.sendall(ask("nothing"))
    message: str = answer(ours)["error"]["message"]
    return "does not speak" in message


def block(connection: socket.socket) -> None:
    """What the daemon made of its end is for everybody who has it."""
    flags = fcntl.fcntl(connection, fcntl.F_GETFL)
    fcntl.fcntl(connection, fcntl.F_SETFL, flags & ~os.O_NONBLOCK)
