"""Logs written by the real log code, and what their readers report."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from airlock_daemon.admin.log import chain
from airlock_daemon.admin.log.chain import Head, find_head
from airlock_daemon.admin.log.items import Item, Wanted, find_recent, open_log
from airlock_daemon.serving.audit.log import AuditLog
from airlock_daemon.serving.audit.record import Record
from airlock_daemon.setup.config import LogConfig

FULL = ["x" * 400] * 9
"""Arguments for a record of about 4 KB."""


@contextmanager
def writing(path: Path, *, max_files: int = 3) -> Iterator[AuditLog]:
    """A daemon's log with 1 MB per file."""
    log = AuditLog(LogConfig(path=str(path), max_size_mb=1, max_files=max_files))
    try:
        yield log
    finally:
        log.close()


def write(path: Path, *records: dict[str, Any], max_files: int = 3) -> None:
    """Append records to a log, as one daemon until its end."""
    with writing(path, max_files=max_files) as log:
        for record in records:
            log.write(Record(**{"event": "exec", "profile": "my", **record}))


def verify(path: Path, *, max_files: int = 3, heads: Sequence[Head] = ()) -> chain.Verified:
    """The result of verifying a log's hash chain."""
    with open_log(str(path)) as files:
        return chain.verify(files, max_files=max_files, heads=heads)


def head(path: Path) -> Head:
    """The newest record of a log."""
    with open_log(str(path)) as files:
        return find_head(files)


def recent(path: Path, *, most: int = 1000, **wanted: str) -> list[Item]:
    """The newest lines of a log."""
    with open_log(str(path)) as files:
        return find_recent(files, Wanted(**wanted), limit=most)
