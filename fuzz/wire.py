"""Target: whatever bytes a client sends as its request, in whatever pieces.

The first byte chooses the limit on a request, the second seeds the cutting into pieces. Only
RemoteProtocolError is raised, the pieces do not change what is understood, nor do a member that the
protocol does not know and params that others follow, and a session holds no more than its limit
allows, however much more comes.
"""

from collections.abc import Iterator
from contextlib import suppress

import msgspec

from airlock_wire import ErrorObject, Limits, RemoteProtocolError, Request, ServerSession
from fuzz.pieces import cut, measure
from fuzz.target import BrokenPromiseError, Target

_MAX_LENGTH = 4096
_FLOOD = b"[" * 65_536
_FLOODS = 8

# What a decoded request may take for a byte of its line: the shortest items of an array are three
# bytes, and a string, its place in the tuple and what was read around it take some 80.
_GROWTH = 32
_FIXED = 65_536


def _check(data: bytes) -> None:
    if len(data) < 2:
        return
    limits = Limits(request_bytes=16 << data[0] % 9, arguments=8)
    stream = data[2:]
    whole, pieces = ServerSession(limits=limits), ServerSession(limits=limits)
    expected = _feed(whole, iter([stream]))
    found = _feed(pieces, cut(stream, data[1]))
    if found != expected:
        raise BrokenPromiseError(f"at once {expected!a}, in pieces {found!a}")
    if isinstance(found, Request):
        _check_encoding(found)
        _check_first_members(found, stream)
    _check_memory(limits, stream)


def _feed(session: ServerSession, pieces: Iterator[bytes]) -> Request | ErrorObject | None:
    """Give the session everything and return the request, the first error, or None for neither."""
    found: Request | ErrorObject | None = None
    for piece in (*pieces, b""):
        session.receive_data(piece)
        try:
            event = session.next_event()
        except RemoteProtocolError as error:
            if isinstance(found, Request):
                raise BrokenPromiseError(f"refused after the request: {error.error!a}") from error
            found = found or error.error
        else:
            if isinstance(event, Request):
                if found is not None:
                    raise BrokenPromiseError(f"a request after {found!a}: {event!a}")
                found = event
    _check_answer(session)
    return found


def _check_answer(session: ServerSession) -> None:
    line = session.send_error(ErrorObject.failed("x"))
    answer = msgspec.json.decode(line)
    if line.count(b"\n") != 1 or answer["id"] != session.request_id:
        raise BrokenPromiseError(f"the answer to id {session.request_id!a} is {line!a}")


def _check_encoding(request: Request) -> None:
    session = ServerSession()
    again = _feed(session, iter([request.encode()]))
    if again != request:
        raise BrokenPromiseError(f"{request!a} is {again!a} when it was written and read again")


def _check_first_members(request: Request, stream: bytes) -> None:
    """A line whose first members do not count, so that it is opened otherwise, says the same."""
    line, _, _ = stream.partition(b"\n")
    beginning, brace, members = line.partition(b"{")
    session = ServerSession(limits=Limits(request_bytes=len(line) + 100, arguments=8))
    first = b'"\\u0000":0,"params":0,'
    again = _feed(session, iter([beginning + brace + first + members + b"\n"]))
    if again != request:
        raise BrokenPromiseError(f"{request!a} is {again!a} after members that do not count")


def _check_memory(limits: Limits, stream: bytes) -> None:
    session = ServerSession(limits=limits)
    most = _FIXED + _GROWTH * limits.request_bytes + 2 * max(len(stream), len(_FLOOD))
    for piece in (stream, *[_FLOOD] * _FLOODS):
        if not piece:
            continue
        session.receive_data(piece)
        with suppress(RemoteProtocolError):
            session.next_event()
        held = measure(session)
        if held > most:
            raise BrokenPromiseError(f"{held} bytes are held with {limits!a}")


_EXEC = b'{"jsonrpc":"2.0","id":1,"method":"exec","params":{"command":"git","args":["push"]}}\n'

_SEEDS = (
    _EXEC,
    _EXEC[:-1],
    _EXEC.replace(b'["push"]}', b'["a",{"base64":"/w=="}],"cwd":"/w","container_id":"c"}'),
    _EXEC.replace(
        b'["push"]}', b'[],"features":["env","tty"],"env":{"A":"b","C":{"base64":"/w=="}}}'
    ),
    _EXEC.replace(
        b'["push"]}',
        b'[],"tty":{"stdin":true,"stdout":false,"stderr":true,"rows":24,"cols":80,"term":"xterm"}}',
    ),
    _EXEC.replace(b"exec", b"check").replace(b":1,", b':"a\\u00e9",') + b"more",
    b"[" * 300 + b"\n",
)

_WORDS = (
    *(b'"%s":' % name for name in (b"jsonrpc", b"id", b"method", b"params", b"command", b"args")),
    *(b'"%s":' % name for name in (b"cwd", b"container_id", b"features", b"base64", b"data")),
    *(b'"%s":' % name for name in (b"env", b"tty", b"stdin", b"stdout", b"stderr", b"rows")),
    *(b'"%s":' % name for name in (b"cols", b"term", b"LANG", b"A=B", b"")),
    *(b'"2.0"', b'"exec"', b'"check"', b"null", b"true", b"1e999", b"-0.0", b"9" * 20, b"0.1"),
    *(b"\n", b"\r\n", b"{}", b"[]", b"\\u0000", b"\\ud800", b"\xff", b"\xef\xbb\xbf", b'"/w=="'),
)

TARGET = Target(
    check=_check,
    seeds=tuple(b"\x08\x01" + seed for seed in _SEEDS),
    words=_WORDS,
    longest=_MAX_LENGTH,
)
"""Receiving requests."""
