"""Searches a service's answers for a credential, across the boundaries of pieces.

A service that echoes requests would reveal the credential to the tool. This searches for the
credential and its usual encodings: percent-encoded, hexadecimal, base64 at any offset. A service
can always encode it otherwise; this is the second line of defence after the allowlist of
operations.

How long bytes are withheld must not depend on the credential: a tool that has a service echo
guesses, and times the pieces, would learn it letter by letter. So the end of the data is withheld
while a word is unfinished, whatever the word is.
"""

import base64
import ctypes
import functools
from collections.abc import Callable, Iterator
from urllib.parse import quote

# Shorter encodings occur by chance.
_SHORTEST = 8
# Bytes of an unfinished word that are withheld, whatever the credential.
_WITHHELD = 1024
# From this size on, the C library's call is faster.
_MUCH = 1 << 13
_BETWEEN_WORDS = b" \t\r\n\"'`<>(){}[],;:"
# Maps each byte to a separator or a word's byte.
_KINDS = bytes(b" "[0] if byte in _BETWEEN_WORDS else b"w"[0] for byte in range(256))


class CredentialLeak(Exception):
    """An answer contains the credential."""


class Search:
    """Forwards an answer, and raises CredentialLeak before it would forward the credential."""

    def __init__(self, *secrets: str) -> None:
        self._wanted = tuple(each for secret in secrets for each in _spell(secret.encode()))
        self._longest = max(map(len, self._wanted), default=0)
        self._most = max(_WITHHELD, self._longest)
        # The last bytes seen, and how many of them are withheld.
        self._seen = b""
        self._kept = 0

    @property
    def is_on(self) -> bool:
        """Whether there is a credential to search for."""
        return bool(self._wanted)

    def feed(self, data: bytes) -> bytes:
        """Take data; returns the bytes that may be forwarded now."""
        if not self._wanted:
            return data
        # An answer may be long, so copy as little as possible.
        border = self._seen[-self._longest :] + data[: self._longest]
        if any(each in border or _is_in(each, data) for each in self._wanted):
            raise CredentialLeak
        kept = self._seen[len(self._seen) - self._kept :]
        self._seen = (data if len(data) >= self._most else self._seen + data)[-self._most :]
        unfinished = len(self._seen) - 1 - self._seen.translate(_KINDS).rfind(b" ")
        fresh = len(kept) + len(data)
        self._kept = min(unfinished, fresh)
        if self._kept >= len(data):
            return kept[: fresh - self._kept]
        return b"".join((kept, memoryview(data)[: len(data) - self._kept]))

    def finish(self) -> bytes:
        """Return the withheld bytes at the end of the answer."""
        rest = self._seen[len(self._seen) - self._kept :]
        self._kept = 0
        return rest

    def is_in(self, name: bytes, value: bytes) -> bool:
        """Whether a header, with a lower-case name, contains the credential."""
        return any(each in value or each.lower() in name for each in self._wanted)


def _is_in(word: bytes, data: bytes) -> bool:
    if len(data) < _MUCH:
        return word in data
    return _memmem()(data, len(data), word, len(word)) is not None


@functools.cache
def _memmem() -> Callable[[bytes, int, bytes, int], int | None]:
    """memmem(3), which takes a third of the time of `in`."""
    call: Callable[[bytes, int, bytes, int], int | None] = ctypes.CDLL(None).memmem
    call.restype = ctypes.c_void_p  # type: ignore[attr-defined]
    call.argtypes = [ctypes.c_char_p, ctypes.c_size_t] * 2  # type: ignore[attr-defined]
    return call


def _spell(secret: bytes) -> Iterator[bytes]:
    spellings = {secret, secret.hex().encode(), secret.hex().upper().encode()}
    spellings |= {quote(secret, safe=safe).encode() for safe in ("", "/")}
    for offset in range(3):
        # The first and last characters also encode bits of the neighbouring bytes.
        encoded = base64.b64encode(b"\0" * offset + secret)
        whole = (len(secret) + offset) * 8 // 6
        inner = encoded[-(-offset * 8 // 6) : whole]
        spellings |= {inner, inner.replace(b"+", b"-").replace(b"/", b"_")}
    return (each for each in spellings if len(each) >= _SHORTEST)
