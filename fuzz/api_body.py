"""Target: the body of a request to an API.

What is passed on as a body is what a strict reader finds in the same bytes, and so is what stands
behind it; what that one does not accept is refused.
"""

import re
from typing import cast

from airlock_daemon.boundary.brokers.http import TlsStream
from airlock_daemon.boundary.brokers.https.incoming import Damaged, Incoming
from airlock_daemon.boundary.fairness import TurnSource
from airlock_modules.apis import Head
from fuzz.target import BrokenPromiseError, Target, require_one_line

_MAX_LENGTH = 2048
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,20})[ \t]*(;[^\r\n]*)?\r\n")


def _check(data: bytes) -> None:
    if len(data) < 2:
        return
    is_chunked, body = data[0] & 1, data[2:]
    length = b"%d" % min(data[1], len(body) + 1)
    framing = (b"transfer-encoding", b"chunked") if is_chunked else (b"content-length", length)
    head = Head("POST", "/", "", ((b"host", b"a.example"), framing))
    wanted = _read_chunks(body) if is_chunked else _read_length(body, int(length))
    incoming = Incoming(cast("TlsStream", _Silent()), head, body, cast("TurnSource", None))
    try:
        found = _run(incoming)
    except Damaged as error:
        require_one_line(str(error))
        return
    if found is None:
        # The rest of it would have to come.
        return
    if (found, incoming.rest) != wanted:
        raise BrokenPromiseError(
            f"{body!a} is {(found, incoming.rest)!a}, and should be {wanted!a}"
        )


class _Silent:
    """A stream on which nothing comes: the body has come behind the head."""

    def receive_now(self, _: int) -> None:
        """Nothing has."""


def _run(incoming: Incoming) -> bytes | None:
    """Read the body to its end, without an event loop; None where more would have to come."""

    async def read() -> bytes:
        body = b""
        while piece := await incoming.read():
            body += piece
        return body

    try:
        read().send(None)
    except StopIteration as end:
        return cast("bytes", end.value)
    except RuntimeError:
        # trio has no deadlines outside of its loop.
        return None
    raise BrokenPromiseError("reading waits for something")


def _read_length(data: bytes, length: int) -> tuple[bytes, bytes] | None:
    return (data[:length], data[length:]) if len(data) >= length else None


def _read_chunks(data: bytes) -> tuple[bytes, bytes] | None:
    """Body and rest of chunks (RFC 9112, 7.1) without trailers, None for anything else."""
    body, at = b"", 0
    while (match := _SIZE.match(data, at)) is not None:
        size, at = int(match[1], 16), match.end()
        if size == 0:
            return (body, data[at + 2 :]) if data.startswith(b"\r\n", at) else None
        body += data[at : at + size]
        if data[at + size : at + size + 2] != b"\r\n":
            return None
        at += size + 2
    return None


TARGET = Target(
    check=_check,
    seeds=(
        b"\1\1" + b"4\r\nbody\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        b"\1\1" + b"a;x=y\r\n0123456789\r\n00\r\nX: y\r\n\r\n",
        b"\0\4" + b"bodyGET / HTTP/1.1\r\n\r\n",
    ),
    words=(
        *(b"\r\n", b"\n", b"\r", b"0\r\n\r\n", b"0\n\n", b"4\r\n", b"-4\r\n", b"+4\r\n"),
        *(b"0x4\r\n", b";a=b\r\n", b" \r\n", b"ffffffffffffffff\r\n", b"A: b\r\n"),
        *(b"00000000000000000004\r\n", b"4;a\rb\r\n"),
    ),
    longest=_MAX_LENGTH,
)
"""Reading the body of a request that is passed on."""
