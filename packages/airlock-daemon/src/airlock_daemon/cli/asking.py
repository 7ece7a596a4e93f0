"""Asking the running daemon what it would decide."""

import socket

import msgspec

from airlock_daemon.errors import LOOK_AT_MESSAGES, AirlockError
from airlock_daemon.setup.sockets import connect
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


def ask_daemon(path: str, command: str, args: tuple[str, ...]) -> Answer | None:
    """What the daemon at the socket `path` answers; None when there is none.

    Raises AirlockError for one that answers with anything but a decision.
    """
    session = ClientSession()
    request = Request(id=1, method="check", command=command, args=args, cwd=None)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_S)
        try:
            if not connect(connection, path):
                return None
            connection.sendall(session.send_request(request))
            while (event := session.next_event()) is NEED_DATA:
                session.receive_data(connection.recv(65536))
        except (OSError, ProtocolError) as error:
            raise AirlockError(
                f"the daemon at {path} gave no answer: {quote(str(error))}",
                hint=LOOK_AT_MESSAGES,
            ) from error
    if isinstance(event, Decision):
        return Answer()
    if isinstance(event, ErrorResponse):
        data = event.error.data
        return Answer(event.error.message, data.layer if data else None)
    raise AirlockError(
        f"the daemon at {path} answered a check with something else", hint=LOOK_AT_MESSAGES
    )
