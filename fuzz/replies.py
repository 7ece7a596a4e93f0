"""Target: whatever bytes a daemon sends, in whatever pieces.

The first byte chooses the features that were asked for, the second seeds the cutting into pieces.
Only RemoteProtocolError is raised, the pieces do not change what is understood, a start comes first
or not at all and lists what was asked for, and credit is what the daemon granted.
"""

from collections.abc import Callable, Iterator
from functools import partial

from airlock_wire import (
    FEATURES,
    NEED_DATA,
    ClientSession,
    Credit,
    LocalProtocolError,
    Output,
    RemoteProtocolError,
    Request,
    Start,
)
from fuzz.pieces import cut
from fuzz.target import BrokenPromiseError, Target

_LONGEST = 4096
_MESSAGE_BYTES = 2048


def _check(data: bytes) -> None:
    if len(data) < 2:
        return
    asked = tuple(name for bit, name in enumerate(FEATURES) if data[0] >> bit & 1)
    # The last bit is for a client that knows of no features at all.
    features = asked if data[0] >> len(FEATURES) & 1 else None
    stream = data[2:]
    expected = _hear(features, iter([stream] if stream else []))
    found = _hear(features, cut(stream, data[1]))
    # A message that is too long may be noticed before an earlier one has been taken.
    if found != expected and "too long" not in (*expected[-1:], *found[-1:]):
        raise BrokenPromiseError(f"at once {expected!a}, in pieces {found!a}")


def _hear(features: tuple[str, ...] | None, pieces: Iterator[bytes]) -> list[object]:
    """Return the events in their order, up to the response or a description of the fault."""
    session = ClientSession(message_bytes=_MESSAGE_BYTES)
    session.send_request(Request(id=1, method="exec", command="cat", args=(), features=features))
    found: list[object] = []
    try:
        for piece in (*pieces, b""):
            session.receive_data(piece)
            while (event := session.next_event()) is not NEED_DATA:
                _judge(session, event, features, found)
                found.append(event)
    except RemoteProtocolError as error:
        is_long = "more than" in error.error.message
        found.append("too long" if is_long else error.error)
        _judge_fault(session)
    except LocalProtocolError:
        # Nothing may be asked after the response.
        if not found or isinstance(found[-1], Start | Credit | Output):
            raise
    return found


def _judge(
    session: ClientSession,
    event: object,
    features: tuple[str, ...] | None,
    found: list[object],
) -> None:
    if isinstance(event, Start) and (found or not set(event.features) <= set(features or ())):
        raise BrokenPromiseError(f"{event!a} after {found!a}, asked for {features!a}")
    events = [*found, event]
    granted = sum(one.bytes for one in events if isinstance(one, Credit))
    granted += sum(one.stdin_credit for one in events if isinstance(one, Start))
    if session.credit != granted:
        raise BrokenPromiseError(f"the credit is {session.credit} after {events!a}")
    started = {name for one in events if isinstance(one, Start) for name in one.features}
    uses: dict[str, Callable[[], object]] = {
        "stdin": partial(session.send_stdin, b""),
        "signals": partial(session.send_signal, "SIGINT"),
        "tty": partial(session.send_resize, 1, 1),
    }
    for feature, send in uses.items():
        try:
            send()
        except LocalProtocolError:
            is_over = not isinstance(event, Start | Credit | Output)
            if feature in started and not is_over:
                raise
        else:
            if feature not in started:
                raise BrokenPromiseError(f"{feature} is used, and {started!a} in use")


def _judge_fault(session: ClientSession) -> None:
    try:
        session.next_event()
    except RemoteProtocolError:
        return
    raise BrokenPromiseError("a fault was told once only")


def _line(method: bytes, params: bytes) -> bytes:
    return b'{"jsonrpc":"2.0","method":"%b","params":%b}\n' % (method, params)


_START = _line(b"start", b'{"features":["base64","stdin","signals","tty"],"stdin_credit":9}')
_RESULT = b'{"jsonrpc":"2.0","id":1,"result":{"exit_code":137,"signal":"SIGKILL"}}\n'

_SEEDS = (
    _START + _line(b"output", b'{"stream":"stdout","data":"x"}') + _RESULT,
    _START + _line(b"output", b'{"stream":"stderr","encoding":"base64","data":"/w=="}') + _RESULT,
    _START + _line(b"credit", b'{"bytes":65536}') + _line(b"nothing", b"[]") + _RESULT,
    _line(b"start", b'{"features":["fds","exit-signal"]}') + _RESULT,
    _START + _START + _line(b"credit", b'{"bytes":1}') + _RESULT,
    _line(b"start", b'{"features":[]}') + _RESULT.replace(b',"signal":"SIGKILL"', b""),
    b'{"jsonrpc":"2.0","id":0,"error":{"code":-32600,"message":"no"}}\n',
    b'{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"no","data":{"kind":"denied"}}}\n',
    b'{"jsonrpc":"2.0","id":1,"result":{"decision":"allowed","not_consulted":["x"]}}\n',
)

_WORDS = (
    *(b'"%s":' % name for name in (b"jsonrpc", b"id", b"method", b"params", b"result", b"error")),
    *(b'"%s":' % name for name in (b"features", b"stdin_credit", b"bytes", b"stream", b"data")),
    *(b'"%s":' % name for name in (b"encoding", b"exit_code", b"signal", b"stdin_bytes", b"code")),
    *(b'"%s"' % name.encode() for name in FEATURES),
    *(b'"start"', b'"output"', b'"credit"', b'"stdout"', b'"stderr"', b'"2.0"', b'"/w=="'),
    *(b"\n", b"{}", b"[]", b"null", b"true", b"-1", b"1e999", b"9" * 30, b"\\ud800", b"\xff"),
)

TARGET = Target(
    check=_check,
    seeds=tuple(b"\xff\x01" + seed for seed in _SEEDS),
    words=_WORDS,
    longest=_LONGEST,
)
"""Receiving what a daemon says."""
