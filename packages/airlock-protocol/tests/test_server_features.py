"""A command with features, seen from the daemon: `ServerSession` from its start on."""

import json
from collections.abc import Callable
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock_wire import (
    FEATURES,
    NEED_DATA,
    ErrorObject,
    HalfClosed,
    Limits,
    Line,
    LocalProtocolError,
    RemoteProtocolError,
    Request,
    Resize,
    ServerSession,
    Signal,
    StdinData,
    StdinEnd,
    Terminal,
)

TERMINAL = Terminal(stdin=True, stdout=True, stderr=True, rows=24, cols=80)
ASKING = Request(
    id=7,
    method="exec",
    command="git",
    args=(),
    features=FEATURES,
    terminal=TERMINAL,
    env={"A": "b"},
)
STREAMED = frozenset(FEATURES) - {"fds"}

INT = b'{"jsonrpc":"2.0","method":"signal","params":{"name":"SIGINT"}}\n'
SIZE = b'{"jsonrpc":"2.0","method":"resize","params":{"rows":1,"cols":2}}\n'
DATA = b'{"jsonrpc":"2.0","method":"stdin","params":{"data":"yes"}}\n'
SAID = INT + SIZE + DATA


def open_session(request: Request = ASKING, **limits: int) -> ServerSession:
    session = ServerSession(limits=Limits(**limits))
    session.receive_data(request.encode())
    assert session.next_event() == request
    return session


def start(*features: str, credit: int = 10) -> ServerSession:
    session = open_session()
    session.send_start(features, stdin_credit=credit if "stdin" in features else 0)
    return session


def hear(session: ServerSession) -> list[object]:
    events: list[object] = []
    while (event := session.next_event()) is not NEED_DATA:
        events.append(event)
    return events


def answer(line: Line) -> dict[str, Any]:
    message = json.loads(line)
    assert isinstance(message, dict)
    return message


def refusal(session: ServerSession) -> ErrorObject:
    with pytest.raises(RemoteProtocolError) as caught:
        session.next_event()
    return caught.value.error


@pytest.mark.parametrize(
    "features", [some for n in range(1, 7) for some in combinations(sorted(STREAMED), n)]
)
def test_each_set_of_features_adds_its_own_alone(features: tuple[str, ...]) -> None:
    """Whatever is in use beside it, a feature does what it does, and one not in use nothing."""
    session = start(*features)
    session.receive_data(SAID)
    session.receive_data(b"")
    said = {"signals": Signal(name="SIGINT"), "tty": Resize(rows=1, cols=2)}
    expected = [said[name] for name in ("signals", "tty") if name in features]
    if "stdin" in features:
        expected += [StdinData(data=b"yes"), StdinEnd()]
    assert hear(session) == [*expected, HalfClosed()]
    output = answer(session.send_output("stdout", b"\xff"))["params"]
    exact = {"stream": "stdout", "encoding": "base64", "data": "/w=="}
    assert output == (exact if "base64" in features else {"stream": "stdout", "data": "\ufffd"})
    result = answer(session.send_result(137, signal="SIGKILL", stdin_bytes=3))["result"]
    members = {"exit-signal": ("signal", "SIGKILL"), "stdin": ("stdin_bytes", 3)}
    more = dict(member for name, member in members.items() if name in features)
    assert result == {"exit_code": 137} | more


def test_with_descriptors_no_stdout_passes() -> None:
    """The tool has the client's own; signals and the exit signal still do."""
    session = start("fds", "signals", "exit-signal")
    with pytest.raises(LocalProtocolError, match="fds is in use"):
        session.send_output("stdout", b"x")
    # A broker's program has the daemon's own stderr.
    said = answer(session.send_output("stderr", b"x"))["params"]
    assert said == {"stream": "stderr", "data": "x"}
    session.receive_data(SAID)
    assert hear(session) == [Signal(name="SIGINT")]
    assert answer(session.send_result(130, signal="SIGINT"))["result"]["signal"] == "SIGINT"


def test_a_result_leaves_out_what_is_not_known() -> None:
    """A command that no signal ended has none, and a count may be missing."""
    assert answer(start("exit-signal", "stdin").send_result(0))["result"] == {"exit_code": 0}
    sent = answer(start("stdin").send_result(0, stdin_bytes=0))
    assert sent["result"] == {"exit_code": 0, "stdin_bytes": 0}


@given(pieces=st.lists(st.binary(min_size=1, max_size=4)))
def test_exact_output_holds_nothing_back(pieces: list[bytes]) -> None:
    """Nothing is left to send with the response, wherever characters were cut."""
    session = start("base64")
    for piece in pieces:
        assert session.send_output("stderr", piece)
    assert session.send_result(0).count(b"\n") == 1


def test_what_comes_before_the_start_is_dropped() -> None:
    """A client that did not wait cannot count on being heard, and costs no memory."""
    session = ServerSession()
    session.receive_data(ASKING.encode() + INT)
    session.next_event()
    for _ in range(64):
        session.receive_data(bytes(65536))
    session.send_start({"signals"})
    session.receive_data(INT)
    assert hear(session) == [Signal(name="SIGINT")]


def test_a_client_that_closed_before_the_start_has_said_all() -> None:
    """Its stdin is empty, and it is still there."""
    session = open_session()
    session.receive_data(b"")
    session.send_start({"stdin"}, stdin_credit=1)
    assert hear(session) == [StdinEnd(), HalfClosed()]


def test_a_start_without_features_leaves_the_base() -> None:
    """What the client sends is dropped unread, and its end is told as in the base."""
    session = start()
    session.receive_data(INT + b"garbage\n" * 10)
    assert session.next_event() is NEED_DATA
    session.receive_data(b"")
    assert session.next_event() == session.next_event() == HalfClosed()
    assert answer(session.send_output("stdout", b"\xff"))["params"]["data"] == "\ufffd"
    assert answer(session.send_result(1, signal="x", stdin_bytes=1))["result"] == {"exit_code": 1}


def test_credit_is_counted() -> None:
    """What the client may still send is known to both sides."""
    session = start("stdin", credit=5)
    assert session.credit == 5
    session.receive_data(DATA)
    assert hear(session) == [StdinData(data=b"yes")]
    assert session.credit == 2
    sent = answer(session.send_credit(4))
    assert sent == {"jsonrpc": "2.0", "method": "credit", "params": {"bytes": 4}}
    assert session.credit == 6
    assert start("base64").credit == ServerSession().credit == 0


@pytest.mark.parametrize(
    ("said", "code", "path"),
    [
        (DATA * 4, -32600, None),
        (b"[]\n", -32600, None),
        (b"\xff\n", -32700, None),
        (INT.replace(b"INT", b"KILL"), -32602, "params.name"),
        (SIZE.replace(b"1", b"-1"), -32602, "params.rows"),
    ],
)
def test_a_fault_is_answered_for_the_request(said: bytes, code: int, path: str | None) -> None:
    """It is said again, nothing more is read, and the answer has the request's id."""
    session = start("stdin", "signals", "tty")
    session.receive_data(said)
    with pytest.raises(RemoteProtocolError):
        hear(session)
    error = refusal(session)
    session.receive_data(INT)
    assert refusal(session) == error
    assert error.code == code
    assert error.data is not None
    assert error.data.path == path
    sent = answer(session.send_error(error))
    assert (sent["id"], sent["error"]["code"]) == (7, code)


def test_nothing_is_read_after_the_response() -> None:
    """Later messages of the client are ignored."""
    session = start("signals")
    session.receive_data(INT)
    session.send_result(0)
    session.receive_data(INT + b"garbage\n")
    assert session.next_event() is NEED_DATA
    session.receive_data(b"")
    assert session.next_event() == HalfClosed()


@pytest.mark.parametrize(
    "request_",
    [
        Request(id=7, method="exec", command="git", args=()),
        Request(id=7, method="check", command="git", args=(), features=("base64",)),
    ],
)
def test_there_is_no_start_that_is_not_awaited(request_: Request) -> None:
    """A client of the base would not know it, and a `check` starts nothing."""
    with pytest.raises(LocalProtocolError):
        open_session(request_).send_start(())
    with pytest.raises(LocalProtocolError):
        ServerSession().send_start(())


def test_a_start_is_sent_once_and_first() -> None:
    """A client that awaits it gets it before output and result, but not before a refusal."""
    session = open_session()
    sends: tuple[Callable[[], Line], ...] = (
        lambda: session.send_output("stdout", b"x"),
        lambda: session.send_result(0),
        lambda: session.send_credit(1),
    )
    for send in sends:
        with pytest.raises(LocalProtocolError, match="the start comes before"):
            send()
    session.send_start(())
    with pytest.raises(LocalProtocolError, match="sent already"):
        session.send_start(())
    assert open_session().send_error(ErrorObject.failed("x"))


def test_a_start_that_failed_may_be_sent_better() -> None:
    """Our own mistake leaves the session as it was."""
    session = open_session()
    for features, credit in ((("stdin",), 0), (("base64",), 1), (("later",), 0)):
        with pytest.raises(LocalProtocolError):
            session.send_start(features, stdin_credit=credit)
    assert session.send_start(("stdin",), stdin_credit=1)


def test_credit_needs_stdin_and_a_count() -> None:
    """Credit without `stdin` in use would be an unknown message to the client."""
    with pytest.raises(LocalProtocolError, match="not in use"):
        start("base64").send_credit(1)
    with pytest.raises(LocalProtocolError, match="not in use"):
        start().send_credit(1)
    for count in (0, -1):
        with pytest.raises(LocalProtocolError, match="at least 1"):
            start("stdin").send_credit(count)
