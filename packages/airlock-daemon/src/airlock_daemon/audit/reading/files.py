"""The files of a log, as they are at one moment, and the lines in them."""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import msgspec

from airlock_daemon.errors import AirlockError

BLOCK = 65536


class LogFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a log: `number` is 0 for the newest, and `size` in bytes as it was when opened.

    `path` is the name that it was opened by; a rotation gives it another one.
    """

    path: str
    number: int
    descriptor: int
    size: int


class Line(msgspec.Struct, frozen=True):
    """One line: where it begins in its file, in bytes, and its text without the newline.

    `is_whole` says whether it has one; only the last line of a file can lack it.
    """

    file: LogFile
    offset: int
    text: bytes
    is_whole: bool

    @property
    def end(self) -> int:
        """Where the next line begins."""
        return self.offset + len(self.text) + self.is_whole

    def find_number(self) -> int:
        """Count from 1 which line of the file it is, which reads the file up to here."""
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

    A rotation meanwhile loses none of them. Raises AirlockError where there is no log, or where it
    may not be read.
    """
    files: dict[tuple[int, int], LogFile] = {}
    try:
        # From the newest on: what is renamed meanwhile is met again under its next number.
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
    """0, and every number up to the highest that a rotated file has by the time it is reached."""
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
    """One file; None where there is none, or where something else has a rotated file's name."""
    try:
        # Where a FIFO stands, opening it must not wait for a writer.
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
    """The lines of a file from the one that begins at byte `start` up to its size."""
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
    """The lines of a file, the last one first."""
    position = file.size
    pieces: list[bytes] = []
    while position > 0:
        step = min(BLOCK, position)
        position -= step
        block = os.pread(file.descriptor, step, position)
        if len(block) < step:
            return
        end = step
        # Without pieces, a newline right before `end` is that of the line itself.
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
