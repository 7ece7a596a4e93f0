"""A line of the log as a record, for those who read it."""

import hashlib
from collections.abc import Iterable
from typing import Annotated

import msgspec

from airlock_daemon.audit.reading.files import LogFile, read_backward

_Count = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]

# How each line begins that was ever written with a chain.
_BEGINNING = b'{"ts":"'


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A record as far as its readers look at it: what they do not know is left out.

    `prev` is UNSET in logs of earlier implementations, which have no chain; `seq` is None in
    those of 0.4.0, which have a chain without numbers.
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
    count: _Count | None = None
    prev: str | msgspec.UnsetType | None = msgspec.UNSET

    @property
    def is_beginning(self) -> bool:
        """Whether a command or an operation begins with it, whose end is a record of its own."""
        return self.event in ("exec-start", "broker-start")

    @property
    def is_end(self) -> bool:
        """Whether such a command or operation ends with it."""
        return self.event == "exec" or (self.event == "broker" and self.request is None)

    @property
    def begun(self) -> str | None:
        """What the records of a beginning and its end have in common, and no others."""
        return self.id if self.request is None and isinstance(self.id, str) else self.request

    @property
    def weight(self) -> int:
        """For how many requests or connections it stands."""
        return 1 if self.count is None else self.count


class Last(msgspec.Struct, frozen=True, kw_only=True):
    """Where a log ends: the hash of its last line, and that of its last record with its number.

    `is_torn` says whether the last line lacks its newline. `sequence` is 0 where the record has no
    number, and `record` and `ts` are None where there is no record.
    """

    line: str | None = None
    is_torn: bool = False
    record: str | None = None
    sequence: int = 0
    ts: str | None = None


_decoder = msgspec.json.Decoder(Entry)


def read_entry(text: bytes) -> Entry | None:
    """The record that a line is; None for anything else."""
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def is_object(text: bytes) -> bool:
    """Whether a line is an object of JSON, as earlier implementations wrote them."""
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def is_torn(text: bytes) -> bool:
    """Whether a line that is no record can be the beginning of one.

    A host that loses its power may leave zeros behind it.
    """
    text = text.rstrip(b"\0")
    return text.startswith(_BEGINNING) or _BEGINNING.startswith(text)


def digest(text: bytes) -> str:
    """The hash that the next line has of this one."""
    return hashlib.sha256(text).hexdigest()


def find_last(files: Iterable[LogFile]) -> Last:
    """Where the log of these files, oldest first, ends."""
    last = Last()
    for file in reversed([*files]):
        for line in read_backward(file):
            if last.line is None:
                last = Last(line=digest(line.text), is_torn=not line.is_whole)
            entry = read_entry(line.text)
            if entry is not None:
                return msgspec.structs.replace(
                    last, record=digest(line.text), sequence=entry.seq or 0, ts=entry.ts
                )
    return last
