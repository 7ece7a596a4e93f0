"""Target: the first message of TLS on a connection that is not decrypted.

A name that is found in it is the one that OpenSSL finds, and so is that there is none.
"""

import contextlib
import ssl
from collections.abc import Iterable

from airlock_daemon.boundary.brokers.https.splicing import BadHello, ClientHello
from fuzz.target import BrokenPromiseError, Target, require_one_line

_MAX_LENGTH = 4096


class _Reader:
    """What OpenSSL reads, as a server that has no certificate."""

    def __init__(self) -> None:
        self.names: list[str | None] = []
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.sni_callback = self._note

    def _note(self, _: object, name: str | None, __: object) -> int:
        self.names.append(name)
        return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

    def read(self, data: bytes) -> list[str | None]:
        incoming = ssl.MemoryBIO()
        incoming.write(data)
        server = self._context.wrap_bio(incoming, ssl.MemoryBIO(), server_side=True)
        self.names.clear()
        with contextlib.suppress(ssl.SSLError):
            server.do_handshake()
        return self.names


_READER = _Reader()


def _check(data: bytes) -> None:
    try:
        name, is_whole = _find_name([data])
    except BadHello as error:
        require_one_line(str(error))
        return
    if (name, is_whole) != _find_name(data[at : at + 1] for at in range(len(data))):
        raise BrokenPromiseError("another name was found byte by byte")
    if not is_whole:
        if name is not None:
            raise BrokenPromiseError("a name was found in half a message")
        return
    for other in _READER.read(data):
        if (other.lower() if other is not None else None) != name:
            raise BrokenPromiseError(f"OpenSSL finds {other!a}, and this {name!a}")


def _find_name(pieces: Iterable[bytes]) -> tuple[str | None, bool]:
    hello = ClientHello()
    is_whole = any(map(hello.feed, pieces))
    return hello.name, is_whole


def _say(name: str | None, newest: ssl.TLSVersion) -> bytes:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.maximum_version = newest
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


TARGET = Target(
    check=_check,
    seeds=(
        _say("a.example.com", ssl.TLSVersion.TLSv1_3),
        _say("a.example.com", ssl.TLSVersion.TLSv1_2),
        _say(None, ssl.TLSVersion.TLSv1_2),
    ),
    words=(
        *(b"\x16\x03\x01", b"\x16\x03\x03", b"\x01\0\0", b"\x03\x03", b"\0\0", b"\0\x0d"),
        *(b"\0\0\0\x12\0\x10\0\0\x0da.example.com", b"\0\0\0\x12\0\x10\0\0\x0db.example.com"),
        *(b"a.example.com", b"b.example.com", b"\xfe\x0d\0\0", b"\0", b"\xff"),
    ),
    longest=_MAX_LENGTH,
)
