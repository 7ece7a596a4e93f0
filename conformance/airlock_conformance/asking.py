"""Asking a daemon by `check`: a decision without a run."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

from airlock_conformance.checks import Checks
from airlock_conformance.content import line_of
from airlock_conformance.conversation import Conversation
from airlock_conformance.setup import Installation
from airlock_conformance.violation import Violation


def ask(
    command: str,
    arguments: Sequence[Any],
    installation: Installation,
    *,
    patience: float,
    checks: Checks,
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
    conversation = Conversation(installation.socket, patience=patience, checks=checks)
    with closing(conversation):
        conversation.send(line_of(request))
        conversation.await_close()
    if conversation.received.response is None:
        raise Violation("the daemon closed the connection without a response")
    return conversation.received.response


def decision_of(response: Mapping[str, Any]) -> str:
    """Return what a daemon decided, in a few words."""
    match response:
        case {"result": {"decision": str(decision)}}:
            return decision
        case {"error": {"code": -32600, "data": {"layer": str(layer)}}}:
            return f"refused by the layer {layer}"
        case {"error": {"code": -32600}}:
            return "denied"
        case {"error": {"code": -32601}}:
            return "an unknown command"
        case {"error": {"code": int(code)}}:
            return f"an error {code}"
    return "answered otherwise"
