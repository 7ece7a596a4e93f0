"""The post-exec hook, which sees a command's output before the client does.

A hook's answer may be as long as a command's output, and decoding that at once would block every
agent. So each string is decoded in pieces, and replaced by its number in a short object.
"""

import binascii
import codecs
import json
import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from airlock_daemon.boundary.command import Ended
from airlock_daemon.boundary.fairness import TurnQueue
from airlock_daemon.serving.request.hooks import HookFault, run_hook
from airlock_daemon.serving.request.state import AgentState, DaemonState
from airlock_daemon.serving.session import Session
from airlock_daemon.setup.generation import Generation
from airlock_wire import Stream

# A hook's answer may have this many times the bytes that are captured at most.
GROWTH = 2

# Bytes that are sent in one turn.
PIECE = 65536

# Bytes that are encoded at once: a multiple of three, so that base64 pieces can be joined.
ENCODED_PIECE = 3 * 4096

# A string of more bytes is replaced in the object by a numbered string longer than this.
_SHORT = 64
_NUMBERED = "#" * (_SHORT + 1)

# The object's bytes, without its long strings.
_OBJECT = 65536

# Base64 bytes that are decoded at once: a multiple of four.
_DECODED_PIECE = 65536

# The inside of a JSON string (RFC 8259, section 7), up to the last complete escape.
_INSIDE = re.compile(rb'[^"\\]*+(?:\\(?:u[0-9a-fA-F]{4}|[^u])[^"\\]*+)*+')
_ESCAPE = len(r"\uD83D")


class Captured:
    """The bytes of one stream, and whether they are UTF-8."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._is_text = True

    def add(self, data: bytes) -> None:
        """Append the next bytes."""
        self.data += data
        if self._is_text:
            try:
                self._decoder.decode(data)
            except UnicodeDecodeError:
                self._is_text = False

    def encode(self) -> Iterator[bytes]:
        """Yield its JSON in pieces: a string, or `{"base64": ...}` if it is not UTF-8."""
        is_text = self._is_text and not self._decoder.getstate()[0]
        yield b'"' if is_text else b'{"base64":"'
        decoder = codecs.getincrementaldecoder("utf-8")()
        for start in range(0, len(self.data), ENCODED_PIECE):
            piece = self.data[start : start + ENCODED_PIECE]
            if is_text:
                yield msgspec.json.encode(decoder.decode(piece))[1:-1]
            else:
                yield binascii.b2a_base64(piece, newline=False)
        yield b'"' if is_text else b'"}'


class Capture:
    """A command's output: the first `limit` bytes of both streams together.

    `dropped` counts the rest.
    """

    def __init__(self, limit: int) -> None:
        self._left = limit
        self.stdout = Captured()
        self.stderr = Captured()
        self.dropped = 0

    async def take(self, stream: Stream, data: bytes) -> None:
        """Add the next piece."""
        kept = data[: self._left]
        (self.stdout if stream == "stdout" else self.stderr).add(kept)
        self._left -= len(kept)
        self.dropped += len(data) - len(kept)

    def encode(self, ended: Ended) -> Iterator[bytes]:
        """Yield the hook's message in pieces, with how the command ended."""
        yield b'{"jsonrpc":"2.0","id":1,"result":{"exit_code":%d,"stdout":' % ended.exit_code
        yield from self.stdout.encode()
        yield b',"stderr":'
        yield from self.stderr.encode()
        if self.dropped:
            yield b',"dropped_bytes":%d' % self.dropped
        yield b"}}\n"


class _Exact(msgspec.Struct, frozen=True):
    base64: str


class _Values(msgspec.Struct, frozen=True, kw_only=True):
    exit_code: Annotated[int, Meta(ge=0, le=255)] | UnsetType = UNSET
    stdout: str | _Exact | UnsetType = UNSET
    stderr: str | _Exact | UnsetType = UNSET


class _Message(msgspec.Struct, frozen=True):
    result: _Values


class HookResult(msgspec.Struct, frozen=True, kw_only=True):
    """The values that a hook returns; None for those that it omits."""

    exit_code: int | None = None
    stdout: bytes | bytearray | None = None
    stderr: bytes | bytearray | None = None


class ResultReader:
    """Parses a message with a `result`; stores at most `limit` bytes of strings."""

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._object = bytearray()
        self._long: list[bytearray] = []
        self._text: bytearray | None = None
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Parse the next piece; raises ValueError for invalid JSON or too many bytes."""
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
        """The parsed result, None for no text; raises ValueError. `pause` yields the turn."""
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
        """Decode the available part of a string; returns its end, and whether it is complete."""
        match = _INSIDE.match(data, start)
        end = start if match is None else match.end()
        is_last = data[end : end + 1] == b'"'
        if not is_last and len(data) - end >= _ESCAPE:
            raise ValueError("a string has an escape that is none")
        source, used = codecs.utf_8_decode(data[start:end], "strict", is_last)
        decoded = json.loads(f'"{source}"')
        if decoded and "\ud800" <= decoded[-1] <= "\udbff" and not is_last:
            # The first half of a surrogate pair.
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
        for start in range(0, len(encoded), _DECODED_PIECE):
            decoded += binascii.a2b_base64(
                encoded[start : start + _DECODED_PIECE], strict_mode=True
            )
            await pause()
        return decoded

    def _find_text(self, value: str) -> bytes | bytearray:
        if value.startswith(_NUMBERED):
            return self._long[int(value.removeprefix(_NUMBERED))]
        return value.encode()


class Reviewed(msgspec.Struct, frozen=True, kw_only=True):
    """The client's output; `detail` is what the hook changed, for the audit record."""

    ended: Ended
    stdout: bytes | bytearray
    stderr: bytes | bytearray
    detail: str


async def review(
    capture: Capture,
    ended: Ended,
    path: str,
    *,
    generation: Generation,
    agent: AgentState,
    shared: DaemonState,
) -> Reviewed:
    """Show the hook at `path` a command's end and output; return what the client gets.

    If the hook fails, that is the original output, and `detail` says so. A last line of stderr
    reports dropped bytes.
    """
    reader = ResultReader(GROWTH * generation.hook_limits.capture_bytes)
    try:
        exit_code = await run_hook(
            path,
            capture.encode(ended),
            reader.feed,
            generation=generation,
            agent=agent,
            shared=shared,
        )
        if exit_code:
            raise HookFault(f"ended with exit status {exit_code}", rule="refused")
        result = await _finish(reader, agent.turns)
        detail = "post-exec left the output as it was"
    except HookFault as fault:
        result = HookResult()
        detail = f"post-exec {fault.message}; the output was sent as it was"
    stdout = capture.stdout.data if result.stdout is None else result.stdout
    stderr = capture.stderr.data if result.stderr is None else result.stderr
    if (stdout, stderr) != (capture.stdout.data, capture.stderr.data):
        detail = "post-exec gave other output"
    if result.exit_code not in (None, ended.exit_code):
        ended = Ended(result.exit_code, None)
        detail += f", and exit status {result.exit_code}"
    if capture.dropped:
        dropped = f"{capture.dropped} bytes of output beyond [hooks] capture_max_mb were dropped"
        detail += f"; {dropped}"
        begun = b"\n" if stderr and not stderr.endswith(b"\n") else b""
        stderr = stderr + begun + f"airlock: {dropped}; write less, or into a file\n".encode()
    return Reviewed(ended=ended, stdout=stdout, stderr=stderr, detail=detail)


async def send(reviewed: Reviewed, session: Session, turns: TurnQueue) -> None:
    """Send the output; raises ClientGone."""
    outputs: tuple[tuple[Stream, bytes | bytearray], ...]
    outputs = ("stdout", reviewed.stdout), ("stderr", reviewed.stderr)
    for stream, data in outputs:
        for start in range(0, len(data), PIECE):
            await turns.take()
            await session.send_output(stream, bytes(data[start : start + PIECE]))


async def _finish(reader: ResultReader, turns: TurnQueue) -> HookResult:
    try:
        result = await reader.finish(turns.take)
    except (ValueError, RecursionError) as error:
        raise HookFault(f"printed what is no result: {error}", rule="answer") from None
    if result == HookResult():
        raise HookFault("printed a result without a value", rule="answer")
    return result or HookResult()
