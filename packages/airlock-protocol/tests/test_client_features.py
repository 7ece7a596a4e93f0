"""A command with features, seen from the client."""

import json
from collections.abc import Callable

import pytest

from airlock_wire import (
    FEATURES,
    NEED_DATA,
    ClientSession,
    Line,
    LocalProtocolError,
    Output,
    RemoteProtocolError,
    Request,
    Result,
    ServerSession,
    Start,
    Terminal,
)

TERMINAL = Terminal(stdin=True, stdout=True, stderr=True, rows=24, cols=80, term="xterm")
ASKING = Request(
    id=1,
    method="exec",
    command="git",
    args=(),
    features=FEATURES,
    terminal=TERMINAL,
    env={"LANG": "C.UTF-8", "X": "\udcff"},
)
OUTPUT = b'{"method":"output","params":{"stream":"stdout","data":"/w==","encoding":"base64"}}\n'


def connect(*features: str, credit: int = 0) -> tuple[ClientSession, ServerSession]:
    """Two sessions, up to a start."""
    client, server = ClientSession(), ServerSession()
    server.receive_data(client.send_request(ASKING))
    assert server.next_event() == ASKING
    client.receive_data(server.send_start(features, stdin_credit=credit))
    start = client.next_event()
    assert start == Start(features=tuple(f for f in FEATURES if f in features), stdin_credit=credit)
    return client, server


def test_more_than_the_credit_is_our_own_mistake() -> None:
    """A piece that is too long uses no credit, and a shorter one may follow."""
    client, _ = connect("stdin", credit=3)
    with pytest.raises(LocalProtocolError, match="4 bytes of stdin, but credit for 3"):
        client.send_stdin(b"four")
    assert client.credit == 3
    client.send_stdin(b"thr")
    assert client.credit == 0
    assert client.send_stdin(b"") == b""


def test_nothing_follows_the_end_of_stdin() -> None:
    """Neither a piece nor another end."""
    client, _ = connect("stdin", credit=3)
    client.send_stdin_eof()
    with pytest.raises(LocalProtocolError, match="ended already"):
        client.send_stdin(b"x")
    with pytest.raises(LocalProtocolError, match="ended already"):
        client.send_stdin_eof()


def test_what_is_not_in_use_is_not_sent() -> None:
    """Before the start, without it, after it and after the response."""
    early, (bare, _) = ClientSession(), connect()
    early.send_request(ASKING)
    answered, server = connect("stdin", "signals", "tty", credit=1)
    answered.receive_data(server.send_result(0))
    answered.next_event()
    sends: tuple[Callable[[ClientSession], Line], ...] = (
        lambda client: client.send_stdin(b""),
        lambda client: client.send_stdin_eof(),
        lambda client: client.send_signal("SIGINT"),
        lambda client: client.send_resize(1, 1),
    )
    for client in (ClientSession(), early, bare, answered):
        for send in sends:
            with pytest.raises(LocalProtocolError):
                send(client)


@pytest.mark.parametrize(
    "request_",
    [
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
    ],
)
def test_members_that_no_daemon_takes_are_not_sent(request_: Request) -> None:
    """It fails when encoded."""
    with pytest.raises(LocalProtocolError):
        ClientSession().send_request(request_)


def ask(request: Request = ASKING) -> ClientSession:
    client = ClientSession()
    client.send_request(request)
    return client


def start(**params: object) -> bytes:
    return json.dumps({"method": "start", "params": params}).encode() + b"\n"


SIGNALS = start(features=["signals"])


def test_a_start_that_does_not_come_first_does_not_count() -> None:
    """By then the session uses the base protocol."""
    for first in (OUTPUT, b'{"method":"later"}\n'):
        client = ask()
        client.receive_data(first + SIGNALS)
        while client.next_event() is not NEED_DATA:
            pass
        with pytest.raises(LocalProtocolError, match="not in use"):
            client.send_signal("SIGINT")


@pytest.mark.parametrize(
    "request_",
    [
        Request(id=1, method="exec", command="git", args=()),
        Request(id=1, method="check", command="git", args=(), features=FEATURES),
    ],
)
def test_a_start_that_was_not_asked_for_does_not_count(request_: Request) -> None:
    """It is an unknown notification, with any members."""
    for line in (SIGNALS, start(features=5)):
        client = ask(request_)
        client.receive_data(line)
        assert client.next_event() is NEED_DATA


def test_features_of_later_versions_are_not_known() -> None:
    """A start may list them; the event omits them."""
    client = ask()
    client.receive_data(start(features=["later", "signals"], more=1))
    assert client.next_event() == Start(features=("signals",))


@pytest.mark.parametrize(
    ("features", "line"),
    [
        (("env",), SIGNALS),
        ((), SIGNALS),
        (FEATURES, start()),
        (FEATURES, start(features="signals")),
        (FEATURES, start(features=["stdin"])),
        (FEATURES, start(features=["stdin"], stdin_credit=0)),
        (FEATURES, start(features=["stdin"], stdin_credit=1.5)),
        (FEATURES, start(features=["fds", "base64"])),
        (FEATURES, start(features=["signals"], stdin_credit=4)),
    ],
)
def test_a_start_that_cannot_be_is_an_error(features: tuple[str, ...], line: bytes) -> None:
    """A daemon that uses unrequested features is detected."""
    client = ask(Request(id=1, method="exec", command="git", args=(), features=features))
    client.receive_data(line)
    with pytest.raises(RemoteProtocolError, match="no message"):
        client.next_event()


def test_members_of_features_not_in_use_are_not_known() -> None:
    """In the base protocol `encoding`, `signal` and `stdin_bytes` mean nothing."""
    client = ask()
    client.receive_data(start(features=[]) + OUTPUT + b'{"method":"credit","params":{"bytes":0}}\n')
    client.receive_data(b'{"id":1,"result":{"exit_code":1,"signal":9,"stdin_bytes":"x"}}\n')
    assert [client.next_event() for _ in range(3)] == [
        Start(features=()),
        Output(stream="stdout", data=b"/w=="),
        Result(exit_code=1),
    ]


@pytest.mark.parametrize(
    "line",
    [
        b'{"method":"output","params":{"stream":"stdout","data":"/w","encoding":"base64"}}',
        b'{"method":"output","params":{"stream":"stdout","data":"x","encoding":"utf-8"}}',
        b'{"method":"output","params":{"stream":"stdout","data":"x","encoding":[]}}',
        b'{"method":"credit","params":{"bytes":0}}',
        b'{"method":"credit","params":{}}',
        b'{"method":"credit"}',
        b'{"id":1,"result":{"exit_code":1,"signal":9}}',
        b'{"id":1,"result":{"exit_code":1,"stdin_bytes":"x"}}',
    ],
)
def test_members_of_features_in_use_must_be_sound(line: bytes) -> None:
    """Both sides agreed on them, so faults are not tolerated."""
    client, _ = connect("base64", "stdin", "exit-signal", credit=1)
    client.receive_data(line + b"\n")
    with pytest.raises(RemoteProtocolError, match="no message"):
        client.next_event()


@pytest.mark.parametrize("encoding", [b"", b',"encoding":null'])
def test_text_and_base64_come_mixed(encoding: bytes) -> None:
    """Without an encoding, or with null, the data is text."""
    client, _ = connect("base64")
    text = b'{"method":"output","params":{"stream":"stdout","data":"/w=="%b}}\n' % encoding
    client.receive_data(OUTPUT + text)
    assert client.next_event() == Output(stream="stdout", data=b"\xff")
    assert client.next_event() == Output(stream="stdout", data=b"/w==")
