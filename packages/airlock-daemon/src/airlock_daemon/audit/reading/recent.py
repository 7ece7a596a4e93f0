"""The newest lines of the log that a person asks for, and those that are added meanwhile."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import msgspec

from airlock_daemon.audit.reading.entry import Entry, read_entry
from airlock_daemon.audit.reading.files import Line, LogFile, open_log, read_backward, read_lines

State = Literal["running", "cut-off"]


class Item(msgspec.Struct, frozen=True):
    """A line that is shown: what ended a request, or another event, or no record at all.

    `state` is there for a command that was begun and whose end is not in the log: it still runs,
    or the daemon was killed with it.
    """

    line: Line
    entry: Entry | None
    state: State | None = None

    @property
    def outcome(self) -> str | None:
        """How the request ended, or in which state it is."""
        return self.state or (self.entry.outcome if self.entry else None)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which lines are asked for: those that have each of these values, where it is not None."""

    agent: str | None = None
    command: str | None = None
    outcome: str | None = None
    layer: str | None = None

    def matches(self, item: Item) -> bool:
        """Whether it is asked for; what is no record always is, since it could be anything."""
        entry = item.entry
        return entry is None or (
            self.agent in (None, entry.profile)
            and self.command in (None, entry.command)
            and self.outcome in (None, item.outcome)
            and self.layer in (None, entry.layer)
        )


class Begun:
    """Which commands have begun and not ended, read forward; those of a killed daemon are told.

    `running` are those that had begun before.
    """

    def __init__(self, running: Iterable[Item] = ()) -> None:
        self._begun = {item.entry.begun: item for item in running if item.entry}

    def take(self, line: Line) -> Iterator[Item]:
        """What is to be shown now that this line has come."""
        item = Item(line, read_entry(line.text))
        entry = item.entry
        if entry is not None and entry.is_beginning:
            self._begun[entry.begun] = item
            return
        if entry is not None and entry.event == "daemon-start":
            for begun in self._begun.values():
                yield msgspec.structs.replace(begun, state="cut-off")
            self._begun.clear()
        if entry is not None and entry.is_end:
            self._begun.pop(entry.begun, None)
        yield item


def find_recent(files: Sequence[LogFile], wanted: Wanted, *, most: int | None = None) -> list[Item]:
    """The newest lines that are wanted, oldest first, at most so many.

    A last line that is not ended yet is not among them. Reads as much as it takes, from the end.
    """
    most = sys.maxsize if most is None else most
    found: list[Item] = []
    ended: set[str | None] = set()
    is_restarted = False
    for line in _backward(files):
        # What ran when a daemon started runs no more.
        if len(found) >= most or (is_restarted and wanted.outcome == "running"):
            break
        entry = read_entry(line.text)
        item = Item(line, entry)
        if entry is not None and entry.is_beginning:
            if entry.begun in ended:
                ended.discard(entry.begun)
                continue
            item = Item(line, entry, "cut-off" if is_restarted else "running")
        elif entry is not None and entry.is_end and entry.outcome != "denied":
            # What is denied was never begun.
            ended.add(entry.begun)
        is_restarted |= entry is not None and entry.event == "daemon-start"
        if wanted.matches(item):
            found.append(item)
    return found[::-1]


def _backward(files: Sequence[LogFile]) -> Iterator[Line]:
    for file in reversed(files):
        for line in read_backward(file):
            if line.is_whole or file is not files[-1]:
                yield line


class Follower:
    """Reads what is added to the log `path` after `files`, which it was, across rotations.

    Its owner must `close` it.
    """

    def __init__(self, path: str, files: Sequence[LogFile]) -> None:
        self._path = path
        newest = files[-1]
        self._file = _copy(newest)
        last = next(read_backward(newest), None)
        self._position = newest.size if last is None or last.is_whole else last.offset

    def read(self) -> Iterator[Line]:
        """All lines that were ended since the last time."""
        yield from self._drain()
        while self._is_renamed():
            # What was written before it was renamed is there by now, and nothing comes any more.
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
            # Between two renames, or somebody has removed it: then nothing can be added.
            return False

    def _go_on(self) -> None:
        """Go on with the file that followed; with the oldest where rotation deleted that."""
        own = os.fstat(self._file.descriptor)
        with open_log(self._path) as files:
            same = [os.path.samestat(own, os.fstat(file.descriptor)) for file in files]
            # By now it may have been renamed back, where a rotation failed.
            following = same.index(True) + 1 if any(same) else 0
            if following < len(files):
                self.close()
                self._file, self._position = _copy(files[following]), 0


def _copy(file: LogFile) -> LogFile:
    return msgspec.structs.replace(file, descriptor=os.dup(file.descriptor))
