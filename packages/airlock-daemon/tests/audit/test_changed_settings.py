"""A log and its ledger whose settings change while they are in use, and a clock that jumps."""

import json
import time
from pathlib import Path

import pytest

from airlock_daemon.audit.ledger import AT_ONCE, Kind, Ledger
from airlock_daemon.audit.log import AuditLog
from airlock_daemon.audit.record import Record
from airlock_daemon.setup.config import LogConfig

REFUSED = Kind("invalid", "denied", "limit", "connections")


def config(path: Path, *, size: int = 4) -> LogConfig:
    return LogConfig(path=str(path), max_size_mb=size, max_files=1)


async def test_an_account_goes_on_by_its_new_rate(tmp_path: Path) -> None:
    """What was spent stays spent, and nobody has more saved up than the new settings allow."""
    ledger = Ledger(AuditLog(config(tmp_path / "log")), agents=1)
    allowance = ledger.open_account("my", 1000)
    ledger.adopt(config(tmp_path / "elsewhere", size=1), agents=2)
    assert ledger.open_account("my", 1000) is allowance
    burst = 1_000_000 * AT_ONCE / 2
    allowance.spend(round(burst * 0.9))
    assert not allowance.has_plenty
    assert not allowance.is_spent
    ledger.adopt(config(tmp_path / "log", size=1), agents=1)
    ledger.open_account("my", 1)
    allowance.spend(601)
    assert allowance.is_spent
    ledger.close()
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


async def test_an_account_is_closed_once_its_counts_are_written(tmp_path: Path) -> None:
    """An agent that is gone is forgotten, and none of its refusals is."""
    path = tmp_path / "log"
    ledger = Ledger(AuditLog(config(path)), agents=1)
    ledger.open_account("my", 1024)
    for _ in range(3):
        ledger.count("my", REFUSED, None)
    ledger.close_account("my")
    assert sum(json.loads(line)["count"] for line in path.read_text().splitlines()) == 3
    # As of an agent that nobody knows.
    ledger.write(Record(event="invalid", profile="my", outcome="invalid"))
    assert len(path.read_text().splitlines()) == 3
    ledger.close()


def test_time_stamps_follow_a_clock_that_jumps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forwards, backwards and within a second; the order of records is that of their chain."""
    path = tmp_path / "log"
    log = AuditLog(config(path))
    for ms in (1_700_000_000_250, 1_700_000_000_750, 1_800_000_000_000, 1_600_000_000_500, -1500):
        monkeypatch.setattr(time, "time_ns", lambda ms=ms: ms * 1_000_000)
        log.write(Record(event="daemon-start"))
    log.close()
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert [record["ts"] for record in records] == [
        "2023-11-14T22:13:20.250Z",
        "2023-11-14T22:13:20.750Z",
        "2027-01-15T08:00:00.000Z",
        "2020-09-13T12:26:40.500Z",
        "1969-12-31T23:59:58.500Z",
    ]
    assert len({record["prev"] for record in records}) == len(records)
