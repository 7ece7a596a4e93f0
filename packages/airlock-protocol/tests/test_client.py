"""The client's side of a connection."""

import pytest

from airlock_wire import (
    FEATURES,
    NEED_DATA,
    ClientSession,
    Decision,
    ErrorData,
    ErrorObject,
    ErrorResponse,
    LocalProtocolError,
    Output,
    RemoteProtocolError,
    Request,
    Result,
    ServerSession,
    Terminal,
)
from airlock_wire.client import decode_reply

REQUEST = Request(id=1, method="exec", command="git", args=("caf\udce9", "é"), cwd="/\udcff")
OUTPUT = b'{"jsonrpc":"2.0","method":"output","params":{"stream":"stdout","data":"a"}}\n'
RESULT = b'{"jsonrpc":"2.0","id":1,"result":{"exit_code":3}}\n'


def test_a_server_session_understands_it() -> None:
    """Request and answers pass between the two sessions unchanged."""
    server, client = ServerSession(), ClientSession()
    server.receive_data(client.send_request(REQUEST))
    assert server.next_event() == REQUEST
    client.receive_data(server.send_output("stderr", b"a\xff"))
    client.receive_data(server.send_result(137))
    assert client.next_event() == Output(stream="stderr", data="a\ufffd".encode())
    assert client.next_event() == Result(exit_code=137)


def test_decisions_and_errors_travel_whole() -> None:
    """The client gets what the daemon sent, member for member."""
    check = Request(id="c", method="check", command="git", args=())
    server, client = ServerSession(), ClientSession()
    server.receive_data(client.send_request(check))
    server.next_event()
    client.receive_data(server.send_decision(not_consulted=("workspace",)))
    assert client.next_event() == Decision(not_consulted=("workspace",))
    error = ErrorObject.denied("no", layer="module", rule="push", hint="ask")
    client = ClientSession()
    client.receive_data(ServerSession().send_error(error))
    assert client.next_event() == ErrorResponse(error=error)


@pytest.mark.parametrize("sent", [b"", OUTPUT, RESULT[:-1]])
def test_an_end_before_the_response_is_an_error(sent: bytes) -> None:
    """A lost connection is not mistaken for a successful command."""
    client = ClientSession()
    client.receive_data(sent or OUTPUT)
    while client.next_event() is not NEED_DATA:
        pass
    client.receive_data(b"")
    for _ in range(2):
        with pytest.raises(RemoteProtocolError, match="before its response"):
            client.next_event()


def test_a_message_over_the_limit_is_an_error() -> None:
    """A daemon cannot fill the client's memory with one line."""
    client = ClientSession(message_bytes=len(RESULT) - 1)
    client.receive_data(OUTPUT)
    for _ in range(2):
        with pytest.raises(RemoteProtocolError, match="more than"):
            client.next_event()
    client = ClientSession(message_bytes=len(RESULT) - 1)
    client.receive_data(RESULT)
    assert client.next_event() == Result(exit_code=3)


def test_a_connection_carries_one_request() -> None:
    """A second request is our own mistake."""
    client = ClientSession()
    client.send_request(REQUEST)
    with pytest.raises(LocalProtocolError, match="one request"):
        client.send_request(REQUEST)


@pytest.mark.parametrize(
    "request_",
    [
        Request(id=1, method="exec", command="git", args=("a\0",)),
        Request(id=float("inf"), method="exec", command="git", args=()),
        Request(id=1, method="exec", command="\udcff", args=()),
        Request(id=1, method="exec", command="git", args=("\ud800",)),
        Request(id=1, method="exec", command="git", args=(), env={"A=": ""}),
        Request(id=1, method="exec", command="git", args=(), env={"A": "\0"}),
        Request(
            id=1,
            method="exec",
            command="git",
            args=(),
            terminal=Terminal(stdin=True, stdout=True, stderr=True, rows=-1, cols=80),
        ),
        Request(
            id=1,
            method="exec",
            command="git",
            args=(),
            terminal=Terminal(stdin=True, stdout=True, stderr=True, rows=1, cols=1, term="a b"),
        ),
        Request(id=1, method="exec", command="git", args=(), features=FEATURES),
        Request(id=1, method="check", command="git", args=(), features=()),
    ],
)
def test_a_request_that_no_daemon_takes_is_not_sent(request_: Request) -> None:
    """It fails when encoded, and a valid one may follow."""
    client = ClientSession()
    with pytest.raises(LocalProtocolError):
        client.send_request(request_)
    assert client.send_request(REQUEST)


def test_nothing_is_read_after_the_response() -> None:
    """Asking for more is our own mistake."""
    client = ClientSession()
    client.receive_data(RESULT)
    client.next_event()
    client.receive_data(OUTPUT)
    with pytest.raises(LocalProtocolError):
        client.next_event()


@pytest.mark.parametrize(
    ("line", "event"),
    [
        (b'{"id":0,"error":{"code":-32600,"message":"no"}}', ErrorObject(-32600, "no")),
        (
            b'{"error":{"message":"no","code":-32600,"data":null},"id":null}\r',
            ErrorObject(-32600, "no"),
        ),
        (b'{"id":0,"error":{"code":1,"message":"no","data":"text"}}', ErrorObject(1, "no")),
        (b'{"id":0,"error":{"code":1,"message":"no","data":{"x":1}}}', ErrorObject(1, "no")),
        (
            b'{"id":1,"error":{"code":1,"message":"no","data":{"kind":"later","new":[],"hint":"x"}}}',
            ErrorObject(1, "no", ErrorData(kind="later", hint="x")),
        ),
    ],
)
def test_errors_of_other_versions_are_read(line: bytes, event: ErrorObject) -> None:
    """Code and message suffice; data that cannot be decoded is omitted."""
    assert decode_reply(line) == ErrorResponse(error=event)


@pytest.mark.parametrize(
    ("line", "event"),
    [
        (b'{"result":{"signal":"SIGKILL","exit_code":137},"id":0}', Result(exit_code=137)),
        (b'{"id":1,"result":{"decision":"allowed","more":1}}', Decision()),
        (
            b' { "params" : {"data":"\\ud83d\\ude00","x":1,"stream":"stderr"}, "method":"output"}',
            Output(stream="stderr", data="\U0001f600".encode()),
        ),
        (
            b'{"method":"output","params":{"stream":"stdout","data":"/w==","encoding":"base64"}}',
            Output(stream="stdout", data=b"/w=="),
        ),
        (b'{"id":1,"result":{"exit_code":1,"signal":9,"stdin_bytes":"x"}}', Result(exit_code=1)),
        (b'{"method":"start","params":{"features":[]}}', None),
        (b'{"method":"later"}', None),
    ],
)
def test_messages_of_other_versions_are_read(line: bytes, event: object) -> None:
    """Order, white space, unknown members and unknown notifications do no harm.

    Nor do the members of features, since none were asked for.
    """
    assert decode_reply(line) == event


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"x",
        b"[]",
        b"{}",
        b'{"id":1}',
        b'{"id":1,"result":null}',
        b'{"id":1,"result":{}}',
        b'{"id":1,"result":{"exit_code":"0"}}',
        b'{"id":1,"result":{"exit_code":0.5}}',
        b'{"id":1,"result":{"decision":"denied"}}',
        b'{"id":1,"error":"no"}',
        b'{"id":1,"error":{"code":1}}',
        b'{"method":5}',
        b'{"method":"output"}',
        b'{"method":"output","params":{"stream":"stdin","data":""}}',
        b'{"method":"output","params":{"stream":"stdout"}}',
        b'{"method":"output","params":{"stream":"stdout","data":"\xff"}}',
        b'{"method":"later","params":"\xff"}',
        b'{"x":' + b"[" * 100_000,
    ],
)
def test_what_is_no_message_is_an_error(line: bytes) -> None:
    """A daemon that talks nonsense is found out, not guessed at."""
    with pytest.raises(RemoteProtocolError, match="the daemon sent"):
        decode_reply(line)
