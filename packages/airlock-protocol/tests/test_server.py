"""The daemon's side of a connection."""

import json
from typing import Any

import msgspec
import pytest

from airlock_wire import (
    NEED_DATA,
    ErrorObject,
    HalfClosed,
    Limits,
    Line,
    LocalProtocolError,
    RemoteProtocolError,
    Request,
    ServerSession,
    StdinData,
)

EXEC = Request(id=7, method="exec", command="git", args=("push",))
CHECK = Request(id="c", method="check", command="git", args=())


def open_session(request: Request = EXEC, **limits: int) -> ServerSession:
    session = ServerSession(limits=Limits(**limits))
    session.receive_data(request.encode())
    assert session.next_event() == request
    return session


def refusal(session: ServerSession) -> ErrorObject:
    with pytest.raises(RemoteProtocolError) as caught:
        session.next_event()
    return caught.value.error


def test_a_request_comes_once() -> None:
    """After the request there is nothing until the client closes its half."""
    session = open_session()
    assert session.request_id == 7
    assert session.next_event() is NEED_DATA
    session.receive_data(b"")
    assert session.next_event() == HalfClosed()
    assert session.next_event() == HalfClosed()


def test_data_after_the_end_is_our_own_mistake() -> None:
    """Nothing can be received after end of file."""
    session = ServerSession()
    session.receive_data(b"")
    session.receive_data(b"")
    with pytest.raises(LocalProtocolError):
        session.receive_data(b"x")


def test_bytes_that_are_not_read_are_not_kept() -> None:
    """After a request or a refusal a client can send anything without filling memory."""
    refused = ServerSession(limits=Limits(request_bytes=10))
    refused.receive_data(b"x" * 11)
    refusal(refused)
    unread = ServerSession()
    unread.receive_data(EXEC.encode())
    for session in (refused, unread, open_session()):
        for _ in range(64):
            session.receive_data(b"\n" + bytes(65536))
        assert len(session._reader._buffer) <= len(EXEC.encode())


def test_what_follows_a_request_at_once_is_no_message() -> None:
    """However long it is: it was sent before the start."""
    request = msgspec.structs.replace(EXEC, features=("stdin",))
    session = ServerSession(limits=Limits(request_bytes=len(request.encode())))
    session.receive_data(request.encode() + b"x" * 1000)
    assert session.next_event() == request
    session.send_start(("stdin",), stdin_credit=8)
    assert session.next_event() is NEED_DATA
    session.receive_data(b'{"jsonrpc":"2.0","method":"stdin","params":{"data":"x"}}\n')
    assert session.next_event() == StdinData(data=b"x")


def test_a_refusal_is_said_again() -> None:
    """Nothing more is read from a client that broke the protocol."""
    session = ServerSession()
    session.receive_data(b"[]\n")
    first = refusal(session)
    session.receive_data(EXEC.encode())
    assert refusal(session) == first


def answers(data: Line) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.splitlines()]


def test_an_error_may_come_after_output() -> None:
    """A command that is ended from outside is answered with an error."""
    session = open_session()
    session.send_output("stdout", b"\xe2")
    sent = answers(session.send_error(ErrorObject.failed("the daemon is stopping")))
    assert sent[0]["params"] == {"stream": "stdout", "data": "\ufffd"}
    assert sent[1] == {
        "jsonrpc": "2.0",
        "id": 7,
        "error": {
            "code": -32603,
            "message": "the daemon is stopping",
            "data": {"kind": "failed"},
        },
    }


def answer(session: ServerSession, name: str) -> Line:
    match name:
        case "output":
            return session.send_output("stdout", b"x")
        case "result":
            return session.send_result(0)
        case "decision":
            return session.send_decision()
        case _:
            return session.send_error(ErrorObject.failed("x"))


@pytest.mark.parametrize("again", ["output", "result", "decision", "error"])
@pytest.mark.parametrize(
    ("request_", "name"), [(EXEC, "result"), (CHECK, "decision"), (EXEC, "error")]
)
def test_nothing_follows_the_response(request_: Request, name: str, again: str) -> None:
    """Each way to send fails after an answer."""
    session = open_session(request_)
    answer(session, name)
    with pytest.raises(LocalProtocolError, match="answered already"):
        answer(session, again)


def test_answers_fit_the_method() -> None:
    """A `check` has no output and no exit status, an `exec` no decision, and silence neither."""
    for session in (ServerSession(), open_session(CHECK)):
        with pytest.raises(LocalProtocolError, match="no exec request"):
            session.send_output("stdout", b"x")
        with pytest.raises(LocalProtocolError, match="no exec request"):
            session.send_result(0)
    for session in (ServerSession(), open_session()):
        with pytest.raises(LocalProtocolError, match="no check request"):
            session.send_decision()
