"""Asking a daemon by `check`: a decision without a run."""

from collections.abc import Sequence
from contextlib import closing
from typing import Any

from airlock_conformance.content import line_of
from airlock_conformance.conversation import Conversation
from airlock_conformance.setup import Installation
from airlock_conformance.violation import Violation


def ask(
    command: str, arguments: Sequence[Any], installation: Installation, *, patience: float
) -> dict[str, Any]:
    """Return the daemon's response to one `check` without a working directory.

    `arguments` are as on the wire. Raises `Violation` where there is no response, or one that the
    protocol does not have.
    """
    request = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "check",
        "params": {"command": command, "args": list(arguments)},
    }
    with closing(Conversation(installation.socket, patience=patience)) as conversation:
        conversation.send(line_of(request))
        conversation.await_close()
    if conversation.received.response is None:
        raise Violation("the daemon closed the connection without a response")
    return conversation.received.response
