"""Opens the log, and shows its lines: the newest, added ones, and their format.

Our own columns come first: time, agent, outcome. A client's words follow, quoted unless plain, so
that they can neither end the line nor imitate another.
"""

import base64
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Literal

import msgspec

from airlock_daemon.boundary.audit_text import to_json
from airlock_daemon.errors import AirlockError
from airlock_daemon.serving.audit.record import (
    BLOCK,
    Entry,
    Line,
    LogFile,
    read_backward,
    read_entry,
)
from airlock_modules.operation import MAX_WORD, join_words, spell_word
from airlock_wire import is_shown, quote

_NO_BOX = (None, "off", "broker")
"""Values of a record's `sandbox` for a command without a box."""

_COLOURS = {
    "allowed": "32",
    "denied": "31",
    "invalid": "31",
    "failed": "33",
    "aborted": "33",
    "cut-off": "33",
}
_DIM = "2"

State = Literal["running", "cut-off"]


class Item(msgspec.Struct, frozen=True):
    """A line to show: a request's end, another event, or no record at all.

    `state` is set for a command that started and has no end in the log: it still runs, or the
    daemon was killed with it.
    """

    line: Line
    entry: Entry | None
    state: State | None = None

    @property
    def outcome(self) -> str | None:
        """How the request ended, or its state."""
        return self.state or (self.entry.outcome if self.entry else None)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """The lines to show: those with each of these values that is not None."""

    agent: str | None = None
    command: str | None = None
    outcome: str | None = None
    layer: str | None = None

    def matches(self, item: Item) -> bool:
        """Whether to show it; a line that is no record is always shown, as it could be anything."""
        entry = item.entry
        return entry is None or (
            self.agent in (None, entry.profile)
            and self.command in (None, entry.command)
            and self.outcome in (None, item.outcome)
            and self.layer in (None, entry.layer)
        )


class StartedCommands:
    """Tracks started commands, reading forward; yields those cut off by a killed daemon.

    `running` are those that started before.
    """

    def __init__(self, running: Iterable[Item] = ()) -> None:
        self._begun = {find_begun(item.entry): item for item in running if item.entry}

    def read(self, line: Line) -> Iterator[Item]:
        """Yield what to show after this line."""
        item = read_item(line)
        entry = item.entry
        if entry is not None and is_beginning(entry):
            self._begun[find_begun(entry)] = item
            return
        if entry is not None and entry.event == "daemon-start":
            for begun in self._begun.values():
                yield msgspec.structs.replace(begun, state="cut-off")
            self._begun.clear()
        if entry is not None and is_end(entry):
            self._begun.pop(find_begun(entry), None)
        yield item


def find_recent(
    files: Sequence[LogFile], wanted: Wanted, *, limit: int | None = None
) -> list[Item]:
    """The newest wanted lines, oldest first, at most `limit`.

    Excludes an unfinished last line. Reads backward from the end, as far as needed.
    """
    limit = sys.maxsize if limit is None else limit
    found: list[Item] = []
    ended: set[str | None] = set()
    is_restarted = False
    for line in _backward(files):
        # Commands do not survive a daemon's restart.
        if len(found) >= limit or (is_restarted and wanted.outcome == "running"):
            break
        entry = read_entry(line.text)
        item = Item(line, entry)
        if entry is not None and is_beginning(entry):
            if find_begun(entry) in ended:
                ended.discard(find_begun(entry))
                continue
            item = Item(line, entry, "cut-off" if is_restarted else "running")
        elif entry is not None and is_end(entry) and entry.outcome != "denied":
            # A denied command never started.
            ended.add(find_begun(entry))
        is_restarted |= entry is not None and entry.event == "daemon-start"
        if wanted.matches(item):
            found.append(item)
    return found[::-1]


def list_lines(
    files: Sequence[LogFile], wanted: Wanted, *, limit: int | None = None
) -> Iterator[Item]:
    """The newest wanted lines, all or at most `limit`, oldest first, as the log has them.

    Those too of which `find_recent` has later ones. Excludes an unfinished last line.
    """
    if limit is None:
        lines = (
            line
            for file in files
            for line in read_lines(file)
            if line.is_whole or file is not files[-1]
        )
        yield from filter(wanted.matches, map(read_item, lines))
    else:
        newest = islice(filter(wanted.matches, map(read_item, _backward(files))), limit)
        yield from reversed([*newest])


def read_item(line: Line) -> Item:
    """A line by itself."""
    return Item(line, read_entry(line.text))


def _backward(files: Sequence[LogFile]) -> Iterator[Line]:
    for file in reversed(files):
        for line in read_backward(file):
            if line.is_whole or file is not files[-1]:
                yield line


class Follower:
    """Reads what is added to the log `path` after `files`, across rotations.

    Its owner must `close` it.
    """

    def __init__(self, path: str, files: Sequence[LogFile]) -> None:
        self._path = path
        newest = files[-1]
        self._file = _copy(newest)
        last = next(read_backward(newest), None)
        self._position = newest.size if last is None or last.is_whole else last.offset

    def read(self) -> Iterator[Line]:
        """Yield all lines that were finished since the last call."""
        yield from self._drain()
        while self._is_renamed():
            # All earlier writes are visible by now, and no later ones go to this file.
            yield from self._drain(is_ended=True)
            self._go_on()
            yield from self._drain()

    def close(self) -> None:
        """Close the file."""
        os.close(self._file.descriptor)

    def _drain(self, *, is_ended: bool = False) -> Iterator[Line]:
        size = os.fstat(self._file.descriptor).st_size
        self._file = msgspec.structs.replace(self._file, size=size)
        self._position = min(self._position, size)
        for line in read_lines(self._file, start=self._position):
            if line.is_whole or is_ended:
                self._position = line.end
                yield line

    def _is_renamed(self) -> bool:
        try:
            return not os.path.samestat(os.stat(self._path), os.fstat(self._file.descriptor))
        except FileNotFoundError:
            # Between two renames, or deleted: then nothing can be added.
            return False

    def _go_on(self) -> None:
        """Continue with the next file, or with the oldest if rotation deleted it."""
        own = os.fstat(self._file.descriptor)
        with open_log(self._path) as files:
            same = [os.path.samestat(own, os.fstat(file.descriptor)) for file in files]
            # A failed rotation may have renamed it back.
            following = same.index(True) + 1 if any(same) else 0
            if following < len(files):
                self.close()
                self._file, self._position = _copy(files[following]), 0


def _copy(file: LogFile) -> LogFile:
    return msgspec.structs.replace(file, descriptor=os.dup(file.descriptor))


class Lines:
    """Formats items as lines with aligned columns, widened as longer values appear."""

    def __init__(self, *, is_coloured: bool) -> None:
        self._is_coloured = is_coloured
        self._agent = 8
        self._how = 9

    def format(self, item: Item) -> str:
        """Format one line, without its newline."""
        entry = item.entry
        if entry is None:
            text = quote(item.line.text.decode("utf-8", "surrogateescape"), limit=MAX_WORD)
            where = f"{item.line.file.path}:{find_number(item.line)}"
            return f"{self._paint('33', 'no record')} at {where}: {text}"
        outcome = item.outcome or "-"
        agent, how = show_word(entry.profile or "-"), _tell_how(entry)
        self._agent, self._how = max(self._agent, len(agent)), max(self._how, len(how))
        columns = (
            self._paint(_DIM, show_word(entry.ts)),
            f"{agent:{self._agent}}",
            self._paint(_COLOURS.get(outcome, "0"), f"{show_word(outcome):7}"),
            f"{how:{self._how}}",
            f"{_tell_duration(entry):>8}",
            " ".join(_tell_words(entry)),
        )
        return "  ".join(columns).rstrip()

    def _paint(self, code: str, text: str) -> str:
        """`text` in the colour of an SGR code (ECMA-48, 8.3.117), if colours are shown."""
        return f"\x1b[{code}m{text}\x1b[0m" if self._is_coloured else text


def to_object(item: Item) -> bytes:
    """The item as a line of JSON: the record, with `unfinished` if it has a state.

    A line that is no record is `{"no_record": {"file", "line", "text"}}`.
    """
    if item.entry is None:
        text = item.line.text[:MAX_WORD].decode("utf-8", "replace")
        where = {"file": item.line.file.path, "line": find_number(item.line), "text": text}
        return to_json({"no_record": where})
    record = msgspec.json.decode(item.line.text)
    return to_json(record | {"unfinished": item.state} if item.state else record)


def show_word(value: object) -> str:
    """A record's text, in any of its forms, as one unambiguous word."""
    match value:
        case str():
            return spell_word(value)
        case {"base64": str(encoded)}:
            # A client's bytes that were not UTF-8; in a forged file, anything.
            data = base64.b64decode(encoded.encode("utf-8", "replace"))
            return quote(data.decode("utf-8", "surrogateescape"), limit=MAX_WORD)
        case {"begins": begins, "bytes": int(count)}:
            return f"{show_word(begins)}... ({count} bytes)"
        case {"more": int(count)}:
            return f"... ({count} more arguments)"
        case _:
            return quote(to_json(value).decode(), limit=MAX_WORD)


def _tell_how(entry: Entry) -> str:
    match entry.detail:
        case {"service": "https", "status": int(status)} if entry.layer is None:
            return f"status {status}"
    if entry.event not in ("exec", "exec-start"):
        return show_word(entry.layer or entry.event)
    if entry.signal:
        return show_word(entry.signal)
    if entry.exit_code is not None:
        return f"exit {entry.exit_code}"
    return show_word(entry.layer or "-")


def _tell_duration(entry: Entry) -> str:
    took = entry.duration_ms
    if took is None:
        return ""
    return f"{took:.0f} ms" if took < 10_000 else f"{took / 1000:.1f} s"


def _tell_words(entry: Entry) -> Iterator[str]:
    detail = entry.detail
    match detail:
        case {"operation": operation} if entry.event in ("broker", "broker-start"):
            # Written by us, unless the log is forged.
            is_line = isinstance(operation, str) and is_shown(operation)
            yield operation if is_line else show_word(operation)
            is_pinned = not (isinstance(detail, dict) and "unpinned" in detail)
            detail = None if is_pinned else "unpinned"
        case _ if entry.command is not None:
            run = () if entry.sandbox in _NO_BOX else ("run",)
            yield join_words([*run, *map(show_word, (entry.command, *(entry.args or ())))])
    if entry.rule is not None:
        yield f"[rule {show_word(entry.rule)}]"
    elif entry.reason is not None:
        yield f"[{show_word(entry.reason)}]"
    if detail is not None:
        yield f"[{show_word(detail)}]"
    match entry.approval:
        case {"by": by, "rejected": True}:
            yield f"[rejected by {show_word(by)}]"
        case {"by": by}:
            yield f"[approved by {show_word(by)}]"
    if entry.count is not None:
        yield f"[{entry.count} of this kind]"


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


def find_number(line: Line) -> int:
    """Count a line's number in its file, from 1; reads the file up to it."""
    number, position = 1, 0
    while position < line.offset:
        step = min(BLOCK, line.offset - position)
        block = os.pread(line.file.descriptor, step, position)
        if not block:
            break
        number += block.count(b"\n")
        position += len(block)
    return number


def is_beginning(entry: Entry) -> bool:
    """Whether it records a start of a command or operation, whose end has its own record."""
    return entry.event in ("exec-start", "broker-start")


def is_end(entry: Entry) -> bool:
    """Whether it records the end of such a command or operation."""
    return entry.event == "exec" or (entry.event == "broker" and entry.request is None)


def find_begun(entry: Entry) -> str | None:
    """The id that the records of a start and its end share."""
    return entry.id if entry.request is None and isinstance(entry.id, str) else entry.request


def weigh(entry: Entry) -> int:
    """The number of requests or connections that it counts."""
    return 1 if entry.count is None else entry.count
