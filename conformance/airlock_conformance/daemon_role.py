"""The suite as a client: the cases of a daemon."""

from collections.abc import Mapping
from contextlib import closing
from typing import Any

from airlock_conformance.content import encode, substitute
from airlock_conformance.conversation import Conversation
from airlock_conformance.fifo import Fifos
from airlock_conformance.matching import differences
from airlock_conformance.received import Received, Stream
from airlock_conformance.setup import Installation
from airlock_conformance.violation import Violation, require_none

_STREAMS: tuple[Stream, ...] = ("stdout", "stderr")


def run_daemon_case(
    body: Mapping[str, Any], installation: Installation, *, patience: float
) -> None:
    """Take the steps of a case against a running daemon and require what it expects.

    `body` has the members ``steps`` and ``expect`` of a case file. Raises `Violation`.
    """
    written = substitute(dict(body), {"state": str(installation.state)})
    with closing(Fifos(installation.state)) as fifos:
        _converse(written, installation, fifos, patience=patience)


def _converse(
    body: Mapping[str, Any], installation: Installation, fifos: Fifos, *, patience: float
) -> None:
    expect = body["expect"]
    with closing(Conversation(installation.socket, patience=patience)) as conversation:
        for step in body["steps"]:
            ((name, value),) = step.items()
            match name:
                case "open_gate":
                    fifos.open_gate(value)
                case "watch":
                    fifos.watch(value)
                case "await_release":
                    fifos.await_release(value, patience=patience)
                case "on_another_connection":
                    _converse(value, installation, fifos, patience=patience)
                case _:
                    _act(conversation, name, value)
        if "response" in expect:
            conversation.await_close()
    _require_answer(expect, conversation.received)
    _require_files(expect.get("files", {}), installation)


def _act(conversation: Conversation, name: str, value: Any) -> None:
    match name:
        case "send":
            conversation.send(encode(value))
        case "send_each_byte":
            conversation.send_each_byte(encode(value))
        case "half_close":
            conversation.half_close()
        case "hang_up":
            conversation.close()
        case "await_output":
            for stream in _STREAMS:
                if stream in value:
                    conversation.await_output(stream, encode(value[stream]).decode())
        case _:
            raise ValueError(f"{name} is no step of a daemon case")


def _require_answer(expect: Mapping[str, Any], received: Received) -> None:
    found: list[str] = []
    if "response" in expect:
        pattern, response = expect["response"], received.response
        if pattern is not None and response is None:
            raise Violation("the daemon closed the connection without a response")
        found += differences(pattern, response, at="response")
    for stream in _STREAMS:
        if stream in expect:
            text = encode(expect[stream]).decode()
            found += differences(text, received.output[stream], at=stream)
    require_none(found)


def _require_files(expect: Mapping[str, Any], installation: Installation) -> None:
    for name in expect.get("present", ()):
        if not (installation.state / name).exists():
            raise Violation(f"the tool did not run: it left no file {name!r}")
    for name in expect.get("absent", ()):
        if (installation.state / name).exists():
            raise Violation(f"the tool ran: it left a file {name!r}")
