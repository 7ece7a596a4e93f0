"""The reader of the audit log finds what is wrong with it."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from e2e.hostile.log import LogReader
from e2e.world.errors import BrokenError


def write_log(path: Path, *records: dict[str, Any]) -> list[bytes]:
    previous = None
    lines = []
    for record in records:
        line = json.dumps({**record, "prev": previous}).encode()
        previous = hashlib.sha256(line).hexdigest()
        lines.append(line)
    path.write_bytes(b"\n".join(lines) + b"\n")
    return lines


def make_final(**more: Any) -> dict[str, Any]:
    record = {"event": "exec", "ts": "x", "profile": "hostile", "outcome": "allowed", "peer": {}}
    return {**record, **more}


def test_records_are_counted_once(tmp_path: Path) -> None:
    """What ends a request is counted by its agent, as the log grows."""
    log = LogReader(tmp_path / "log")
    lines = write_log(tmp_path / "log", {"event": "daemon-start"}, make_final())
    assert len(log.read()) == 2
    more = json.dumps(make_final(prev=hashlib.sha256(lines[-1]).hexdigest()))
    with (tmp_path / "log").open("a") as file:
        file.write(f"{more}\nunfin")
    assert len(log.read()) == 1
    assert log.finals == {"hostile": 2}


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: lines[1:],
        lambda lines: [lines[0], lines[2]],
        lambda lines: [lines[0], lines[2], lines[1]],
        lambda lines: [lines[0].replace(b'"x"', b'"y"'), *lines[1:]],
        lambda lines: [*lines[:2], lines[2][:-5]],
        lambda lines: [*lines, b"null"],
    ],
)
def test_a_changed_log_is_found(tmp_path: Path, change: Any) -> None:
    """A line that was removed, moved, changed, torn or added breaks the chain."""
    lines = write_log(tmp_path / "log", make_final(), make_final(), make_final())
    (tmp_path / "log").write_bytes(b"\n".join(change(lines)) + b"\n")
    with pytest.raises(BrokenError):
        LogReader(tmp_path / "log").read()


def test_a_record_without_an_outcome_is_found(tmp_path: Path) -> None:
    """What every record of a request has must be there."""
    write_log(tmp_path / "log", make_final(outcome=None))
    with pytest.raises(BrokenError, match="lacks"):
        LogReader(tmp_path / "log").read()
