"""Looking for a credential in what a service answers, over the borders of pieces.

A service that repeats what it was sent would hand the credential to the tool. Looked for are the
credential itself and its usual spellings: escaped for a URL, in hexadecimal, in base64 at whatever
offset. A service can always spell it otherwise; this is the second wall, the first is that only
granted operations are asked for.

How long something is held back must not depend on the credential: a tool that has a service repeat
its guesses, and watches when they come, would learn the credential letter by letter. So the end of
what came waits wherever a word is unfinished, whatever the word is.
"""

import base64
import ctypes
import functools
from collections.abc import Callable, Iterator
from urllib.parse import quote

# Shorter ones stand in answers by chance.
_SHORTEST = 8
# Bytes of an unfinished word that wait for its end, whatever credential is looked for.
_HELD = 1024
# From so many bytes on a call of the C library is the faster one.
_MUCH = 1 << 13
_BETWEEN_WORDS = b" \t\r\n\"'`<>(){}[],;:"
# Each byte as one between words, or one of a word.
_KINDS = bytes(b" "[0] if byte in _BETWEEN_WORDS else b"w"[0] for byte in range(256))


class CredentialLeak(Exception):
    """An answer has the credential."""


class Search:
    """Passes an answer on, and raises CredentialLeak before the credential is in what it passes."""

    def __init__(self, *secrets: str) -> None:
        self._wanted = tuple(each for secret in secrets for each in _spell(secret.encode()))
        self._longest = max(map(len, self._wanted), default=0)
        self._most = max(_HELD, self._longest)
        # The end of what was seen, and how much of that was not passed yet.
        self._seen = b""
        self._kept = 0

    @property
    def is_on(self) -> bool:
        """Whether there is anything to look for."""
        return bool(self._wanted)

    def feed(self, data: bytes) -> bytes:
        """The bytes that may be passed on now."""
        if not self._wanted:
            return data
        # Neither the end nor the rest is copied more often than it must be: an answer may be long.
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
        """The rest: nothing more comes."""
        rest = self._seen[len(self._seen) - self._kept :]
        self._kept = 0
        return rest

    def is_in(self, name: bytes, value: bytes) -> bool:
        """Whether a header has it; its name is in lower case."""
        return any(each in value or each.lower() in name for each in self._wanted)


def _is_in(word: bytes, data: bytes) -> bool:
    if len(data) < _MUCH:
        return word in data
    return _memmem()(data, len(data), word, len(word)) is not None


@functools.cache
def _memmem() -> Callable[[bytes, int, bytes, int], int | None]:
    """memmem(3), which takes a third of the time that `in` does."""
    call: Callable[[bytes, int, bytes, int], int | None] = ctypes.CDLL(None).memmem
    call.restype = ctypes.c_void_p  # type: ignore[attr-defined]
    call.argtypes = [ctypes.c_char_p, ctypes.c_size_t] * 2  # type: ignore[attr-defined]
    return call


def _spell(secret: bytes) -> Iterator[bytes]:
    spellings = {secret, quote(secret, safe="").encode(), secret.hex().encode()}
    spellings.add(secret.hex().upper().encode())
    for offset in range(3):
        # Of the first and the last characters some bits are of what stands beside it.
        encoded = base64.b64encode(b"\0" * offset + secret)
        whole = (len(secret) + offset) * 8 // 6
        inner = encoded[-(-offset * 8 // 6) : whole]
        spellings |= {inner, inner.replace(b"+", b"-").replace(b"/", b"_")}
    return (each for each in spellings if len(each) >= _SHORTEST)
