"""What the audit log says of one request, and how it is kept short."""

import hashlib
from collections.abc import Sequence
from typing import Literal

import msgspec

from airlock_wire import encode_text

Event = Literal["exec-start", "exec", "check", "invalid", "daemon-start", "daemon-stop"]
Outcome = Literal["allowed", "denied", "failed", "aborted", "invalid"]

# A request may have 10,000 arguments of any length. What is longer than this is recorded by its
# beginning, its length and its hash, so that nobody can flood the evidence out of the log.
CHARACTERS = 512
ARGUMENTS = 256
NUMBER_BITS = 1024


class Record(msgspec.Struct, kw_only=True):
    """One record; what does not apply is null. `prev` is the SHA-256 of the line before, in hex.

    `count` is there where one record stands for several connections that were refused unread.
    """

    ts: str = ""
    event: Event
    request: str | None = None
    id: object | None = None
    profile: str | None = None
    command: object | None = None
    args: Sequence[object] | None = None
    cwd: object | None = None
    exit_code: int | None = None
    signal: str | None = None
    duration_ms: float | None = None
    outcome: Outcome | None = None
    reason: object | None = None
    layer: str | None = None
    rule: str | None = None
    container: str | None = None
    container_proven: bool | None = None
    peer: dict[str, int] | None = None
    sandbox: str | None = None
    bytes_out: int | None = None
    detail: str | None = None
    count: int | None = None
    prev: str | None = None


def shorten_all(args: Sequence[str]) -> list[object]:
    """Arguments as a record has them: those past 256 are one object with a hash."""
    words = [shorten(word) for word in args[:ARGUMENTS]]
    rest = args[ARGUMENTS:]
    if rest:
        digest = hashlib.sha256(b"\0".join(_bytes(word) for word in rest)).hexdigest()
        words.append({"more": len(rest), "sha256": digest})
    return words


def shorten(text: str) -> object:
    """A text as a record has it: long ones are an object of beginning, length and hash."""
    if len(text) <= CHARACTERS:
        return encode_text(text)
    data = _bytes(text)
    return {
        "begins": encode_text(text[:64]),
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }


def shorten_id(value: str | float | None) -> object:
    """A request's id as a record has it; numbers may have thousands of digits too."""
    if isinstance(value, int) and value.bit_length() > NUMBER_BITS:
        return shorten(str(value))
    return shorten(value) if isinstance(value, str) else value


def _bytes(word: str) -> bytes:
    return word.encode("utf-8", "surrogateescape")
