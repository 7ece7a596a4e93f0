"""A log that somebody removes while it is written."""

import json
from pathlib import Path

import pytest

from airlock_daemon.audit.log import AuditLog
from airlock_daemon.audit.record import Record
from airlock_daemon.setup.config import LogConfig
from logs import verify
from running import Daemon
from worlds import World


def commands(path: Path) -> list[str]:
    return [json.loads(line)["command"] for line in path.read_text().splitlines()]


@pytest.mark.parametrize("left", ["its directory", "nothing", "an empty file", "half a line"])
def test_what_follows_is_in_a_new_file_and_in_the_same_chain(tmp_path: Path, left: str) -> None:
    """So `log verify` tells that what was before is missing, and nothing after that is."""
    path = tmp_path / "log" / "airlock.log"
    log = AuditLog(LogConfig(path=str(path)))
    log.write(Record(event="exec", command="before"))
    path.unlink()
    if left == "nothing":
        path.parent.rmdir()
    elif left != "its directory":
        path.write_text("" if left == "an empty file" else "{")
    for command in ("first", "second"):
        log.write(Record(event="exec", command=command))
    log.close()
    lines = path.read_text().removeprefix("{\n").splitlines()
    records = [json.loads(line) for line in lines]
    assert [(each["command"], each["seq"]) for each in records] == [("first", 2), ("second", 3)]
    assert path.stat().st_mode & 0o777 == 0o600 or left in ("an empty file", "half a line")
    assert not verify(path).is_whole


def test_a_daemon_whose_log_is_removed_runs_nothing_unrecorded(world: World) -> None:
    """Where there can be no new file a command is refused, and later nothing is missing."""
    with Daemon(world) as daemon:
        assert daemon.shell("true").exit_code == 0
        world.log.unlink()
        world.log.mkdir()
        assert "the audit log" in daemon.shell("true").error["message"]
        world.log.rmdir()
        assert daemon.shell("true").exit_code == 0
        assert daemon.stop() == 0
        assert len(daemon.records("exec-start")) == 1
        outcomes = [record["outcome"] for record in daemon.records("exec")]
        assert sorted(outcomes) == ["allowed", "failed"]
        assert "was removed" in daemon.messages()
