"""Heads: which record was the newest at some time, noted where the log's own writer is not."""

import re
import sys
from collections.abc import Sequence

import msgspec

from airlock_daemon.audit.reading.entry import find_last
from airlock_daemon.audit.reading.files import LogFile
from airlock_daemon.errors import AirlockError

_HASH = re.compile(r"\b[0-9a-f]{64}\b")
_SEQUENCE = re.compile(r'^\s*([0-9]{1,18})\s|"seq":\s*([0-9]{1,18})\b', re.MULTILINE)


class Head(msgspec.Struct, frozen=True):
    """The hash of a record, and its number where that is known; `ts` is when it was written."""

    hash: str
    seq: int | None = None
    ts: str | None = None

    def __str__(self) -> str:
        """The line that `log head` prints."""
        return " ".join(str(part) for part in (self.seq, self.hash, self.ts) if part is not None)


def find_head(files: Sequence[LogFile]) -> Head:
    """The newest record of a log; raises AirlockError where it has none."""
    last = find_last(files)
    if last.record is None:
        raise AirlockError(
            f"the audit log {files[-1].path} has no record yet",
            hint="the daemon writes the first one when it starts",
        )
    return Head(last.record, last.sequence or None, last.ts)


def load_heads(text: str) -> tuple[Head, ...]:
    """What was noted, from a hash, from the file of this name, or with "-" from stdin.

    Raises AirlockError where the file cannot be read, and as `read_heads` does.
    """
    if _HASH.fullmatch(text):
        return read_heads(text, source="--head")
    if text == "-":
        return read_heads(sys.stdin.read(), source="what came on stdin")
    try:
        with open(text, encoding="utf-8", errors="replace") as file:
            return read_heads(file.read(), source=text)
    except OSError as error:
        raise AirlockError(
            f"{text} cannot be read: {error.strerror}",
            hint="--head takes a hash of 64 hexadecimal digits, or a file with such lines",
        ) from error


def read_heads(text: str, *, source: str) -> tuple[Head, ...]:
    """What was noted: a hash, or what `log head` has printed, any number of times.

    With --json that is an object of several lines. Raises AirlockError for anything else.
    """
    heads: list[Head] = []
    for piece in text.split("}") if "{" in text else text.splitlines():
        if not piece.strip(" \t\r\n,[]"):
            continue
        found, number = _HASH.search(piece), _SEQUENCE.search(piece)
        if not found:
            heads.clear()
            break
        digits = number and (number[1] or number[2])
        heads.append(Head(found.group(), int(digits) if digits else None))
    if not heads:
        raise AirlockError(
            f"there is no head in {source}, or something else beside it",
            hint="note what airlock-daemon log head prints: a number and a SHA-256 of 64 digits",
        )
    return tuple(heads)
