"""What the audit log says of one request, and how it is kept short and harmless to look at."""

import hashlib
from collections.abc import Sequence
from typing import Literal

import msgspec

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

# Bytes of one line, its newline included (PIPE_BUF too, so that lines on a pipe stay whole). Of
# them one text of the client's may take TEXT as it stands in the line, and all arguments ARGUMENTS.
LINE = 4096
TEXT = 448
ARGUMENTS = 1376
RULE = 160
DETAIL = 256
ASKED = 256
BEGINNING = 128
NUMBER_BITS = 1024


class Record(msgspec.Struct, kw_only=True):
    """One record; what does not apply is null. `prev` is the SHA-256 of the line before, in hex.

    `ts` begins each line, and `seq` counts the records from 1 on, across files and daemons.
    `asked` is what the client sent where a hook has put another command, args or cwd for it;
    `detail` is what a post-exec hook did, of a `broker` where it led and what was asked for there,
    of a `daemon-start` the version, and of a `reload` what it changed. `count` is there where one
    record stands for several requests or connections.
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
    count: int | None = None
    prev: str | None = None


def to_line(record: Record) -> bytes:
    """The record as it is written, without its newline: JSON, less than LINE bytes.

    Its texts were shortened by the functions below, but for `rule`, which can be what a module
    says.
    """
    if isinstance(record.rule, str):
        record.rule = shorten(record.rule, most=RULE)
    return to_json(record)


def shorten_all(args: Sequence[str], *, most: int = ARGUMENTS) -> list[object]:
    """Arguments as a record has them: those that do not fit are one object with a hash."""
    words: list[object] = []
    left = most
    for number, word in enumerate(args):
        value, size = _shorten(word, TEXT)
        left -= size + 1
        if left < 0:
            rest = args[number:]
            digest = hashlib.sha256(b"\0".join(_bytes(word) for word in rest)).hexdigest()
            words.append({"more": len(rest), "sha256": digest})
            break
        words.append(value)
    return words


def shorten(text: str, *, most: int = TEXT) -> object:
    """A text as a record has it: what takes more is an object of beginning, length and hash."""
    return _shorten(text, most)[0]


def shorten_asked(command: str, args: Sequence[str], cwd: str | None) -> object:
    """What a client sent, beside what a hook has put for it; a long one is shortened as a text."""
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
    """A request's id as a record has it; numbers may have thousands of digits too."""
    if isinstance(value, int) and value.bit_length() > NUMBER_BITS:
        return shorten(str(value))
    return shorten(value) if isinstance(value, str) else value


def _shorten(text: str, most: int) -> tuple[object, int]:
    """The same, and how many bytes it takes in the line."""
    # Each character takes one byte at least, so that no more than `most` are looked at.
    if len(text) <= most:
        value = encode_text(text)
        size = len(to_json(value))
        if size <= most:
            return value, size
    data = _bytes(text)
    begins = text[:BEGINNING]
    while len(to_json(encode_text(begins))) > BEGINNING:
        begins = begins[: len(begins) * 3 // 4]
    short = {
        "begins": encode_text(begins),
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    return short, len(to_json(short))


def to_json(value: object) -> bytes:
    r"""JSON in which whatever a terminal would not show as a character is an escape (\u202e).

    Its readers get the same text, and who looks at the file itself sees nothing that is not there.
    """
    line = msgspec.json.encode(value)
    text = line.decode()
    if text.isprintable():
        return line
    return "".join(char if char.isprintable() else _escape(char) for char in text).encode()


def _escape(char: str) -> str:
    # JSON writes characters beyond the first 65,536 as two (RFC 8259, section 7).
    units = char.encode("utf-16-be").hex()
    return "".join(f"\\u{units[start : start + 4]}" for start in range(0, len(units), 4))


def _bytes(word: str) -> bytes:
    return word.encode("utf-8", "surrogateescape")
