"""One audit record, kept short and safe to print."""

from collections.abc import Sequence
from typing import Literal

import msgspec

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

# Bytes of a line with its newline (PIPE_BUF too, so that lines on a pipe stay whole).
LINE = 4096
RULE = 160
DETAIL = 256
ASKED = 256
NUMBER_BITS = 1024


class Record(msgspec.Struct, kw_only=True):
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
        record.rule = shorten(record.rule, most=RULE)
    return to_json(record)


def shorten_asked(command: str, args: Sequence[str], cwd: str | None) -> object:
    """What the client sent before a hook replaced it; shortened as one text if long."""
    asked = {
        "command": encode_text(command),
        "args": [encode_text(word) for word in args],
        "cwd": None if cwd is None else encode_text(cwd),
    }
    line = msgspec.json.encode(asked)
    if len(line) <= ASKED and len(to_json(asked)) <= ASKED:
        return asked
    return shorten(line.decode(), most=ASKED)


def shorten_id(value: str | float | None) -> object:
    """A request's id for a record; numbers may have thousands of digits."""
    if isinstance(value, int) and value.bit_length() > NUMBER_BITS:
        return shorten(str(value))
    return shorten(value) if isinstance(value, str) else value
