"""Tests of `airlock_daemon.audit`: what a record says, and what a reader of the log can prove."""

import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from airlock_daemon.audit.log import AuditLog
from airlock_daemon.audit.record import ARGUMENTS, Record, shorten_all
from airlock_daemon.errors import AirlockError, Failed
from airlock_daemon.setup.config import LogConfig


def open_log(path: Path, *, max_files: int = 3) -> AuditLog:
    return AuditLog(LogConfig(path=str(path), max_size_mb=1, max_files=max_files))


def assert_chained(lines: list[bytes], previous: str | None = None) -> str | None:
    """Each line names the hash of the one before."""
    for line in lines:
        assert json.loads(line)["prev"] == previous
        previous = hashlib.sha256(line).hexdigest()
    return previous


def test_records_are_lines_of_json_that_only_the_owner_reads(tmp_path: Path) -> None:
    """One line a record, with the time in UTC, in a file of mode 0600, whatever it was before."""
    path = tmp_path / "deep" / "airlock.log"
    path.parent.mkdir()
    path.touch(mode=0o644)
    log = open_log(path)
    log.write(Record(event="exec", command="git", args=["push"], outcome="allowed"))
    log.close()
    record = json.loads(path.read_text())
    assert (record["event"], record["command"], record["args"]) == ("exec", "git", ["push"])
    assert record["ts"].endswith("Z")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_lines_are_chained_across_restarts(tmp_path: Path) -> None:
    """A removed or changed line breaks the chain, also where another daemon went on."""
    path = tmp_path / "airlock.log"
    for _ in range(2):
        log = open_log(path)
        log.write(Record(event="daemon-start"))
        log.write(Record(event="daemon-stop"))
        log.close()
    lines = path.read_bytes().splitlines()
    assert_chained(lines)
    with pytest.raises(AssertionError):
        assert_chained(lines[:1] + lines[2:])


def test_a_torn_last_line_is_closed(tmp_path: Path) -> None:
    """What a killed daemon left half written does not swallow the next record."""
    path = tmp_path / "airlock.log"
    path.write_bytes(b'{"event":"exec","comm')
    log = open_log(path)
    log.write(Record(event="daemon-start"))
    log.close()
    torn, whole = path.read_bytes().splitlines()
    assert json.loads(whole)["prev"] == hashlib.sha256(torn).hexdigest()


def test_the_log_is_rotated_by_size_and_the_chain_goes_on(tmp_path: Path) -> None:
    """Full files become .1 and .2, no more of them are kept, and none is torn apart."""
    path = tmp_path / "airlock.log"
    log = open_log(path)
    words = ["x" * 500] * 200
    for _ in range(50):
        log.write(Record(event="exec", args=words))
    log.close()
    names = sorted(entry.name for entry in tmp_path.iterdir())
    assert names == ["airlock.log", "airlock.log.1", "airlock.log.2"]
    older = (tmp_path / "airlock.log.2").read_bytes().splitlines()
    newer = (tmp_path / "airlock.log.1").read_bytes().splitlines()
    first = json.loads(older[0])["prev"]
    last = assert_chained(older + newer, first)
    assert_chained(path.read_bytes().splitlines(), last)
    assert all(entry.stat().st_size <= 1_000_000 for entry in tmp_path.iterdir())


def test_a_log_has_one_writer(tmp_path: Path) -> None:
    """A second daemon is refused rather than breaking the chain of the first."""
    first = open_log(tmp_path / "airlock.log")
    with pytest.raises(AirlockError, match="another daemon"):
        open_log(tmp_path / "airlock.log")
    first.close()


def test_a_link_in_the_place_of_the_log_is_refused(tmp_path: Path) -> None:
    """The log is not written to where somebody else points."""
    (tmp_path / "airlock.log").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AirlockError, match="cannot be opened"):
        open_log(tmp_path / "airlock.log")


@pytest.mark.skipif(not os.access("/dev/full", os.W_OK), reason="/dev/full is not for this user")
def test_a_write_that_fails_is_an_error(tmp_path: Path) -> None:
    """Whoever has to record something first learns that it is not recorded."""
    log = AuditLog(LogConfig(path="/dev/full"))
    with pytest.raises(Failed, match="No space left"):
        log.write(Record(event="daemon-start"))
    log.close()


def test_long_arguments_are_shortened_with_their_hash() -> None:
    """Length and hash of what is left out stay provable; short ones stay as they are."""
    long = "y" * 5000
    words: Any = shorten_all(["push", "\udcff", long, *["z"] * 1000])
    assert words[0] == "push"
    assert words[1] == {"base64": "/w=="}
    assert words[2] == {
        "begins": "y" * 64,
        "bytes": 5000,
        "sha256": hashlib.sha256(long.encode()).hexdigest(),
    }
    assert len(words) == ARGUMENTS + 1
    rest = b"\0".join([b"z"] * (1003 - ARGUMENTS))
    assert words[-1] == {"more": 1003 - ARGUMENTS, "sha256": hashlib.sha256(rest).hexdigest()}


def test_stderr_can_be_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    """With "-" the records go where a container's log is taken from."""
    log = AuditLog(LogConfig(path="-"))
    log.write(Record(event="daemon-start"))
    log.close()
    assert json.loads(capfd.readouterr().err)["event"] == "daemon-start"
    os.fstat(2)
