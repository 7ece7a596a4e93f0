"""Target: whatever bytes a client sends, in whatever pieces.

The first byte chooses the limit on a request, the second seeds the cutting into pieces. Only
RemoteProtocolError is raised, the pieces do not change what is understood, and a session holds no
more than its limit allows, however much more comes.
"""

import gc
import random
import sys
from collections.abc import Iterator
from contextlib import suppress
from types import FunctionType, ModuleType

import msgspec

from airlock_wire import ErrorObject, Limits, RemoteProtocolError, Request, ServerSession
from fuzz.target import BrokenPromiseError, Target

_LONGEST = 4096
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
    found = _feed(pieces, _cut(stream, random.Random(data[1])))  # noqa: S311 - only cuts
    if found != expected:
        raise BrokenPromiseError(f"at once {expected!a}, in pieces {found!a}")
    if isinstance(found, Request):
        _check_encoding(found)
    _check_memory(limits, stream)


def _cut(stream: bytes, choices: random.Random) -> Iterator[bytes]:
    start = 0
    while start < len(stream):
        end = start + 1 + int(choices.expovariate(0.05))
        yield stream[start:end]
        start = end


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


def _check_memory(limits: Limits, stream: bytes) -> None:
    session = ServerSession(limits=limits)
    most = _FIXED + _GROWTH * limits.request_bytes + 2 * max(len(stream), len(_FLOOD))
    for piece in (stream, *[_FLOOD] * _FLOODS):
        if not piece:
            continue
        session.receive_data(piece)
        with suppress(RemoteProtocolError):
            session.next_event()
        held = _measure(session)
        if held > most:
            raise BrokenPromiseError(f"{held} bytes are held with {limits!a}")


def _measure(session: ServerSession) -> int:
    """Return the bytes of all data that can be reached from a session, code left out."""
    seen: dict[int, object] = {}
    waiting: list[object] = [session]
    while waiting:
        value = waiting.pop()
        if id(value) in seen or isinstance(value, type | ModuleType | FunctionType):
            continue
        seen[id(value)] = value
        waiting += gc.get_referents(value)
    return sum(map(sys.getsizeof, seen.values()))


_EXEC = b'{"jsonrpc":"2.0","id":1,"method":"exec","params":{"command":"git","args":["push"]}}\n'

_SEEDS = (
    _EXEC,
    _EXEC[:-1],
    _EXEC.replace(b'["push"]}', b'["a",{"base64":"/w=="}],"cwd":"/w","container_id":"c"}'),
    _EXEC.replace(b"exec", b"check").replace(b":1,", b':"a\\u00e9",') + b"more",
    b"[" * 300 + b"\n",
)

_WORDS = (
    *(b'"%s":' % name for name in (b"jsonrpc", b"id", b"method", b"params", b"command", b"args")),
    *(b'"%s":' % name for name in (b"cwd", b"container_id", b"features", b"base64", b"data")),
    *(b'"2.0"', b'"exec"', b'"check"', b"null", b"true", b"1e999", b"-0.0", b"9" * 20, b"0.1"),
    *(b"\n", b"\r\n", b"{}", b"[]", b"\\u0000", b"\\ud800", b"\xff", b"\xef\xbb\xbf", b'"/w=="'),
)

TARGET = Target(
    check=_check,
    seeds=tuple(b"\x08\x01" + seed for seed in _SEEDS),
    words=_WORDS,
    longest=_LONGEST,
)
"""Receiving requests."""
