"""Asking the running daemon what it would decide."""

import os
import socket

import msgspec

from airlock_daemon.errors import AirlockError
from airlock_wire import (
    NEED_DATA,
    ClientSession,
    Decision,
    ErrorResponse,
    ProtocolError,
    Request,
    quote,
)

ANSWER_S = 30


class Answer(msgspec.Struct, frozen=True):
    """What a daemon says to a check: `message` is None where it allows.

    `message` and `layer` are the daemon's own words, which nobody has looked at yet.
    """

    message: str | None = None
    layer: str | None = None


def is_served(path: str) -> bool:
    """Whether something accepts connections at the socket `path`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        return _connect(connection, path)


def ask_daemon(path: str, command: str, args: tuple[str, ...]) -> Answer | None:
    """What the daemon at the socket `path` answers; None when there is none.

    Raises AirlockError for one that answers with anything but a decision.
    """
    session = ClientSession()
    request = Request(id=1, method="check", command=command, args=args, cwd=None)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_S)
        if not _connect(connection, path):
            return None
        try:
            connection.sendall(session.send_request(request))
            while (event := session.next_event()) is NEED_DATA:
                session.receive_data(connection.recv(65536))
        except (OSError, ProtocolError) as error:
            raise AirlockError(
                f"the daemon at {path} gave no answer: {quote(str(error))}",
                hint="look at its messages",
            ) from error
    if isinstance(event, Decision):
        return Answer()
    if isinstance(event, ErrorResponse):
        data = event.error.data
        return Answer(event.error.message, data.layer if data else None)
    raise AirlockError(f"the daemon at {path} answered a check with something else")


def _connect(connection: socket.socket, path: str) -> bool:
    """Connect to the socket `path`, however long that is; False where nothing listens there."""
    try:
        directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # An address has 107 bytes at most; Linux has a short name for an open directory.
        short = f"/proc/self/fd/{directory}"
        name = os.path.basename(path)
        connection.connect(os.path.join(short, name) if os.path.isdir(short) else path)
    except OSError:
        return False
    finally:
        os.close(directory)
    return True
