"""The audit log: one line of JSON a record, chained by hashes, rotated by size."""

import fcntl
import hashlib
import os
import time
from contextlib import suppress

import msgspec

from airlock_daemon.audit.record import Record
from airlock_daemon.errors import AirlockError, Failed
from airlock_daemon.setup.config import LogConfig


class AuditLog:
    """Appends records to one file, which no other daemon may write meanwhile.

    With path "-" the records go to stderr and nothing is rotated.
    """

    def __init__(self, config: LogConfig) -> None:
        """Open the log; raises AirlockError when it cannot be written or another daemon has it."""
        self._config = config
        self._descriptor = 2
        self._size = 0
        self._previous: str | None = None
        self._second = -1
        self._date = ""
        if config.path != "-":
            self._open()

    def write(self, record: Record) -> None:
        """Append one record.

        Raises Failed where it cannot be written; with `on_error = "warn"` only the caller's warning
        remains (`must_deny` says which).
        """
        record.ts = self._stamp()
        record.prev = self._previous
        line = msgspec.json.encode(record)
        try:
            self._rotate_if_full(len(line) + 1)
            self._append(line + b"\n")
        except OSError as error:
            raise Failed(
                f"the audit log {self._config.path} cannot be written: {error.strerror}",
                hint="make room or mend its permissions on the host",
            ) from error
        self._previous = hashlib.sha256(line).hexdigest()

    @property
    def must_deny(self) -> bool:
        """Whether a record that cannot be written refuses the request that it is about."""
        return self._config.on_error == "deny"

    def close(self) -> None:
        """Close the file."""
        if self._descriptor > 2:
            os.close(self._descriptor)
            self._descriptor = -1

    def _stamp(self) -> str:
        """The time in UTC, with milliseconds."""
        second, fraction = divmod(time.time_ns() // 1_000_000, 1000)
        if second != self._second:
            self._second = second
            self._date = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._date}.{fraction:03d}Z"

    def _append(self, data: bytes) -> None:
        written = os.write(self._descriptor, data)
        self._size += written
        if written < len(data):
            # A full disk: the rest is lost, and the next line must not be glued to it.
            os.write(self._descriptor, b"\n")
            raise OSError(28, "no space left for the whole record")

    def _open(self) -> None:
        path = self._config.path
        try:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            descriptor = os.open(
                path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
            )
        except OSError as error:
            raise AirlockError(
                f"the audit log {path} cannot be opened: {error.strerror}",
                hint="mend its permissions, or set [log] path in config.toml",
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise AirlockError(
                f"the audit log {path} is written by another daemon",
                hint="stop that daemon, or set [log] path in config.toml",
            ) from error
        os.fchmod(descriptor, 0o600)
        self._descriptor = descriptor
        self._size = os.fstat(descriptor).st_size
        self._continue_chain()

    def _continue_chain(self) -> None:
        """Take up the chain where the file ends; close a line that a killed daemon left torn."""
        last = _last_line(self._descriptor, self._size)
        if last is None:
            return
        if not last.endswith(b"\n"):
            self._append(b"\n")
        self._previous = hashlib.sha256(last.rstrip(b"\n")).hexdigest()

    def _rotate_if_full(self, more: int) -> None:
        if self._config.path == "-" or self._size == 0:
            return
        if self._size + more <= self._config.max_size_mb * 1_000_000:
            return
        path = self._config.path
        for number in range(self._config.max_files - 1, 0, -1):
            older = f"{path}.{number}"
            newer = f"{path}.{number - 1}" if number > 1 else path
            with suppress(FileNotFoundError):
                os.replace(newer, older)
        if self._config.max_files == 1:
            os.unlink(path)
        previous = self._previous
        self.close()
        self._open()
        self._previous = previous


def _last_line(descriptor: int, size: int) -> bytes | None:
    """The last line of a file with its newline, if it has one; None for an empty file."""
    tail = b""
    position = size
    while position > 0 and b"\n" not in tail[:-1]:
        step = min(65536, position)
        position -= step
        tail = os.pread(descriptor, step, position) + tail
    if not tail:
        return None
    return tail[tail.rfind(b"\n", 0, -1) + 1 :]
