"""Verifies the log: each record has a number, and the hash of the line before it.

A record's number is one more than the previous record's; its `prev` is the hash of the previous
line, also if that is in another file, or is a record cut short by a killed daemon or a full disk.
The chain alone cannot show that lines are missing at its end, or that somebody with write access
has rewritten all of it: that takes a head that was noted elsewhere.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec
from msgspec import UNSET

from airlock_daemon.admin.log.items import read_lines
from airlock_daemon.errors import AirlockError
from airlock_daemon.serving.audit.record import Entry, LogFile, digest, find_end, read_entry
from airlock_wire import quote

# The most faults that are listed; all are counted.
LISTED = 100

_HASH = re.compile(r"\b[0-9a-f]{64}\b")
_SEQUENCE = re.compile(r'^\s*([0-9]{1,18})\s|"seq":\s*([0-9]{1,18})\b', re.MULTILINE)

Kind = Literal[
    "removed", "changed", "moved", "no-record", "beginning", "head", "torn", "unchained", "rotated"
]


class Head(msgspec.Struct, frozen=True):
    """A record's hash, and its number if known; `ts` is its time."""

    hash: str
    seq: int | None = None
    ts: str | None = None

    def __str__(self) -> str:
        """The output line of `log head`."""
        return " ".join(str(part) for part in (self.seq, self.hash, self.ts) if part is not None)


class Remark(msgspec.Struct, frozen=True):
    """A finding, its place and its meaning; `line` counts from 1, 0 is the whole log."""

    kind: Kind
    file: str
    line: int
    message: str

    def __str__(self) -> str:
        """Format it as one line for a person."""
        return f"{self.file}:{self.line}: {self.message}" if self.line else self.message


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """The result of reading a log once. It is whole without faults.

    `records` counts those of the chain, `first` and `last` are its ends, and `faults` lists the
    first `LISTED` of `fault_count`. `notes` are no faults.
    """

    files: int
    records: int
    first: Head | None
    last: Head | None
    fault_count: int
    faults: tuple[Remark, ...]
    notes: tuple[Remark, ...]

    @property
    def is_whole(self) -> bool:
        """Whether there are no faults."""
        return not self.fault_count


def verify(files: Sequence[LogFile], *, max_files: int, heads: Sequence[Head] = ()) -> Verified:
    """Read a log, oldest file first, and check it against its chain and the heads.

    `max_files` is the rotation's limit: with fewer files, none has been deleted.
    """
    chain = _Chain(files, max_files=max_files, heads=heads)
    chain.read()
    return Verified(
        files=len(files),
        records=chain.records,
        first=chain.first,
        last=chain.last,
        fault_count=chain.fault_count,
        faults=tuple(chain.faults),
        notes=tuple(chain.notes),
    )


class _Chain:
    """One pass; `_previous` is None before the first line, and numbers are 0 if unknown."""

    def __init__(self, files: Sequence[LogFile], *, max_files: int, heads: Sequence[Head]) -> None:
        self.records = 0
        self.first: Head | None = None
        self.last: Head | None = None
        self.fault_count = 0
        self.faults: list[Remark] = []
        self.notes: list[Remark] = []
        self._files = files
        self._max_files = max_files
        self._heads = {head.hash: head for head in heads}
        # Whether heads were given, and none of them was found, nor missed.
        self._is_unproven = bool(heads)
        self._file = files[0].path
        self._line = 0
        self._previous: str | None = None
        self._sequence = 0
        self._unchained = 0

    def read(self) -> None:
        for file in self._files:
            self._file = file.path
            for number, line in enumerate(read_lines(file), start=1):
                self._line = number
                self._check(line.text, is_whole=line.is_whole)
        self._file, self._line = self._files[-1].path, 0
        for head in self._heads.values():
            self._miss(head)
        if self._is_unproven:
            self._fault(
                "head",
                "none of the heads that were noted is in the log: all are older than what rotation "
                "has kept, or the log was begun anew behind them; nothing in it is proved",
            )

    def _check(self, text: bytes, *, is_whole: bool) -> None:
        entry, found = read_entry(text), digest(text)
        is_old = entry is None and self.first is None and is_object(text)
        if is_old or (entry is not None and entry.prev is UNSET):
            self._check_unchained()
        elif entry is None:
            self._check_other(text, is_whole=is_whole)
        else:
            self._check_record(entry, found)
        self._previous = found

    def _check_record(self, entry: Entry, found: str) -> None:
        if self.first is None:
            self._begin(entry)
            self.first = Head(found, entry.seq, entry.ts)
        else:
            self._continue(entry)
        self.records += 1
        self.last = Head(found, entry.seq, entry.ts)
        self._sequence = entry.seq or self._sequence
        head = self._heads.pop(found, None)
        if head is not None:
            self._is_unproven = False
            if head.seq is not None and head.seq != entry.seq:
                self._fault("head", f"this is the head that was noted as record {head.seq}")

    def _begin(self, entry: Entry) -> None:
        is_numbered = entry.seq is not None and entry.seq > 1
        before = f"the records before {entry.seq}" if is_numbered else "the records before it"
        if self._previous not in (None, entry.prev):
            self._fault("changed", "this record does not continue the line before it")
        elif self._previous == entry.prev and (entry.seq or 1) == 1:
            if self._unchained:
                self._note(
                    "unchained",
                    f"the chain begins here; the {self._unchained} records before it are those of "
                    "an earlier release, which nothing proves",
                )
        elif self._files[0].number + 1 < self._max_files:
            self._fault(
                "beginning",
                f"{before} are missing, though rotation deletes none before there are "
                f"{self._max_files} files: removed, or moved away, or [log] max_files was raised",
            )
        else:
            number = f"record {entry.seq}" if entry.seq else "this record"
            self._note("rotated", f"the chain begins with {number}: rotation deleted {before}")

    def _continue(self, entry: Entry) -> None:
        expected = self._sequence + 1
        number = expected if entry.seq is None else entry.seq
        if number > expected:
            one, several = f"record {expected} is", f"records {expected} to {number - 1} are"
            gap = one if number == expected + 1 else several
            self._fault("removed", f"{gap} missing before this record, which is {number}")
        elif number < expected:
            self._fault(
                "moved",
                f"record {number} stands behind record {self._sequence}: one of them was moved or "
                "put in, or the log was begun anew",
            )
        elif entry.prev != self._previous:
            self._fault(
                "changed",
                "this record does not continue the line before it: one of the two was changed, or "
                "what stood between them was removed or put in",
            )

    def _check_unchained(self) -> None:
        self._unchained += 1
        if self.first is not None:
            self._fault("no-record", "this record has no place in the chain: it was put in")

    def _check_other(self, text: bytes, *, is_whole: bool) -> None:
        if not is_partial(text):
            shown = quote(text[:60].decode("utf-8", "surrogateescape"))
            self._fault("no-record", f"this is no record, nor the beginning of one: {shown}")
        elif is_whole or self._file != self._files[-1].path:
            self._note(
                "torn",
                "a record was cut short here: the daemon was killed, or the disk was full, while "
                "it was written; nothing that was told as written is lost",
            )
        else:
            self._note(
                "torn", "this line is not ended: it is being written, or a daemon was killed"
            )

    def _miss(self, head: Head) -> None:
        number = "" if head.seq is None else f"record {head.seq}, "
        first, last = self.first and self.first.seq, self.last and self.last.seq
        if head.seq and first and head.seq < first:
            self._note(
                "rotated", f"the head that was noted, {number}is older than what rotation has kept"
            )
            return
        self._is_unproven = False
        if head.seq and head.seq > (last or 0):
            self._fault(
                "head",
                f"the head that was noted, {number}is not there: the log was cut at its end, and "
                f"goes to record {last or 0}",
            )
        else:
            self._fault(
                "head",
                f"the head that was noted, {number}{head.hash[:16]}..., is not there: the log was "
                "cut or written anew"
                + ("" if head.seq else ", or rotation has deleted that record"),
            )

    def _fault(self, kind: Kind, message: str) -> None:
        self.fault_count += 1
        if len(self.faults) < LISTED:
            self.faults.append(Remark(kind, self._file, self._line, message))

    def _note(self, kind: Kind, message: str) -> None:
        if len(self.notes) < LISTED:
            self.notes.append(Remark(kind, self._file, self._line, message))


def describe(verified: Verified) -> Iterator[str]:
    """The findings as lines for a person, then whether the log is whole, or what to do."""
    yield from (f"note: {note}" for note in verified.notes)
    yield from (f"fault: {fault}" for fault in verified.faults)
    if (more := verified.fault_count - len(verified.faults)) > 0:
        yield f"fault: and {more} more"
    files = "1 file" if verified.files == 1 else f"{verified.files} files"
    count = "1 record" if verified.records == 1 else f"{verified.records} records"
    ends = f"; head {verified.last}" if verified.last else ""
    state = "whole" if verified.is_whole else "not whole"
    yield f"{state}: {count} in {files}{ends}"
    if not verified.is_whole:
        yield (
            "hint: keep a copy of these files as they are, and look for what could write to them "
            "beside the daemon"
        )


def find_head(files: Sequence[LogFile]) -> Head:
    """The newest record of a log; raises AirlockError if it has none."""
    last = find_end(files)
    if last.record is None:
        raise AirlockError(
            f"the audit log {files[-1].path} has no record yet",
            hint="the daemon writes the first one when it starts",
        )
    return Head(last.record, last.sequence or None, last.ts)


def load_heads(text: str) -> tuple[Head, ...]:
    """Noted heads, from a hash, from the file of this name, or with "-" from stdin.

    Raises AirlockError if the file cannot be read, and as `read_heads` does.
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
    """Parse noted heads: a hash, or the output of `log head`, any number of times.

    The output of --json is an object of several lines. Raises AirlockError for anything else.
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
            hint="note what airlock log head prints: a number and a SHA-256 of 64 digits",
        )
    return tuple(heads)


# How each line of a chained log begins, in every release.
_BEGINNING = b'{"ts":"'


def is_object(text: bytes) -> bool:
    """Whether a line is a JSON object, as earlier implementations wrote."""
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def is_partial(text: bytes) -> bool:
    """Whether a line that is no record can be the first part of one.

    A host that loses power may leave zero bytes after it.
    """
    text = text.rstrip(b"\0")
    return text.startswith(_BEGINNING) or _BEGINNING.startswith(text)
