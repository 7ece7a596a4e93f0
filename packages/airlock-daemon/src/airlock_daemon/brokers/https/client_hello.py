"""The server's name in the first message of TLS, where nothing of a connection is decrypted.

RFC 8446, 5.1 and 4.1.2; RFC 6066, 3. A message that has no single reading is refused.
"""

import struct

_HANDSHAKE, _CLIENT_HELLO = 22, 1
_SERVER_NAME, _HOST_NAME = 0, 0
_ENCRYPTED = 0xFE0D
_LONGEST = 1 << 15


class BadHello(Exception):
    """A connection that does not begin as TLS does, or hides the name. `str(error)` says why."""


class _Reader:
    """Reads what has its length before it."""

    def __init__(self, data: bytes) -> None:
        self._left = memoryview(data)

    def __bool__(self) -> bool:
        return bool(self._left)

    def number(self, size: int) -> int:
        """A number of so many bytes."""
        return int.from_bytes(self.take(size))

    def block(self, size: int) -> bytes:
        """Bytes behind their count, which has `size` bytes itself."""
        return self.take(self.number(size))

    def take(self, count: int) -> bytes:
        """So many bytes."""
        if count > len(self._left):
            raise BadHello("its first message of TLS is damaged")
        taken, self._left = bytes(self._left[:count]), self._left[count:]
        return taken


def read_server_name(data: bytes) -> tuple[bool, str | None]:
    """Whether the whole message is in `data`, what has come so far, and the name that it has.

    Raises BadHello.
    """
    message = b""
    while data:
        if data[0] != _HANDSHAKE:
            raise BadHello("it is no TLS")
        if len(data) < 5:
            break
        (length,) = struct.unpack_from("!H", data, 3)
        message += data[5 : 5 + length]
        if len(message) >= 4:
            if message[0] != _CLIENT_HELLO:
                raise BadHello("it does not begin as TLS does")
            whole = 4 + int.from_bytes(message[1:4])
            if whole > _LONGEST:
                raise BadHello("its first message of TLS is too long")
            if len(message) >= whole:
                return True, _find_name(message[4:whole])
        data = data[5 + length :]
    if len(message) > _LONGEST:
        raise BadHello("its first message of TLS is too long")
    return False, None


def _find_name(hello: bytes) -> str | None:
    reader = _Reader(hello)
    # Version and random; then session, cipher suites and compression.
    reader.take(2 + 32)
    for size in (1, 2, 1):
        reader.block(size)
    if not reader:
        return None
    found: dict[int, bytes] = {}
    extensions = _Reader(reader.block(2))
    while extensions:
        kind = extensions.number(2)
        if kind in found:
            raise BadHello("its first message of TLS has an extension twice")
        found[kind] = extensions.block(2)
    if _ENCRYPTED in found:
        raise BadHello("it encrypts the server's name (ECH), which could be another one")
    if _SERVER_NAME not in found:
        return None
    names = _Reader(_Reader(found[_SERVER_NAME]).block(2))
    kind, name = names.number(1), names.block(2)
    if names or kind != _HOST_NAME or not name.isascii():
        raise BadHello("its first message of TLS has an unusual server name")
    return name.decode().lower()
