"""Takes a list of the engine apart while it comes: it may have everybody's objects, with labels as
long as an agent could give an image. What is too long is left out, and never held as a whole.
"""

import re
from typing import Any

import msgspec

MAX_OBJECT = 1 << 20
"""Maximum bytes of one object of a list."""
# A text, with its end if that is there, or a bracket.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+("?)|[\[\]{}]', re.DOTALL)
_AROUND = (b"[", b"{[")


class Listing:
    """One answer: a list of objects, or an object whose members are such lists.

    `form` is its first bracket; `dropped` counts the objects of more than `longest` bytes.
    """

    def __init__(self, longest: int = MAX_OBJECT) -> None:
        self.dropped = 0
        self._longest = longest
        self.form = b""
        self._open = b""
        self._key = b'""'
        # What has come of an object, None for one that is too long; and of a text outside, or that
        # one in the object has begun.
        self._held: bytearray | None = None
        self._rest = b""

    def feed(self, data: bytes) -> dict[str, list[dict[str, Any]]]:
        """The objects that `data` completes, by their member's name, or "" for a list.

        Raises msgspec.DecodeError for what is no JSON.
        """
        data, found = self._rest + data, dict[str, list[dict[str, Any]]]()
        start, end = len(self._rest), 0
        for token in _TOKEN.finditer(data):
            mark = token[0]
            if token[1] == b"":
                break
            end = token.end()
            if mark in b"[{":
                if self._open in _AROUND:
                    self._held, start = bytearray(), token.start()
                self._open += mark
                self.form = self.form or mark
            elif mark in b"]}":
                self._open = self._open[:-1]
                if self._open in _AROUND:
                    self._take(data[start:end], found)
            elif self._open == b"{":
                self._key = mark
        self._hold(data[start:], data[end:])
        return found

    def end(self) -> None:
        """Raise msgspec.DecodeError if the answer is not whole."""
        if not self.form or self._open or self._rest.strip():
            raise msgspec.DecodeError("the list has no end")

    def _take(self, data: bytes, found: dict[str, list[dict[str, Any]]]) -> None:
        if self._held is None or len(self._held) + len(data) > self._longest:
            self.dropped += 1
        else:
            name = msgspec.json.decode(self._key, type=str)
            found.setdefault(name, []).append(msgspec.json.decode(self._held + data))
        self._held = None

    def _hold(self, data: bytes, rest: bytes) -> None:
        self._rest = rest
        if self._held is not None:
            self._held += data
            if len(self._held) > self._longest:
                self._held = None
        if self._open != b"{" or len(rest) > self._longest:
            # Of a text that is held or not needed: that it has begun, and whether an escape has.
            escapes = len(rest) - len(rest.rstrip(b"\\"))
            self._rest = b'"' + b"\\" * (escapes % 2) if b'"' in rest else b""
