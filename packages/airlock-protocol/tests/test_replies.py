"""Lines of daemons, our own and others."""

import pytest

from airlock_wire import (
    Decision,
    ErrorData,
    ErrorObject,
    ErrorResponse,
    Output,
    RemoteProtocolError,
    Result,
)
from airlock_wire.replies import ReplyReader


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
    assert ReplyReader().decode(line) == ErrorResponse(error=event)


@pytest.mark.parametrize(
    ("line", "event"),
    [
        (b'{"result":{"signal":"SIGKILL","exit_code":137},"id":0}', Result(exit_code=137)),
        (b'{"id":1,"result":{"decision":"allowed","more":1}}', Decision()),
        (
            b' { "params" : {"data":"\\ud83d\\ude00","x":1,"stream":"stderr"}, "method":"output"}',
            Output(stream="stderr", data="\U0001f600".encode()),
        ),
        (b'{"method":"start","params":{"features":[]}}', None),
        (b'{"method":"later"}', None),
    ],
)
def test_messages_of_other_versions_are_read(line: bytes, event: object) -> None:
    """Order, white space, unknown members and unknown notifications do no harm.

    What belongs to features is not known where none were asked for.
    """
    assert ReplyReader().decode(line) == event


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
        ReplyReader().decode(line)
