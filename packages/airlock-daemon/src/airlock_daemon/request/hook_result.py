"""What a post-exec hook prints, read as it comes.

It may be as long as a command's output, and to decode that in one go would keep every agent
waiting. So each string is decoded in pieces. What remains is a short object, in which a long string
is represented by its number.
"""

import binascii
import codecs
import json
import re
from collections.abc import Awaitable, Callable
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

# A string of more bytes is replaced in the object, by a string that is longer than this.
_SHORT = 64
_NUMBERED = "#" * (_SHORT + 1)

# Of the object without its long strings, in bytes.
_OBJECT = 65536

# Base64 that is decoded at once: a multiple of four.
_PIECE = 65536

# As much of the inside of a JSON string (RFC 8259, section 7) as is whole.
_INSIDE = re.compile(rb'[^"\\]*+(?:\\(?:u[0-9a-fA-F]{4}|[^u])[^"\\]*+)*+')
_ESCAPE = len(r"\uD83D")


class _Exact(msgspec.Struct, frozen=True):
    base64: str


class _Values(msgspec.Struct, frozen=True, kw_only=True):
    exit_code: Annotated[int, Meta(ge=0, le=255)] | UnsetType = UNSET
    stdout: str | _Exact | UnsetType = UNSET
    stderr: str | _Exact | UnsetType = UNSET


class _Message(msgspec.Struct, frozen=True):
    result: _Values


class HookResult(msgspec.Struct, frozen=True, kw_only=True):
    """The values that a hook gives; None for those that it leaves out."""

    exit_code: int | None = None
    stdout: bytes | bytearray | None = None
    stderr: bytes | bytearray | None = None


class ResultReader:
    """Takes the text of a message whose `result` has values, and holds `most` bytes of strings."""

    def __init__(self, most: int) -> None:
        self._left = most
        self._object = bytearray()
        self._long: list[bytearray] = []
        self._text: bytearray | None = None
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Take the next piece; raises ValueError where it is no JSON, or too long."""
        data = self._rest + data
        place = 0
        while place < len(data):
            if self._text is None:
                quote = data.find(b'"', place)
                end = len(data) if quote < 0 else quote
                self._keep(data[place:end])
                place = end
                if quote >= 0:
                    self._text = bytearray()
                    place += 1
                continue
            end, is_last = self._read_text(self._text, data, place)
            place = end
            if is_last:
                self._end_text(self._text)
                place += 1
            else:
                break
        self._rest = data[place:]

    async def finish(self, pause: Callable[[], Awaitable[None]]) -> HookResult | None:
        """What it all says, None for nothing; raises ValueError. `pause` lets others have turns."""
        if self._text is not None:
            raise ValueError("it ends inside of a string")
        if not self._object.strip():
            return None
        values = msgspec.json.decode(self._object, type=_Message).result
        return HookResult(
            exit_code=None if values.exit_code is UNSET else values.exit_code,
            stdout=await self._find(values.stdout, pause),
            stderr=await self._find(values.stderr, pause),
        )

    def _keep(self, data: bytes) -> None:
        self._object += data
        if len(self._object) > _OBJECT:
            raise ValueError(f"it has more than {_OBJECT} bytes beside its long strings")

    def _read_text(self, text: bytearray, data: bytes, start: int) -> tuple[int, bool]:
        """Decode what is there of a string; returns where that ends, and if the string does."""
        match = _INSIDE.match(data, start)
        end = start if match is None else match.end()
        is_last = data[end : end + 1] == b'"'
        if not is_last and len(data) - end >= _ESCAPE:
            raise ValueError("a string has an escape that is none")
        source, used = codecs.utf_8_decode(data[start:end], "strict", is_last)
        decoded = json.loads(f'"{source}"')
        if decoded and "\ud800" <= decoded[-1] <= "\udbff" and not is_last:
            # The first half of a pair.
            decoded, used = decoded[:-1], used - _ESCAPE
        piece = decoded.encode()
        text += piece
        self._left -= len(piece)
        if self._left < 0:
            raise ValueError("it is too long")
        return start + used, is_last

    def _end_text(self, text: bytearray) -> None:
        self._text = None
        if len(text) <= _SHORT:
            self._keep(msgspec.json.encode(str(text, "utf-8")))
            return
        self._keep(f'"{_NUMBERED}{len(self._long)}"'.encode())
        self._long.append(text)

    async def _find(
        self, value: str | _Exact | UnsetType, pause: Callable[[], Awaitable[None]]
    ) -> bytes | bytearray | None:
        if value is UNSET:
            return None
        if isinstance(value, str):
            return self._find_text(value)
        encoded, decoded = self._find_text(value.base64), bytearray()
        for start in range(0, len(encoded), _PIECE):
            decoded += binascii.a2b_base64(encoded[start : start + _PIECE], strict_mode=True)
            await pause()
        return decoded

    def _find_text(self, value: str) -> bytes | bytearray:
        if value.startswith(_NUMBERED):
            return self._long[int(value.removeprefix(_NUMBERED))]
        return value.encode()
