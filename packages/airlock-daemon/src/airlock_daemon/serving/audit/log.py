"""The audit log: one line of JSON per record, chained by hashes, rotated by size."""

import errno
import fcntl
import hashlib
import logging
import math
import os
import stat
import time
from contextlib import ExitStack, suppress

from msgspec.structs import replace

from airlock_daemon.errors import AirlockError, Failed
from airlock_daemon.serving.audit.record import LogFile, Record, find_end, to_line
from airlock_daemon.setup.generation import LogConfig

_OPEN = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC

_log = logging.getLogger("airlock")


class AuditLog:
    """Appends records to one file, which it locks against other daemons.

    With path "-" the records go to stderr and nothing is rotated.
    """

    def __init__(self, config: LogConfig) -> None:
        """Open the log; raises AirlockError if it is not writable or another daemon has it."""
        self._config = config
        self._full = self._find_full()
        self._descriptor = 2
        self._size = 0
        self._previous: str | None = None
        self._last = b""
        self._sequence = 0
        self._is_torn = False
        self._second = -1
        self._date = ""
        if config.path != "-":
            self._open()

    def write(self, record: Record) -> int:
        """Append one record, and return its bytes.

        Raises Failed if it cannot be written; the log is then unchanged, and the next record is
        tried anew. With `on_error = "warn"` the caller only warns (see `must_deny`).
        """
        if self._last:
            self.settle()
        told = record.ts or self.tell_time()
        record = replace(record, ts=told, seq=self._sequence + 1, prev=self._previous)
        line = to_line(record) + b"\n"
        try:
            if not os.fstat(self._descriptor).st_nlink and self._config.path != "-":
                self._begin_anew()
            if self._size and self._size + len(line) > self._full:
                self._rotate()
            self._append(line)
        except OSError as error:
            raise Failed(
                f"the audit log {self._config.path} cannot be written: {error.strerror}",
                hint="make room or mend its permissions on the host",
            ) from error
        return len(line)

    def settle(self) -> None:
        """Compute the last record's hash for the next one, while nobody waits."""
        if self._last:
            self._previous = hashlib.sha256(self._last.rstrip(b"\n")).hexdigest()
            self._last = b""

    def adopt(self, config: LogConfig) -> None:
        """Use other settings from now on, except the path."""
        self._config = replace(config, path=self._config.path)
        self._full = self._find_full()

    def _find_full(self) -> float:
        """The maximum bytes of one file."""
        return math.inf if math.isinf(self.capacity) else self._config.max_size_mb * 1_000_000

    @property
    def capacity(self) -> float:
        """The bytes retained before the oldest are deleted; infinite without rotation."""
        if self._config.path == "-" or self._config.max_size_mb == 0:
            return math.inf
        return self._config.max_size_mb * 1_000_000 * self._config.max_files

    @property
    def must_deny(self) -> bool:
        """Whether a record that cannot be written refuses its request."""
        return self._config.on_error == "deny"

    def close(self) -> None:
        """Close the file."""
        if self._descriptor > 2:
            os.close(self._descriptor)
            self._descriptor = -1

    def tell_time(self) -> str:
        """The present time in UTC, with milliseconds."""
        second, fraction = divmod(time.time_ns() // 1_000_000, 1000)
        if second != self._second:
            self._second = second
            self._date = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._date}.{fraction:03d}Z"

    def _append(self, line: bytes) -> None:
        # A full disk may have cut the last line; end it before the next.
        data = b"\n" + line if self._is_torn else line
        written = os.write(self._descriptor, data)
        if written < len(data):
            if written and not self._take_back(written):
                self._size += written
                self._is_torn = written > len(data) - len(line)
                self._last = data[len(data) - len(line) : written]
                # Whole but for its newline.
                self._sequence += written == len(data) - 1
            raise OSError(errno.ENOSPC, "no space left for the whole record")
        self._size += written
        self._sequence += 1
        self._last, self._is_torn = line, False

    def _take_back(self, count: int) -> bool:
        """Remove the last `count` bytes; False if that fails, as in an append-only file."""
        if self._config.path == "-":
            return False
        try:
            os.ftruncate(self._descriptor, os.lseek(self._descriptor, 0, os.SEEK_CUR) - count)
        except OSError:
            return False
        return True

    def _open(self) -> None:
        path = self._config.path
        try:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            self._descriptor = _open_locked(path, _OPEN)
        except BlockingIOError as error:
            raise AirlockError(
                f"the audit log {path} is written by another daemon",
                hint="stop that daemon, or set [log] path in config.toml",
            ) from error
        except OSError as error:
            raise AirlockError(
                f"the audit log {path} cannot be opened: {error.strerror}",
                hint="mend its permissions, or set [log] path in config.toml",
            ) from error
        self._size = os.fstat(self._descriptor).st_size
        self._continue_chain()

    def _continue_chain(self) -> None:
        """Continue the chain at the files' end; end a line that a killed daemon left torn.

        An empty file continues the file rotated before it.
        """
        path = self._config.path
        files = [LogFile(path=path, number=0, descriptor=self._descriptor, size=self._size)]
        with ExitStack() as stack:
            with suppress(OSError):
                older = stack.enter_context(open(f"{path}.1", "rb", buffering=0)).fileno()
                size = os.fstat(older).st_size
                files.insert(0, LogFile(path=path, number=1, descriptor=older, size=size))
            last = find_end(files)
        self._previous, self._sequence = last.line, last.sequence
        self._is_torn = last.is_torn and self._size > 0

    def _begin_anew(self) -> None:
        """Reopen the log after its file was deleted, so that further records are not lost."""
        path = self._config.path
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        descriptor = _open_locked(path, _OPEN)
        os.close(self._descriptor)
        self._descriptor, self._size = descriptor, os.fstat(descriptor).st_size
        self._is_torn = self._size > 0 and os.pread(descriptor, 1, self._size - 1) != b"\n"
        _log.error(
            "the audit log %s was removed, and goes on in a new file; leave its rotation to the "
            "daemon ([log] max_files), and look for what else removes it",
            path,
        )

    def _rotate(self) -> None:
        # On any failure the old file is still in place and open, and is written further.
        path = self._config.path
        descriptor = _open_locked(f"{path}.new", _OPEN | os.O_TRUNC)
        try:
            _put_in_place(path, files=self._config.max_files)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(self._descriptor)
        self._descriptor, self._size, self._is_torn = descriptor, 0, False


def _open_locked(path: str, flags: int) -> int:
    """Open and lock a file with mode 0600; raises BlockingIOError if another daemon has it."""
    descriptor = os.open(path, flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # A device such as /dev/full does not belong to this daemon.
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.fchmod(descriptor, 0o600)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _put_in_place(path: str, *, files: int) -> None:
    """Rotate: rename `path`.new to `path`, `path` to .1, and older files up by one.

    Renames only up to the first free number, so that a retry after a failure moves nothing twice.
    The file with the last number is replaced.
    """
    if files == 1:
        os.replace(f"{path}.new", path)
        return
    numbers = range(1, files - 1)
    free = next((each for each in numbers if not os.path.lexists(f"{path}.{each}")), files - 1)
    for number in range(free, 1, -1):
        os.replace(f"{path}.{number - 1}", f"{path}.{number}")
    # Somebody else may have moved it away.
    is_there = os.path.lexists(path)
    if is_there:
        os.replace(path, f"{path}.1")
    try:
        os.replace(f"{path}.new", path)
    except OSError:
        if is_there:
            os.replace(f"{path}.1", path)
        raise
