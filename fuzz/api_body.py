"""Target: the body of a request to an API, in pieces of any size.

What is passed on as a body is what a strict reader finds in the same bytes, and so is what stands
behind it; what that one does not accept is refused.
"""

import re
from collections.abc import Iterator
from typing import cast

import trio

from airlock_daemon.brokers.http.tls import TlsStream
from airlock_daemon.brokers.https.exchange import Damaged, Incoming
from airlock_modules.apis import Head
from fuzz.pieces import cut
from fuzz.target import BrokenPromiseError, Target, require_one_line

_LONGEST = 2048
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,20})[ \t]*(;[^\r\n]*)?\r\n")


class _Client:
    """What a tool sends, piece by piece."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    async def receive_some(self, _: int) -> bytes:
        """The next piece, b"" at the end."""
        return next(self._pieces, b"")


def _check(data: bytes) -> None:
    if len(data) < 2:
        return
    seed, is_chunked, body = data[0], data[1] & 1, data[2:]
    length = b"%d" % min(data[1] >> 1, len(body) + 1)
    framing = (b"transfer-encoding", b"chunked") if is_chunked else (b"content-length", length)
    head = Head("POST", "/", "", ((b"host", b"a.example"), framing))
    wanted = _read_chunks(body) if is_chunked else _read_length(body, int(length))
    pieces = cut(body, seed)
    incoming = Incoming(cast("TlsStream", _Client(pieces)), head, next(pieces, b""))
    try:
        found = trio.run(_read, incoming)
    except Damaged as error:
        require_one_line(str(error))
        return
    if wanted is None:
        raise BrokenPromiseError(f"a body was found in {body!a}: {found!a}")
    rest = incoming.rest + b"".join(pieces)
    if (found, rest) != wanted:
        raise BrokenPromiseError(f"{body!a} is {(found, rest)!a}, and should be {wanted!a}")


async def _read(incoming: Incoming) -> bytes:
    body = b""
    while piece := await incoming.read():
        body += piece
    return body


def _read_length(data: bytes, length: int) -> tuple[bytes, bytes] | None:
    return (data[:length], data[length:]) if len(data) >= length else None


def _read_chunks(data: bytes) -> tuple[bytes, bytes] | None:
    """Body and rest of chunks (RFC 9112, 7.1) without trailers, None for anything else."""
    body, at = b"", 0
    while (match := _SIZE.match(data, at)) is not None:
        size, at = int(match[1], 16), match.end()
        if size == 0:
            # h11 takes a bare LF, too: it is what ends the body here, and is not sent on.
            end = next((each for each in (b"\r\n", b"\n") if data.startswith(each, at)), None)
            return None if end is None else (body, data[at + len(end) :])
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
        b"\1\x08" + b"bodyGET / HTTP/1.1\r\n\r\n",
    ),
    words=(
        *(b"\r\n", b"\n", b"\r", b"0\r\n\r\n", b"0\n\n", b"4\r\n", b"-4\r\n", b"+4\r\n"),
        *(b"0x4\r\n", b";a=b\r\n", b" \r\n", b"ffffffffffffffff\r\n", b"A: b\r\n"),
        b"00000000000000000004\r\n",
    ),
    longest=_LONGEST,
)
"""Reading the body of a request that is passed on."""
