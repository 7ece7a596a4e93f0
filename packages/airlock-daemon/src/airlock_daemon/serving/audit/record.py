"""The records of a log: as they are written, short and safe to print, and as files have them."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Literal, NamedTuple

import msgspec
from msgspec.structs import replace

from airlock_daemon.boundary.audit_text import shorten, to_json
from airlock_wire import encode_text

Event = Literal[
    "exec-start",
    "exec",
    "check",
    "broker-start",
    "broker",
    "invalid",
    "daemon-start",
    "daemon-stop",
    "reload",
]
Outcome = Literal["allowed", "denied", "failed", "aborted", "invalid"]


class Kind(NamedTuple):
    """The members that counted records share. `rule` is for limits only."""

    event: Event
    outcome: Outcome | None
    layer: str | None
    rule: object | None = None


# Bytes of a line with its newline (PIPE_BUF too, so that lines on a pipe stay whole).
LINE = 4096
RULE = 160
DETAIL = 256
ASKED_BYTES = 256
NUMBER_BITS = 1024


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One record; members that do not apply are null. `prev` is the previous line's SHA-256 in hex.

    `ts` begins each line; `seq` counts records from 1, across files and daemons. `asked` is what
    the client sent if a hook replaced command, args or cwd. `detail` is what a post-exec hook did,
    a `broker`'s destination and operation, a `daemon-start`'s version, or a `reload`'s changes.
    `approval` names the question that a person has answered, and that person. `count` is set if one
    record covers several requests or connections.
    """

    ts: str = ""
    seq: int | None = None
    event: Event
    request: str | None = None
    id: object | None = None
    profile: str | None = None
    command: object | None = None
    args: Sequence[object] | None = None
    cwd: object | None = None
    asked: object | None = None
    exit_code: int | None = None
    signal: str | None = None
    duration_ms: float | None = None
    outcome: Outcome | None = None
    reason: object | None = None
    layer: str | None = None
    rule: object | None = None
    container: str | None = None
    container_proven: bool | None = None
    peer: dict[str, int] | None = None
    sandbox: str | None = None
    bytes_out: int | None = None
    detail: object | None = None
    approval: object | None = None
    count: int | None = None
    prev: str | None = None


def to_line(record: Record) -> bytes:
    """The record's line without its newline: JSON, less than LINE bytes.

    Its texts are shortened already, except `rule`, which may come from a module.
    """
    if isinstance(record.rule, str):
        record = replace(record, rule=shorten(record.rule, limit=RULE))
    return to_json(record)


def shorten_asked(command: str, args: Sequence[str], cwd: str | None) -> object:
    """What the client sent before a hook replaced it; shortened as one text if long."""
    asked = {
        "command": encode_text(command),
        "args": [encode_text(word) for word in args],
        "cwd": None if cwd is None else encode_text(cwd),
    }
    line = msgspec.json.encode(asked)
    if len(line) <= ASKED_BYTES and len(to_json(asked)) <= ASKED_BYTES:
        return asked
    return shorten(line.decode(), limit=ASKED_BYTES)


def shorten_id(value: str | float | None) -> object:
    """A request's id for a record; numbers may have thousands of digits."""
    if isinstance(value, int) and value.bit_length() > NUMBER_BITS:
        return shorten(str(value))
    return shorten(value) if isinstance(value, str) else value


BLOCK = 65536

_Count = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]


class LogFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a log: `number` is 0 for the newest, `size` is in bytes when it was opened.

    `path` is the name it was opened by; a rotation renames it.
    """

    path: str
    number: int
    descriptor: int
    size: int


class Line(msgspec.Struct, frozen=True):
    """One line: its byte offset in its file, and its text without the newline.

    `is_complete` says whether it has a newline; only a file's last line may lack it.
    """

    file: LogFile
    offset: int
    text: bytes
    is_whole: bool

    @property
    def end(self) -> int:
        """The offset of the next line."""
        return self.offset + len(self.text) + self.is_whole


def read_backward(file: LogFile) -> Iterator[Line]:
    """Yield a file's lines, last first."""
    position = file.size
    pieces: list[bytes] = []
    while position > 0:
        step = min(BLOCK, position)
        position -= step
        block = os.pread(file.descriptor, step, position)
        if len(block) < step:
            return
        end = step
        # Without pieces, a newline right before `end` is the line's own.
        while (begin := block.rfind(b"\n", 0, end if pieces else end - 1) + 1) > 0:
            yield _join(file, position + begin, block[begin:end], pieces)
            pieces, end = [], begin
        pieces.append(block[:end])
    if pieces:
        yield _join(file, 0, b"", pieces)


def _join(file: LogFile, offset: int, begins: bytes, pieces: list[bytes]) -> Line:
    text = begins + b"".join(reversed(pieces))
    is_whole = text.endswith(b"\n")
    return Line(file, offset, text[:-1] if is_whole else text, is_whole)


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A record with the members that readers use.

    `prev` is UNSET in logs of earlier implementations, which have no chain; `seq` is None in those
    of 0.4.0, whose chain has no numbers.
    """

    ts: str
    event: str
    seq: _Count | None = None
    id: object = None
    request: str | None = None
    profile: str | None = None
    command: object = None
    args: list[object] | None = None
    exit_code: int | None = None
    signal: str | None = None
    duration_ms: float | None = None
    outcome: str | None = None
    reason: object = None
    layer: str | None = None
    rule: object = None
    sandbox: object = None
    detail: object = None
    approval: object = None
    count: _Count | None = None
    prev: str | msgspec.UnsetType | None = msgspec.UNSET


class LogEnd(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a log: the hash of its last line, and its last record's hash and number.

    `is_partial` says whether the last line lacks its newline. `sequence` is 0 if the record has no
    number; `record` and `ts` are None if there is no record.
    """

    line: str | None = None
    is_torn: bool = False
    record: str | None = None
    sequence: int = 0
    ts: str | None = None


_decoder = msgspec.json.Decoder(Entry)


def read_entry(text: bytes) -> Entry | None:
    """Parse a line as a record; None if it is none."""
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def digest(text: bytes) -> str:
    """The line's hash, which the next line contains."""
    return hashlib.sha256(text).hexdigest()


def find_end(files: Iterable[LogFile]) -> LogEnd:
    """The end of the log in these files, oldest first."""
    last = LogEnd()
    for file in reversed([*files]):
        for line in read_backward(file):
            if last.line is None:
                last = LogEnd(line=digest(line.text), is_torn=not line.is_whole)
            entry = read_entry(line.text)
            if entry is not None:
                record = digest(line.text)
                return replace(last, record=record, sequence=entry.seq or 0, ts=entry.ts)
    return last
