"""The files of a log at one moment, their lines and their records."""

import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Annotated

import msgspec

from airlock_daemon.errors import AirlockError

BLOCK = 65536

_Count = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]

# How each line of a chained log begins, in every release.
_BEGINNING = b'{"ts":"'


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

    `is_whole` says whether it has a newline; only a file's last line may lack it.
    """

    file: LogFile
    offset: int
    text: bytes
    is_whole: bool

    @property
    def end(self) -> int:
        """The offset of the next line."""
        return self.offset + len(self.text) + self.is_whole

    def find_number(self) -> int:
        """Count the line's number in its file, from 1; reads the file up to it."""
        number, position = 1, 0
        while position < self.offset:
            step = min(BLOCK, self.offset - position)
            block = os.pread(self.file.descriptor, step, position)
            if not block:
                break
            number += block.count(b"\n")
            position += len(block)
        return number


@contextmanager
def open_log(path: str) -> Iterator[list[LogFile]]:
    """Open all files of the log `path`, oldest first, and close them after the block.

    Loses none to a rotation meanwhile. Raises AirlockError if there is no log or it cannot be read.
    """
    files: dict[tuple[int, int], LogFile] = {}
    try:
        # Newest first: a file renamed meanwhile is found again under its next number.
        for number in _numbers(path):
            file = _open_file(f"{path}.{number}" if number else path, number)
            if file is not None:
                status = os.fstat(file.descriptor)
                before = files.get((status.st_dev, status.st_ino))
                files[status.st_dev, status.st_ino] = file
                if before is not None:
                    os.close(before.descriptor)
        if not files:
            raise AirlockError(
                f"there is no audit log at {path}",
                hint="the daemon begins it when it starts; of another configuration: --config DIR",
            )
        yield sorted(files.values(), key=lambda file: -file.number)
    finally:
        for file in files.values():
            os.close(file.descriptor)


def _numbers(path: str) -> Iterator[int]:
    """Yield 0 up to the highest number of a rotated file, listed again when that is reached."""
    directory, name = os.path.split(path)
    rotated = re.compile(re.escape(name) + r"\.([1-9][0-9]{0,3})")
    number = highest = 0
    while number <= highest:
        yield number
        number += 1
        if number > highest:
            with suppress(OSError):
                found = filter(None, map(rotated.fullmatch, os.listdir(directory)))
                highest = max((int(match[1]) for match in found), default=0)


def _open_file(path: str, number: int) -> LogFile | None:
    """Open one file; None if it is missing, or if a rotated file's name is no regular file."""
    try:
        # Opening a FIFO must not wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise AirlockError(
            f"the audit log {path} cannot be read: {error.strerror}",
            hint="ask as the user that the daemon runs as, whose alone the log is",
        ) from error
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode):
        return LogFile(path=path, number=number, descriptor=descriptor, size=status.st_size)
    os.close(descriptor)
    if number:
        return None
    raise AirlockError(
        f"the audit log {path} is no regular file, so that there is nothing to read in it",
        hint="set [log] path in config.toml to a file",
    )


def read_lines(file: LogFile, *, start: int = 0) -> Iterator[Line]:
    """Yield a file's lines from byte `start`, which begins a line, up to its size."""
    position = offset = start
    pieces: list[bytes] = []
    while position < file.size:
        block = os.pread(file.descriptor, min(BLOCK, file.size - position), position)
        if not block:
            break
        position += len(block)
        *ended, rest = block.split(b"\n")
        for piece in ended:
            line = Line(file, offset, b"".join([*pieces, piece]), is_whole=True)
            pieces.clear()
            offset = line.end
            yield line
        if rest:
            pieces.append(rest)
    if pieces:
        yield Line(file, offset, b"".join(pieces), is_whole=False)


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

    @property
    def is_beginning(self) -> bool:
        """Whether it records a start of a command or operation, whose end has its own record."""
        return self.event in ("exec-start", "broker-start")

    @property
    def is_end(self) -> bool:
        """Whether it records the end of such a command or operation."""
        return self.event == "exec" or (self.event == "broker" and self.request is None)

    @property
    def begun(self) -> str | None:
        """The id that the records of a start and its end share."""
        return self.id if self.request is None and isinstance(self.id, str) else self.request

    @property
    def weight(self) -> int:
        """The number of requests or connections that it counts."""
        return 1 if self.count is None else self.count


class Last(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a log: the hash of its last line, and its last record's hash and number.

    `is_torn` says whether the last line lacks its newline. `sequence` is 0 if the record has no
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


def is_object(text: bytes) -> bool:
    """Whether a line is a JSON object, as earlier implementations wrote."""
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def is_torn(text: bytes) -> bool:
    """Whether a line that is no record can be the first part of one.

    A host that loses power may leave zero bytes after it.
    """
    text = text.rstrip(b"\0")
    return text.startswith(_BEGINNING) or _BEGINNING.startswith(text)


def digest(text: bytes) -> str:
    """The line's hash, which the next line contains."""
    return hashlib.sha256(text).hexdigest()


def find_last(files: Iterable[LogFile]) -> Last:
    """The end of the log in these files, oldest first."""
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
